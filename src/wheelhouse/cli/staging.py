"""What is on a stage in, tried here: each wheel that fits this machine, really installed from the stage's URL."""

from __future__ import annotations

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import click

from wheelhouse.cli.remote import parse_stage, tell_published
from wheelhouse.cli.trying import Staged, Trials
from wheelhouse.errors import CheckError, InvalidWheelError, NotOnIndexError
from wheelhouse.finding import errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from wheelhouse.cli.session import Session
    from wheelhouse.config import PublishSettings
    from wheelhouse.index.client import IndexClient
    from wheelhouse.publish import Destination, Publishable

_STYLES = {"works": "green", "fails": "red", "not tried": "yellow"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What came of one wheel."""

    wheel: str
    outcome: str
    """`works`, `fails` or `not tried`."""
    where: str
    """The Python it ran with."""
    findings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Staging:
    """Wheels on their way to a stage."""

    stage: str
    client: IndexClient
    destination: Destination
    environment: Mapping[str, str]
    """With the token for all that is asked of the index."""

    @classmethod
    def of(
        cls,
        destination: Destination,
        stage: str | None,
        wheels: Sequence[Publishable],
        *,
        settings: PublishSettings,
        timeout: float,
    ) -> Staging:
        """Find the stage and a token. Raises UsageError, TrustedPublishingError."""
        from wheelhouse.index.client import USER, IndexClient, find_token, root_of  # noqa: PLC0415 - start-up time
        from wheelhouse.publish import Destination  # noqa: PLC0415 - likewise
        from wheelhouse.publish.trusted import TrustedPublishing  # noqa: PLC0415 - likewise

        name = _by_content(wheels) if stage is None else parse_stage(stage)
        root = root_of(destination.url)
        there = Destination(url=f"{root}/_/stages/{name}/legacy/")
        way = settings.trusted_publishing
        trusted = TrustedPublishing(
            destination=there, environment=os.environ, timeout=timeout, audience=settings.audience
        )
        token = None if way == "always" else find_token(root, os.environ)
        if token is None and way != "never":
            token = trusted.token(needed=way == "always")
        environment = {**os.environ, "TWINE_USERNAME": USER, "TWINE_PASSWORD": token} if token else os.environ
        client = IndexClient(root=root, token=token, certificates=os.environ.get("TWINE_CERT"))
        return cls(stage=name, client=client, destination=there, environment=environment)

    def go_on(self, session: Session, *, test: bool, as_json: bool) -> None:
        """Test and publish, or say how."""
        if not test:
            session.talk.print(
                f"not published yet: `wheelhouse stage test {self.stage}`, then `stage publish {self.stage}`",
                markup=False,
            )
            return
        with self.client as client:
            tried = try_stage(client, session, self.stage, [], _say_nothing if as_json else tell_tried)
            expect_all_work(self.stage, tried)
            told = client.ask("POST", f"/_/stages/{self.stage}/publish", {})
        tell_published(session, told, as_json=as_json)


def _say_nothing(one: Tried) -> None:
    """Leave stdout to the JSON."""


def _by_content(wheels: Sequence[Publishable]) -> str:
    """Return the name of a stage for exactly these wheels: done again, it is the same."""
    digest = hashlib.sha256("".join(sorted(wheel.sha256 for wheel in wheels)).encode())
    return f"stage-{digest.hexdigest()[:12]}"


def try_stage(
    client: IndexClient, session: Session, stage: str, pythons: Sequence[tuple[int, int]], tell: Callable[[Tried], None]
) -> list[Tried]:
    """Install and import each wheel of a stage that fits this machine; `tell` hears of each at once.

    Raises NotOnIndexError where there is none.
    """
    tried = []
    for one in _tried(session, client, stage, pythons or [None]):
        tell(one)
        tried.append(one)
    return tried


def tell_tried(one: Tried) -> None:
    """Say what came of one wheel."""
    click.echo(f"{click.style(f'{one.outcome:<10}', fg=_STYLES[one.outcome])} {one.wheel}  {one.where}".rstrip())
    for finding in one.findings:
        click.echo(f"  {finding}")


def expect_all_work(stage: str, tried: Sequence[Tried]) -> None:
    """Raise CheckError where a wheel fails, or none could be tried."""
    failed = [one.wheel for one in tried if one.outcome == "fails"]
    if failed:
        raise CheckError(
            f"{len(failed)} of {len(tried)} wheels on the stage {stage} do not work: {', '.join(failed)}",
            hint=f"nothing was published; `wheelhouse stage drop {stage}` takes them away",
        )
    if not any(one.outcome == "works" for one in tried):
        raise CheckError(
            f"no wheel on the stage {stage} could be tried here",
            hint="test it on a machine that it is for, or with a --python that is here",
        )


def _tried(
    session: Session, client: IndexClient, stage: str, pythons: Sequence[tuple[int, int] | None]
) -> Iterator[Tried]:
    files = [file for file in client.ask("GET", f"/_/stages/{stage}/")["files"] if file["filename"].endswith(".whl")]
    if not files:
        raise NotOnIndexError(f"there are no wheels on the stage {stage}")
    with tempfile.TemporaryDirectory(prefix="wheelhouse-stage-") as folder, Trials(session) as trials:
        environment = _environment(client, Path(folder))
        for file in files:
            path = Path(folder) / file["filename"]
            address = f"/_/stages/{stage}/files/{file['sha256'][:2]}/{file['sha256']}/{quote(file['filename'])}"
            client.fetch(address, path, sha256=file["sha256"])
            staged = _staged(client, stage, file, address, environment)
            yield from (_try(trials, path, staged, python) for python in pythons)
            path.unlink()


def _try(trials: Trials, path: Path, staged: Staged, python: tuple[int, int] | None) -> Tried:
    from wheelhouse.check import examine  # noqa: PLC0415 - start-up time

    try:
        examination = examine(path)
    except InvalidWheelError as error:
        return Tried(wheel=path.name, outcome="fails", where="", findings=(str(error),))
    result = trials.run(path, examination, None, staged=staged, python=python)
    if result is None or not (result.executed or errors(result.findings)):
        asked = f"Python {python[0]}.{python[1]}: " if python else ""
        return Tried(wheel=path.name, outcome="not tried", where=f"{asked}nothing on this machine runs it")
    wrong = tuple(str(finding) for finding in errors(result.findings))
    return Tried(wheel=path.name, outcome="fails" if wrong else "works", where=result.environment, findings=wrong)


def _staged(client: IndexClient, stage: str, file: dict[str, Any], address: str, environment: dict[str, str]) -> Staged:
    from wheelhouse.trial import Published  # noqa: PLC0415 - start-up time

    requirement = f"{file['project']} @ {client.root}{address}#sha256={file['sha256']}"
    return Staged(
        index=f"{client.root}/_/stages/{stage}/simple/",
        published=Published(requirement=requirement, environment=environment),
    )


def _environment(client: IndexClient, folder: Path) -> dict[str, str]:
    """Return an environment in which uv finds the token in a file: a command line is seen by everybody."""
    from wheelhouse.index.client import USER  # noqa: PLC0415 - start-up time

    if client.token is None:
        return dict(os.environ)
    path = folder / "netrc"
    path.touch(mode=0o600)
    path.write_text(f"machine {urlsplit(client.root).hostname} login {USER} password {client.token}\n", "utf-8")
    return {**os.environ, "NETRC": str(path)}
