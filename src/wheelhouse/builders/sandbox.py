"""The caller's environment in, a hostile build's out: an allow-list, folders of its own, and no network if possible."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from wheelhouse.errors import MachineError
from wheelhouse.process import Failure

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import PurePath

    from wheelhouse.process import Processes

#: What a build may know of the caller's environment. No token, no agent, no address of an index.
ALLOWED = frozenset(
    {
        "CARGO_HOME",
        "CMAKE_PREFIX_PATH",
        "JAVA_HOME",
        "LD_LIBRARY_PATH",
        "PKG_CONFIG_LIBDIR",
        "PKG_CONFIG_PATH",
        "PKG_CONFIG_SYSROOT_DIR",
        "RUSTUP_HOME",
    }
)
#: Ways to have no network, the least intrusive first: as root, then by a user namespace of one's own.
_WAYS = (("--net",), ("--map-current-user", "--net"), ("--map-root-user", "--net"))


class Network:
    """Denies the network to builds where the platform lets us. It is tried once a run."""

    def __init__(self, processes: Processes, environment: Mapping[str, str]) -> None:
        self._processes = processes
        self._path = environment.get("PATH", os.defpath)
        self._prefix: tuple[str, ...] | None = None

    @property
    def prefix(self) -> tuple[str, ...]:
        """What stands before a command that may use no network; empty where it cannot be denied."""
        if self._prefix is None:
            self._prefix = self._find()
        return self._prefix

    def _find(self) -> tuple[str, ...]:
        unshare = shutil.which("unshare", path=self._path)
        for way in _WAYS if unshare else ():
            prefix = (unshare or "", *way, "--")
            try:
                self._processes.run([*prefix, "true"], env={"PATH": self._path}, timeout=10.0)
            except (Failure, MachineError):
                continue
            return prefix
        return ()


def build_environment(
    environment: Mapping[str, str], *, work: Path, first_on_path: list[Path], epoch: int
) -> dict[str, str]:
    """Return the environment of a build. HOME and TMPDIR are folders in `work`, and are made.

    `first_on_path` comes before what the caller has on PATH.
    """
    home, temporary = work / "home", work / "tmp"
    for folder in (home, temporary):
        folder.mkdir(parents=True, exist_ok=True)
    path = [*map(os.fspath, first_on_path), *_machine_path(environment)]
    return {
        **{name: value for name, value in environment.items() if name in ALLOWED},
        **_rust(environment),
        "PATH": os.pathsep.join(path),
        "HOME": os.fspath(home),
        "TMPDIR": os.fspath(temporary),
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "SOURCE_DATE_EPOCH": str(epoch),
        "PYTHONHASHSEED": "0",
        "PYTHONNOUSERSITE": "1",
        # What a back end warns of (its own deprecations) would be repeated by build in our process, not in the log.
        "PYTHONWARNINGS": "ignore",
        "PIP_NO_INDEX": "1",
        "UV_OFFLINE": "1",
    }


def _machine_path(environment: Mapping[str, str]) -> list[str]:
    """Return the caller's PATH without Python's own tools: a build's are its requirements, and nothing else."""
    parts = [part for part in environment.get("PATH", os.defpath).split(os.pathsep) if part]
    kept = [part for part in parts if not _is_shims(Path(part)) and not (Path(part).parent / "pyvenv.cfg").is_file()]
    return list(dict.fromkeys(kept))


def _is_shims(folder: PurePath) -> bool:
    return folder.name == "shims"


def _rust(environment: Mapping[str, str]) -> dict[str, str]:
    """Return where rustup keeps its toolchain: by default in HOME, which is another one in a build."""
    home = environment.get("HOME")
    folders = {"RUSTUP_HOME": ".rustup", "CARGO_HOME": ".cargo"}
    if not home:
        return {}
    return {
        name: os.fspath(Path(home) / folder)
        for name, folder in folders.items()
        if name not in environment and (Path(home) / folder).is_dir()
    }
