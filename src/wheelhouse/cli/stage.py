"""`wheelhouse stage`: releases that are uploaded and not published yet: look, test, publish, drop."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from wheelhouse.cli.remote import connected, parse_stage, tell_published
from wheelhouse.cli.session import pass_session
from wheelhouse.errors import UsageError

if TYPE_CHECKING:
    from wheelhouse.cli.session import Session

_url = click.option(
    "--url",
    metavar="URL",
    envvar="WHEELHOUSE_URL",
    help="The index. [default: the one that `publish` sends to] The token: WHEELHOUSE_TOKEN or TWINE_PASSWORD.",
)
_as_json = click.option("--json", "as_json", is_flag=True, help="For scripts.")
_stage = click.argument("stage", metavar="STAGE", callback=lambda _ctx, _param, text: parse_stage(text))


def parse_python(text: str) -> tuple[int, int]:
    """Return a version of Python. Raises UsageError."""
    form = re.fullmatch(r"(\d)\.(\d{1,2})", text)
    if form is None:
        raise UsageError(f"`{text}` is no version of Python", hint="as in 3.13")
    return int(form[1]), int(form[2])


@click.group(
    epilog="""\b
Examples:
  wheelhouse publish --stage release-7 && wheelhouse stage test release-7
  wheelhouse stage publish release-7
  wheelhouse stage list --url https://wheels.example/
"""
)
def stage() -> None:
    """Look at, test, publish and drop staged releases: all their files appear on the index at once."""


@stage.command(name="list")
@_url
@_as_json
@pass_session
def list_(session: Session, /, *, url: str | None, as_json: bool) -> None:
    """List the stages that have files of your projects."""
    with connected(session, url) as client:
        stages = client.ask("GET", "/_/stages/")["stages"]
    if as_json:
        session.json(stages)
        return
    for one in stages:
        projects = dict.fromkeys(f"{file['project']} {file['version']}" for file in one["files"])
        click.echo(f"{one['stage']}  {len(one['files'])} files: {', '.join(projects)}")


@stage.command()
@_stage
@_url
@_as_json
@pass_session
def show(session: Session, /, *, stage: str, url: str | None, as_json: bool) -> None:
    """List the files of a stage, and say where pip finds them."""
    with connected(session, url) as client:
        found = client.ask("GET", f"/_/stages/{stage}/")
        root = client.root
    if as_json:
        session.json({**found, "simple": f"{root}/_/stages/{stage}/simple/"})
        return
    for file in found["files"]:
        click.echo(f"{file['filename']}  {file['size']} bytes  {file['staged'][:16].replace('T', ' ')} UTC")
    session.talk.print(f"pip install --index-url {root}/_/stages/{stage}/simple/ PACKAGE", markup=False)


@stage.command()
@_stage
@click.option("--python", "pythons", metavar="VERSION", multiple=True, help="Only with this one; can be repeated.")
@_url
@_as_json
@pass_session
def test(session: Session, /, *, stage: str, pythons: tuple[str, ...], url: str | None, as_json: bool) -> None:
    """Install each staged wheel that fits this machine into a clean environment, from the stage's URL, and import it.

    What the wheels require comes from the stage too, and from the index behind it. Exit status 9: one does not work.
    """
    from wheelhouse.cli.staging import expect_all_work, tell_tried, try_stage  # noqa: PLC0415 - start-up time

    versions = [parse_python(text) for text in pythons]
    with connected(session, url) as client:
        tried = try_stage(client, session, stage, versions, (lambda _: None) if as_json else tell_tried)
    if as_json:
        session.json([asdict(one) for one in tried])
    expect_all_work(stage, tried)


@stage.command()
@_stage
@_url
@_as_json
@pass_session
def publish(session: Session, /, *, stage: str, url: str | None, as_json: bool) -> None:
    """Publish all of a stage, or nothing: where one file conflicts, the stage stays as it is.

    Can be repeated: what a crash cut short is ended.
    """
    with connected(session, url) as client:
        told = client.ask("POST", f"/_/stages/{stage}/publish", {})
    tell_published(session, told, as_json=as_json)


@stage.command()
@_stage
@_url
@_as_json
@pass_session
def drop(session: Session, /, *, stage: str, url: str | None, as_json: bool) -> None:
    """Drop all of a stage."""
    with connected(session, url) as client:
        told = client.ask("DELETE", f"/_/stages/{stage}/")
    if as_json:
        session.json(told)
    session.talk.print(f"stage {stage}: {len(told['dropped'])} files dropped", markup=False)
