"""A folder or sdist without a recipe (an old `setup.py` project, say) in; a repaired wheel for this machine out.

The host builder builds it, from a job made up on the spot: nothing is known but the source itself.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from packaging.utils import InvalidSdistFilename, canonicalize_name, parse_sdist_filename
from packaging.version import Version

from wheelhouse import requirements, source
from wheelhouse.builders import BuildRequest
from wheelhouse.errors import MachineError, SourceError, UsageError
from wheelhouse.job import Job, SourceSpec
from wheelhouse.source.archive import settle
from wheelhouse.source.facts import read_facts
from wheelhouse.wheel import sha256_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from packaging.utils import NormalizedName

    from wheelhouse.builders import Builder
    from wheelhouse.config import Workspace
    from wheelhouse.joblog import JobLog
    from wheelhouse.process import Processes
    from wheelhouse.source import SourceTree
    from wheelhouse.target import BuildIdentifier

#: What a source is called until its wheel says its name and version.
_UNKNOWN = Version("0")
#: Folders of a working copy that are results, or somebody's environment, and no source.
_NOT_SOURCE = shutil.ignore_patterns("build", "dist", "__pycache__", "*.pyc", ".venv", "venv", ".tox", ".nox")
#: The first second that a zip archive can hold.
_FIRST = 315532800


@dataclass(frozen=True, slots=True, kw_only=True)
class LegacyBuild:
    """What a build without a recipe works with."""

    builder: Builder
    workspace: Workspace
    processes: Processes
    index: Callable[[], str]
    resolver_index: str | None
    """Where build requirements come from; None: where uv looks by itself."""
    work: Path
    """An empty folder."""
    log: JobLog


def is_project(path: Path) -> bool:
    """Say whether a path is a source to build: a folder with `setup.py` or `pyproject.toml`, or an archive."""
    if path.is_dir():
        return any((path / name).is_file() for name in ("setup.py", "pyproject.toml"))
    return path.name.endswith((".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".zip"))


def build_project(path: Path, target: BuildIdentifier, setting: LegacyBuild) -> Path:
    """Build a source for `target` and return its repaired wheel, in a folder of its own.

    Raises MachineError where this machine cannot build for the target, SourceError, RequirementsError and BuildError.
    """
    if reason := setting.builder.unavailable(target):
        raise MachineError(f"cannot build for {target}: {reason.reason}", where=str(path), hint=reason.hint)
    job = _job(path, target)
    tree = _tree(path, job.source, setting)
    with setting.log.stage("requirements"):
        lock = requirements.resolve(
            tree.facts,
            job,
            state_locks=setting.workspace.locks,
            cache=setting.workspace.cache,
            index=setting.resolver_index,
            own_wheels=(),
            log=setting.log,
            processes=setting.processes,
        )
        gathered = requirements.gather(lock, cache=setting.workspace.cache, folder=setting.work / "requirements")
    scratch = setting.work / "build"
    scratch.mkdir()
    request = BuildRequest(
        job=job,
        tree=tree,
        requirements=gathered,
        work=scratch,
        log=setting.log,
        processes=setting.processes,
        timeout=setting.workspace.config.build.timeout,
    )
    return setting.builder.build(request).path


def _job(path: Path, target: BuildIdentifier) -> Job:
    project, version = _identity(path)
    spec = SourceSpec(
        project=project,
        version=version,
        sha256="" if path.is_dir() else sha256_of(path),
        url=None if path.is_dir() else path.absolute().as_uri(),
    )
    # Whether the project has an extension is not known: either is fine.
    return Job(project=project, version=version, build_number=0, target=target, source=spec, extension=False)


def _identity(path: Path) -> tuple[NormalizedName, Version]:
    try:
        return parse_sdist_filename(path.name)
    except InvalidSdistFilename:
        name = canonicalize_name(path.resolve().name.split(".")[0])
        return name or canonicalize_name("source"), _UNKNOWN


def _tree(path: Path, spec: SourceSpec, setting: LegacyBuild) -> SourceTree:
    destination = setting.work / "source"
    with setting.log.stage("source"):
        if not path.is_dir():
            tree = source.prepare(
                spec, cache=setting.workspace.cache, index=setting.index, destination=destination, log=setting.log
            )
        else:
            root = destination / path.resolve().name
            try:
                shutil.copytree(path, root, symlinks=True, ignore=_NOT_SOURCE)
            except shutil.Error as error:
                raise SourceError(
                    "the folder cannot be copied", where=str(path), hint=str(error.args[0][0][2])
                ) from error
            epoch = _newest(root)
            settle(destination, epoch=epoch)
            tree = source.SourceTree(root=root, facts=read_facts(root, epoch=epoch))
    if not any((tree.root / name).is_file() for name in ("setup.py", "pyproject.toml")):
        raise UsageError("holds neither setup.py nor pyproject.toml", where=str(path))
    return tree


def _newest(root: Path) -> int:
    times = [
        int(os.lstat(os.path.join(folder, name)).st_mtime)  # noqa: PTH118 - a working copy can hold many files
        for folder, _, names in os.walk(root)
        for name in names
    ]
    return max([_FIRST, *times])
