"""`wheelhouse mirror`: fetch ahead what a fleet needs, and look after what was fetched."""

from __future__ import annotations

import os
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from wheelhouse.cli.session import pass_session
from wheelhouse.errors import MachineError, NotOnIndexError, PrefetchError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from packaging.utils import NormalizedName
    from packaging.version import Version

    from wheelhouse.cli.session import Session
    from wheelhouse.index.prefetch import Outcome
    from wheelhouse.index.settings import Settings
    from wheelhouse.index.stores.shelf import Kept, Shelf
    from wheelhouse.index.upstream.mirror import MirrorSetup
    from wheelhouse.requirements.fleet import Choice, FleetTarget, Wish

_as_json = click.option("--json", "as_json", is_flag=True, help="For scripts.")
_file = click.Path(exists=True, dir_okay=False, path_type=Path)
_BESIDE = ".metadata"


@click.group()
def mirror() -> None:
    """Look after what `wheelhouse serve` has from other indexes: fetch ahead, list, drop."""


@mirror.command(
    epilog="""\b
Examples:
  wheelhouse mirror add numpy scipy --python 3.13 --arch aarch64
  wheelhouse mirror add -r requirements.txt --python 3.12 --python 3.13 --arch x86_64 --arch aarch64
  wheelhouse mirror add --lock uv.lock --arch x86_64 --libc musl --sdists
"""
)
@click.argument("requirements", metavar="[REQUIREMENT]...", nargs=-1)
@click.option("-r", "--requirement", "files", metavar="FILE", type=_file, multiple=True, help="A requirements.txt.")
@click.option("--lock", "locks", metavar="FILE", type=_file, multiple=True, help="A pylock.toml or uv.lock.")
@click.option("--python", "pythons", metavar="VERSION", multiple=True, help="As 3.13 or 3.13t. [default: this one]")
@click.option("--arch", "archs", metavar="ARCH", multiple=True, help="As x86_64, aarch64. [default: this machine's]")
@click.option("--libc", "libcs", type=click.Choice(["glibc", "musl"]), multiple=True, help="[default: glibc]")
@click.option(
    "--glibc",
    metavar="VERSION",
    default="2.28",
    show_default=True,
    help="The oldest glibc of the fleet: wheels that need a newer one are left alone.",
)
@click.option("--no-deps", is_flag=True, help="Only what is named, not what it needs.")
@click.option("--sdists", is_flag=True, help="The sdists of the same versions too. Nothing is built.")
@_as_json
@pass_session
def add(
    session: Session,
    /,
    *,
    requirements: tuple[str, ...],
    files: tuple[Path, ...],
    locks: tuple[Path, ...],
    pythons: tuple[str, ...],
    archs: tuple[str, ...],
    libcs: tuple[str, ...],
    glibc: str,
    no_deps: bool,
    sdists: bool,
    as_json: bool,
) -> None:
    """Fetch all that the named projects need on each Python and architecture, and keep it: eviction spares it.

    With what was fetched, `wheelhouse serve --offline` needs no network. Resolved by uv through the index itself, so
    that its rules hold here too. What one target lacks stops no other; run it again to take up what is missing.
    """
    import asyncio  # noqa: PLC0415 - start-up time

    from wheelhouse.requirements.fleet import Asked, Locked  # noqa: PLC0415 - likewise

    wishes: list[Wish] = [Locked(file=file) for file in locks]
    if requirements or files:
        wishes.append(Asked(requirements=_checked(requirements), files=files, dependencies=not no_deps))
    if not wishes:
        raise UsageError("there is nothing to fetch", hint="name projects, or give -r requirements.txt or --lock FILE")
    targets = _targets(pythons, archs, libcs, glibc)
    settings, setup = _settings(session)
    if setup.offline:
        raise UsageError("the mirror is offline by configuration", where="mirror.offline", hint="fetch where it is not")
    choices, outcomes = asyncio.run(_add(session, settings, setup, wishes, targets, sdists=sdists))
    _report(session, choices, outcomes, as_json=as_json)


async def _add(
    session: Session,
    settings: Settings,
    setup: MirrorSetup,
    wishes: Sequence[Wish],
    targets: Sequence[FleetTarget],
    *,
    sdists: bool,
) -> tuple[list[Choice], list[Outcome]]:
    import asyncio  # noqa: PLC0415 - start-up time

    from wheelhouse.cli.fetching import Fetching  # noqa: PLC0415 - likewise
    from wheelhouse.index.prefetch import Sought, fetch_ahead, reading_site  # noqa: PLC0415 - likewise
    from wheelhouse.index.serving.loopback import loopback  # noqa: PLC0415 - likewise
    from wheelhouse.index.upstream.mirror import Mirror  # noqa: PLC0415 - likewise
    from wheelhouse.process import Processes  # noqa: PLC0415 - likewise
    from wheelhouse.requirements.fleet import choose, merged  # noqa: PLC0415 - likewise

    begun = time.time()
    opened, processes = Mirror.open(setup), Processes()
    fetching = Fetching(session.talk, received=lambda: opened.counters.bytes_fetched)
    try:
        with fetching.following():
            app, catalog = reading_site(settings, opened)
            fetching.stage(f"resolving for {', '.join(map(str, targets))}")
            async with loopback(app) as root:
                choices = await asyncio.to_thread(choose, wishes, targets, index=f"{root}simple/", processes=processes)
            sought = [
                Sought(project=chosen.project, filename=chosen.filename, sha256=chosen.sha256)
                for chosen, _ in merged(choices)
            ]
            outcomes = await fetch_ahead(
                sought, catalog=catalog, mirror=opened, sdists=sdists, follower=fetching, since=begun
            )
    finally:
        processes.cancel()
        await opened.close()
    return choices, outcomes


def _report(session: Session, choices: Sequence[Choice], outcomes: Sequence[Outcome], *, as_json: bool) -> None:
    from wheelhouse.cli.fetching import closing_table  # noqa: PLC0415 - start-up time

    if as_json:
        told = [
            {
                "target": str(choice.target),
                "files": [chosen.filename for chosen in choice.files],
                "problems": choice.problems,
            }
            for choice in choices
        ]
        session.json({"targets": told, "files": [asdict(outcome) for outcome in outcomes]})
    closing_table(session.talk, choices, outcomes)
    failed = sum(outcome.state == "failed" for outcome in outcomes) + sum(len(choice.problems) for choice in choices)
    if failed:
        raise PrefetchError(
            f"{failed} of what was asked for is not here; the rest is",
            hint="the lines above say why; the same command again fetches only what is missing",
        )


@mirror.command(name="list")
@click.argument("requirements", metavar="[PROJECT]...", nargs=-1)
@_as_json
@pass_session
def list_(session: Session, /, *, requirements: tuple[str, ...], as_json: bool) -> None:
    """List what was fetched ahead and is kept; files that were fetched on demand come and go."""
    kept = sorted(_matching(_shelf(session), requirements), key=lambda item: item.name)
    wheels = [item for item in kept if not item.name.endswith(_BESIDE)]
    if as_json:
        session.json([asdict(item) for item in wheels])
        return
    for item in wheels:
        click.echo(f"{item.name}  {'missing' if item.size is None else f'{item.size} bytes'}")


@mirror.command(
    epilog="""\b
Examples:
  wheelhouse mirror drop scipy
  wheelhouse mirror drop 'numpy<2'
  wheelhouse mirror drop --all
"""
)
@click.argument("requirements", metavar="[PROJECT]...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All that was fetched ahead.")
@pass_session
def drop(session: Session, /, *, requirements: tuple[str, ...], everything: bool) -> None:
    """Remove what was fetched ahead, all files of a project or of the versions named; not what it needs in turn."""
    if bool(requirements) is everything:
        raise UsageError("name what to drop, or say --all")
    shelf = _shelf(session)
    found = _matching(shelf, requirements)
    if not found and requirements:
        raise NotOnIndexError(f"nothing of {', '.join(requirements)} is kept", hint="`wheelhouse mirror list` has all")
    for item in found:
        shelf.remove(item.sha256)  # type: ignore[union-attr] # what was found is on a shelf
    files = sum(not item.name.endswith(_BESIDE) for item in found)
    session.talk.print(f"{files} files dropped, {sum(item.size or 0 for item in found):,} bytes", markup=False)


@mirror.command()
@_as_json
@pass_session
def stats(session: Session, /, *, as_json: bool) -> None:
    """Say how much is here, and how much of it is kept on purpose."""
    shelf = _shelf(session)
    kept = _matching(shelf, ())
    found = shelf.stats() if shelf is not None else None
    told = {
        "files": found.files if found else 0,
        "bytes": found.size if found else 0,
        "budget": found.budget if found else None,
        "evicted": found.evicted if found else 0,
        "kept_files": len(kept),
        "kept_bytes": sum(item.size or 0 for item in kept),
        "kept_missing": sum(item.size is None for item in kept),
    }
    if as_json:
        session.json(told)
        return
    for name, value in told.items():
        click.echo(f"{name.replace('_', ' '):<13} {'no bound' if value is None else f'{value:,}'}")


def _settings(session: Session) -> tuple[Settings, MirrorSetup]:
    try:
        from wheelhouse.index.environment import with_variables  # noqa: PLC0415 - start-up time
        from wheelhouse.index.settings import Settings  # noqa: PLC0415 - likewise
        from wheelhouse.index.upstream.setup import mirror_setup  # noqa: PLC0415 - likewise
    except ModuleNotFoundError as error:
        raise MachineError(
            f"the index needs {error.name}, which is not installed", hint="pip install 'wheelhouse[index]'"
        ) from error
    workspace = session.workspace
    setup = mirror_setup(workspace, workspace.config.mirror, os.environ)
    if setup is None:
        raise UsageError("nothing is mirrored, by configuration", where="mirror.enabled")
    return Settings.of(workspace, with_variables(workspace.config.serve, os.environ)), setup


def _shelf(session: Session) -> Shelf | None:
    """Open the shelf of the mirror; None: nothing was ever fetched."""
    from wheelhouse.index.upstream.mirror import Mirror  # noqa: PLC0415 - start-up time

    _, setup = _settings(session)
    return Mirror.open(setup).shelf if setup.folder.is_dir() else None


def _matching(shelf: Shelf | None, requirements: tuple[str, ...]) -> list[Kept]:
    """Return what is kept of some projects, of versions where they are named; of all, where no project is."""
    from packaging.requirements import Requirement  # noqa: PLC0415 - start-up time
    from packaging.utils import canonicalize_name  # noqa: PLC0415 - likewise

    kept = list(shelf.kept()) if shelf is not None else []
    if not requirements:
        return kept
    wanted = [Requirement(text) for text in _checked(requirements)]

    def fits(project: NormalizedName, version: Version) -> bool:
        return any(
            canonicalize_name(each.name) == project and each.specifier.contains(version, prereleases=True)
            for each in wanted
        )

    return [item for item in kept if fits(*_release(item.name))]


def _release(name: str) -> tuple[NormalizedName, Version]:
    from wheelhouse.index.model import FileName  # noqa: PLC0415 - start-up time

    parsed = FileName.parse(name.removesuffix(_BESIDE))
    return parsed.project, parsed.version


def _checked(requirements: tuple[str, ...]) -> tuple[str, ...]:
    """Return requirements that are some: uv would take options and addresses too."""
    from packaging.requirements import InvalidRequirement, Requirement  # noqa: PLC0415 - start-up time

    for text in requirements:
        try:
            requirement = Requirement(text)
        except InvalidRequirement as error:
            raise UsageError(
                f"`{text}` is no requirement", hint="as in numpy, 'numpy<3' or 'uvicorn[standard]'"
            ) from error
        if requirement.url is not None:
            raise UsageError(f"`{text}` is not from an index", hint="name a project and, if need be, versions")
    return requirements


def _targets(pythons: Sequence[str], archs: Sequence[str], libcs: Sequence[str], glibc: str) -> list[FleetTarget]:
    import sys  # noqa: PLC0415 - for a default

    from wheelhouse.requirements.fleet import FleetTarget  # noqa: PLC0415 - start-up time
    from wheelhouse.target import native_arch  # noqa: PLC0415 - likewise

    major, dot, minor = glibc.partition(".")
    if major != "2" or not dot or not minor.isdecimal():
        raise UsageError(f"`{glibc}` is no version of glibc", where="--glibc", hint="as in 2.28")
    this = f"{sys.version_info.major}.{sys.version_info.minor}"
    return [
        FleetTarget.parse(python=python, arch=arch, libc=libc, glibc=int(minor))
        for python in dict.fromkeys(pythons or [this])
        for arch in dict.fromkeys(archs or [native_arch()])
        for libc in dict.fromkeys(libcs or ["glibc"])
    ]
