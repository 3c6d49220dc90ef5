"""A job in; the files that a minion needs to build it, as one text, out."""

from __future__ import annotations

import base64
import zlib
from typing import TYPE_CHECKING

import orjson

from wheelhouse.config import FILE_NAME
from wheelhouse.errors import InvalidFileError, Problem
from wheelhouse.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from wheelhouse.config import Workspace
    from wheelhouse.job import Job

#: What the files of one job may come to (bytes): Salt keeps what it sends in memory, several times.
MOST = 1024 * 1024


class Bundles:
    """Bundles of the jobs of a registry. One object a run: recipes are read once."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._registry = Registry(folder=workspace.registry)
        self._made: dict[str, str] = {}

    def of(self, job: Job) -> str:
        """Return `wheelhouse.toml` and the recipes of a job and of what it depends on. Raises InvalidFileError."""
        if job.project not in self._made:
            self._made[job.project] = self._make(job.project)
        return self._made[job.project]

    def _make(self, project: str) -> str:
        files = {}
        settings = self._workspace.registry.parent / FILE_NAME
        files[FILE_NAME] = settings.read_bytes() if settings.is_file() else b""
        for name in self._registry.load([project]):  # and those that it depends on
            folder = self._registry.path(name).parent
            for path in _files(folder):
                files[f"recipes/{name}/{path.relative_to(folder).as_posix()}"] = path.read_bytes()
        size = sum(map(len, files.values()))
        if size > MOST:
            problem = Problem(file=self._registry.path(project), message=f"has {size} bytes, and a job may have {MOST}")
            raise InvalidFileError(
                f"the recipe of {project} is too big to be sent to a minion",
                problems=[problem],
                hint="a patch belongs there, a source is fetched",
            )
        return pack(files)


def pack(files: Mapping[str, bytes]) -> str:
    """Return files as a text that YAML leaves alone."""
    texts = {name: base64.b64encode(data).decode() for name, data in files.items()}
    return base64.b64encode(zlib.compress(orjson.dumps(texts, option=orjson.OPT_SORT_KEYS))).decode()


def _files(folder: Path) -> list[Path]:
    """Return a recipe's files, without what editors and git leave there."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and not any(part[0] in ".#_" for part in path.relative_to(folder).parts)
    )
