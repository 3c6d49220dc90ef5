"""`wheelhouse publish`: finished wheels to an index, and into the spool where it cannot take them now."""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from wheelhouse.cli.files import wheel_files
from wheelhouse.cli.session import pass_session
from wheelhouse.errors import IndexUnavailableError, PublishError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from wheelhouse.cli.session import Session
    from wheelhouse.config import PublishSettings
    from wheelhouse.publish import Destination, Publishable, Sent
    from wheelhouse.publish.connection import Connection
    from wheelhouse.spool import Spool

#: Upload so many at once: the way to the index and back, and its waiting for a disk, are to lie over each other.
_JOBS = 8
#: Seconds of silence after which an index counts as down.
_SILENCE = 60.0
_STYLES = {"published": "green", "present": "green", "spooled": "yellow", "refused": "red", "unavailable": "red"}
_MEGABYTE = 1_000_000
#: `--stage` without a name.
_NAMED_BY_CONTENT = ""


@click.command(
    epilog="""\b
Examples:
  wheelhouse publish --index-url http://localhost:8080/legacy/      # all of dist/
  wheelhouse publish dist/psycopg2-*.whl --repository internal      # a section of .pypirc
  wheelhouse publish --trusted-publishing always                    # in a CI job that the index trusts
  wheelhouse publish --attestations                                 # signed by the CI job, with its provenance
  wheelhouse publish --stage --test                                 # all at once, once all install and import
  TWINE_PASSWORD=wh_... wheelhouse publish                          # by a token, to [publish] url in wheelhouse.toml
"""
)
@click.argument("wheels", nargs=-1, metavar="[WHEEL]...", type=click.Path(path_type=Path, exists=True))
@click.option("--index-url", metavar="URL", help="Address that the index takes uploads at. No credentials in it.")
@click.option("--repository", metavar="NAME", help="Section of .pypirc, instead of an address.")
@click.option("--skip-existing", is_flag=True, help="A file of that name being there already is fine.")
@click.option(
    "--trusted-publishing",
    type=click.Choice(["automatic", "always", "never"]),
    envvar="WHEELHOUSE_TRUSTED_PUBLISHING",
    help="A token by the identity of the CI job, without a secret; `automatic`: where there are no credentials.",
)
@click.option(
    "--stage",
    metavar="[NAME]",
    is_flag=False,
    flag_value=_NAMED_BY_CONTENT,
    help="Put them on a stage of the index, from which `wheelhouse stage publish` brings all at once. Without a NAME,"
    " the same wheels go to the same stage. Nothing is spooled.",
)
@click.option("--test", is_flag=True, help="With --stage: install and import them from there, and publish if all work.")
@click.option(
    "--attestations/--no-attestations",
    default=None,
    help="Sign by the identity of the CI job (Sigstore, PEP 740). [default: in jobs of public repositories]",
)
@click.option(
    "--wait",
    metavar="SECONDS",
    type=click.FloatRange(min=0),
    default=60.0,
    show_default=True,
    help="With --stage: how long to try again while the index cannot take them.",
)
@click.option("--no-spool", is_flag=True, help="Fail when the index is down, instead of delivering later.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=_SILENCE,
    show_default=True,
    metavar="SECONDS",
    help="Silence after which the index counts as down.",
)
@click.option("-n", "--dry-run", is_flag=True, help="Check the wheels and say where they would go; send nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print what became of each wheel as JSON.")
@pass_session
def publish(
    session: Session,
    *,
    wheels: tuple[Path, ...],
    index_url: str | None,
    repository: str | None,
    skip_existing: bool,
    stage: str | None,
    test: bool,
    attestations: bool | None,
    no_spool: bool,
    wait: float,
    trusted_publishing: str | None,
    timeout: float,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Upload wheels to an index, as twine does: those given, or all of dist/.

    All are checked first, and none is sent when one has an error. When the index is down, busy or broken, wheels are
    accepted into the spool, from which the next `publish` or `wheelhouse spool retry` delivers them: that ends with
    status 0 and says so. Exit status 20: the index refused a wheel.
    """
    from wheelhouse.publish import Sender, checking, find_destination, insist  # noqa: PLC0415 - start-up time
    from wheelhouse.publish import publish as publish_wheels  # noqa: PLC0415 - likewise

    if test and stage is None:
        raise UsageError("--test is for what is on a stage", hint="--stage --test; `wheelhouse check` tests files")
    given = wheel_files(wheels or [_dist(session)])
    with ExitStack() as stack:
        connection, spool, staging = None, None, None
        with checking(given) as checked:  # by other processes too, while this one gets ready
            settings = session.workspace.config.publish
            if trusted_publishing is not None:
                settings = settings.model_copy(update={"trusted_publishing": trusted_publishing})
            destination = find_destination(
                index_url=index_url, repository=repository, settings=settings, environment=os.environ
            )
            if not dry_run:
                from wheelhouse.cli.attesting import with_attestations  # noqa: PLC0415 - start-up time
            if stage is None and not dry_run:
                many = len(given) > 1
                connection = stack.enter_context(connect(destination, timeout=timeout, settings=settings, many=many))
                spool = None if no_spool else stack.enter_context(open_spool(session))
            ready = checked()
        if stage is not None:
            from wheelhouse.cli.staging import Staging  # noqa: PLC0415 - start-up time

            staging = Staging.of(destination, stage or None, ready, settings=settings, timeout=timeout)
            destination = staging.destination
        if dry_run:
            _plan(session, ready, destination, as_json=as_json)
            return
        ready = with_attestations(session, ready, asked=attestations)
        if connection is None:
            environment = staging.environment if staging else os.environ
            connection = stack.enter_context(
                connect(destination, timeout=timeout, settings=settings, environment=environment, many=len(ready) > 1)
            )
        delivered = "published" if staging is None else "staged"
        sender = Sender(
            destination=destination,
            uploader=connection,
            many=connection.parcels,
            spool=spool,
            skip_existing=skip_existing,
            tell=teller(session, as_json=as_json, delivered=delivered),
        )
        if staging is None:
            sent = publish_wheels(sender, ready, jobs=_JOBS)
        else:
            sent = insist(sender, ready, seconds=wait, jobs=_JOBS)
    conclude(session, sent, destination, as_json=as_json and not test, delivered=delivered)
    if staging is not None:
        staging.go_on(session, test=test, as_json=as_json)


def send_quietly(session: Session, wheels: Sequence[Path]) -> Sequence[Sent]:
    """Upload wheels to the configured index, by way of the spool, and return what became of each.

    Raises UsageError where there is no index, InvalidWheelError and CheckError for what is no good wheel.
    """
    from wheelhouse.publish import Sender, find_destination, prepare  # noqa: PLC0415 - start-up time
    from wheelhouse.publish import publish as publish_wheels  # noqa: PLC0415 - likewise

    if not wheels:
        return ()
    settings = session.workspace.config.publish
    destination = find_destination(index_url=None, repository=None, settings=settings, environment=os.environ)
    with (
        connect(destination, timeout=_SILENCE, settings=settings, many=len(wheels) > 1) as connection,
        open_spool(session) as spool,
    ):
        sender = Sender(destination=destination, uploader=connection, many=connection.parcels, spool=spool)
        return publish_wheels(sender, prepare(wheel_files(wheels)), jobs=_JOBS)


@contextmanager
def connect(
    destination: Destination,
    *,
    timeout: float,
    settings: PublishSettings,
    environment: Mapping[str, str] = os.environ,
    many: bool = False,
) -> Iterator[Connection]:
    """Give what uploads to an index: with `many`, many files in one request where the index takes that.

    Raises UsageError where the credentials are incomplete, TrustedPublishingError where the index does not trust us.
    """
    from wheelhouse.publish.connection import Connection  # noqa: PLC0415 - start-up time
    from wheelhouse.publish.login import find_login  # noqa: PLC0415 - likewise
    from wheelhouse.publish.trusted import Renewed, TrustedPublishing  # noqa: PLC0415 - likewise

    trusted = TrustedPublishing(
        destination=destination, environment=environment, timeout=timeout, audience=settings.audience
    )
    way = settings.trusted_publishing
    login = find_login(
        destination,
        environment,
        Renewed(lambda: None if way == "never" else trusted.token(needed=way == "always")),
        token_first=way == "always",
    )
    with Connection.open(
        destination, login, timeout=timeout, certificates=environment.get("TWINE_CERT"), many=many
    ) as connection:
        yield connection


def open_spool(session: Session) -> Spool:
    """Open the spool of the workspace; it is made where there is none."""
    from wheelhouse.spool import Spool  # noqa: PLC0415 - start-up time

    workspace = session.workspace
    return Spool(workspace.spool, limit_bytes=workspace.config.publish.spool_megabytes * _MEGABYTE)


def teller(session: Session, *, as_json: bool, delivered: str = "published") -> Callable[[Sent], None]:
    """Return what tells people of each wheel as it is settled. `delivered`: what to call those that arrived."""

    def tell(sent: Sent) -> None:
        word = delivered if sent.outcome == "published" else sent.outcome
        outcome = click.style(f"{word:<11}", fg=_STYLES[sent.outcome])
        why = f": {sent.reason}" if sent.reason else ""
        click.echo(f"{outcome} {sent.filename}{why}")

    def nothing(sent: Sent) -> None:
        """Leave stdout to the JSON."""

    return nothing if as_json or session.quiet else tell


def conclude(
    session: Session,
    sent: Sequence[Sent],
    destination: Destination | None,
    *,
    as_json: bool,
    delivered: str = "published",
) -> None:
    """Say what it came to. `delivered`: what to call those that arrived.

    Raises PublishError, or IndexUnavailableError where nothing worse happened.
    """
    if as_json:
        session.json([one.to_json() for one in sent])
    counts = {outcome: sum(one.outcome == outcome for one in sent) for outcome in _STYLES}
    words = {outcome: outcome for outcome in counts} | {"published": delivered}
    told = ", ".join(f"{count} {words[outcome]}" for outcome, count in counts.items() if count) or "nothing to deliver"
    session.say(f"{told} [{destination.url}]" if destination is not None else told)
    if counts["spooled"]:
        session.say(
            "spooled: accepted and kept on disk, not yet delivered; the next `wheelhouse publish` or"
            " `wheelhouse spool retry` delivers"
        )
    troubled = [one for one in sent if one.trouble]
    if not troubled:
        return
    worst = next((one for one in troubled if one.outcome != "unavailable"), troubled[0])
    kind = IndexUnavailableError if worst.outcome == "unavailable" else PublishError
    others = f" (and {len(troubled) - 1} more)" if len(troubled) > 1 else ""
    raise kind(f"{worst.filename}: {worst.reason}{others}", hint=worst.hint)


def _dist(session: Session) -> Path:
    dist = session.workspace.dist
    if not dist.is_dir():
        raise UsageError(f"there are no finished wheels: {dist} does not exist", hint="`wheelhouse build` makes them")
    return dist


def _plan(session: Session, ready: Sequence[Publishable], destination: Destination, *, as_json: bool) -> None:
    """Say what would be sent."""
    if as_json:
        session.json([{"wheel": one.name.filename, "sha256": one.sha256, "index": destination.url} for one in ready])
        return
    for one in ready:
        click.echo(f"would send  {one.name.filename}")
    session.say(f"{len(ready)} wheels would go to {destination.url}")
