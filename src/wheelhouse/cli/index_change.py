"""`wheelhouse index yank | unyank | delete | status | policy`: in a store, or on an index that runs elsewhere."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import click

from wheelhouse.cli.audit import note
from wheelhouse.cli.index_store import PLACE, open_repository
from wheelhouse.cli.session import pass_session
from wheelhouse.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from packaging.utils import NormalizedName
    from packaging.version import Version

    from wheelhouse.cli.session import Session
    from wheelhouse.index.changes.repository import Repository
    from wheelhouse.index.model import File

_STATUSES = ("active", "archived", "deprecated", "quarantined")
_POLICIES = ("private", "overlay", "mirror")
_what = click.argument("what", metavar="FILENAME|PROJECT==VERSION...", nargs=-1, required=True)
_url = click.option(
    "--url",
    metavar="URL",
    help="Do it on the index that runs there, with the token in WHEELHOUSE_TOKEN, TWINE_PASSWORD or a keyring.",
)
_reason = click.option("--reason", help="Why; for the audit log, and a yank's and a status's for everybody.")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Target:
    """A file, or all files of a version."""

    project: NormalizedName
    what: str | Version

    @property
    def path(self) -> str:
        """Where a running index has it."""
        kind = "files" if isinstance(self.what, str) else "releases"
        return f"/_/projects/{self.project}/{kind}/{quote(str(self.what), safe='')}"


@click.command(
    epilog="""\b
Examples:
  wheelhouse index yank spam-1.0-py3-none-any.whl --reason 'segfaults on import'
  wheelhouse index yank spam==1.0 --url https://wheels.example/
"""
)
@_what
@_reason
@_url
@pass_session
def yank(session: Session, /, *, what: tuple[str, ...], reason: str | None, url: str | None) -> None:
    """Mark files as yanked: installed only where exactly their version is asked for (PEP 592)."""
    _change(session, "yank", _targets(what), reason=reason, url=url)


@click.command()
@_what
@_reason
@_url
@pass_session
def unyank(session: Session, /, *, what: tuple[str, ...], reason: str | None, url: str | None) -> None:
    """Take a yank back."""
    _change(session, "unyank", _targets(what), reason=reason, url=url)


@click.command()
@_what
@_url
@pass_session
def delete(session: Session, /, *, what: tuple[str, ...], url: str | None) -> None:
    """Take files off the index. Their names are never given to other bytes; `gc` makes room later."""
    _change(session, "delete", _targets(what), reason=None, url=url)


@click.command()
@click.argument("project")
@click.argument("status", type=click.Choice(_STATUSES))
@_reason
@_url
@pass_session
def status(session: Session, /, *, project: str, status: Any, reason: str | None, url: str | None) -> None:
    """Set a project's status (PEP 792): archived and quarantined take no files, and of the latter none is offered."""
    from wheelhouse.index.model import parse_project  # noqa: PLC0415 - start-up time

    name = parse_project(project)
    if url is not None:
        _ask(session, url, [("PUT", f"/_/projects/{name}/status", {"status": status, "reason": reason})])
        return
    open_repository(session).set_status(name, status, reason)
    note(session, "status", project=name, reason=f"{status}: {reason or ''}".rstrip(": "))


@click.command()
@click.argument("project")
@click.argument("policy", type=click.Choice(_POLICIES))
@_url
@pass_session
def policy(session: Session, /, *, project: str, policy: Any, url: str | None) -> None:
    """Say what is shown of a project: ours alone, ours over upstream's, or upstream's alone."""
    from wheelhouse.index.model import parse_project  # noqa: PLC0415 - start-up time

    name = parse_project(project)
    if url is not None:
        _ask(session, url, [("PUT", f"/_/projects/{name}/policy", {"policy": policy})])
        return
    open_repository(session).set_policy(name, policy)
    note(session, "policy", project=name, reason=policy)


def _change(session: Session, verb: str, targets: Sequence[_Target], *, reason: str | None, url: str | None) -> None:
    if url is not None:
        said = {"reason": reason} if reason else {}
        questions = [
            ("DELETE", target.path, None) if verb == "delete" else ("POST", f"{target.path}/{verb}", said)
            for target in targets
        ]
        _ask(session, url, questions)
        return
    repository = open_repository(session)
    for target in targets:
        for file in _changed(repository, verb, target, reason):
            note(session, verb, project=target.project, filename=file.filename, reason=reason)


def _changed(repository: Repository, verb: str, target: _Target, reason: str | None) -> list[File]:
    if verb == "yank":
        return repository.yank(target.project, target.what, reason)
    change = repository.unyank if verb == "unyank" else repository.delete
    return change(target.project, target.what)


def _ask(session: Session, url: str, questions: Sequence[tuple[str, str, dict[str, Any] | None]]) -> None:
    """Ask a running index for changes, one after the other."""
    from wheelhouse.index.client import IndexClient  # noqa: PLC0415 - start-up time

    if click.get_current_context().meta[PLACE] is not None:
        raise UsageError("--store and --url are two places", hint="give one of them")
    with IndexClient.of(url, os.environ) as client:
        for method, path, body in questions:
            told = client.ask(method, path, body)
            for filename in told["files"]:
                session.talk.print(filename, markup=False)


def _targets(words: tuple[str, ...]) -> list[_Target]:
    """Read what is meant, all of it before anything is done. Raises IndexRefusesError, UsageError."""
    from packaging.version import InvalidVersion, Version  # noqa: PLC0415 - start-up time

    from wheelhouse.index.model import FileName, parse_project  # noqa: PLC0415 - likewise

    targets = []
    for word in words:
        project, equals, version = word.partition("==")
        if not equals:
            targets.append(_Target(project=FileName.parse(word).project, what=word))
            continue
        try:
            targets.append(_Target(project=parse_project(project), what=Version(version)))
        except InvalidVersion as error:
            raise UsageError(f"`{version}` is no version", hint="as in spam==1.0") from error
    return targets
