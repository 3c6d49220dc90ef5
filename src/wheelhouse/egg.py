"""An egg (file or folder) or a bdist_wininst installer in; a wheel that installers take out.

The wheel library does the conversion proper. What it leaves wrong is mended before it (loader stubs, bytecode, scripts,
licence files that eggs do not carry) and after it (`py312-cp312` is a tag that no installer takes).
"""

from __future__ import annotations

import re
import shutil
import stat
import sys
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from wheelhouse.errors import BuildError, InvalidWheelError, SourceError
from wheelhouse.process import Failure
from wheelhouse.repair import newest_member, repair_wheel, wheel_arch
from wheelhouse.source.archive import settle, unpack
from wheelhouse.wheel import WheelName

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wheelhouse.job import RepairSpec
    from wheelhouse.process import Processes

#: An egg's name tells which Python it is for (setuptools, "The Internal Structure of Python Eggs").
_NAME = re.compile(r"(?P<name>.+?)-(?P<version>.+?)(?:-py(?P<python>\d\.\d+)(?:-(?P<platform>.+?))?)?\.egg")
_SHEBANG = re.compile(rb"\A#![^\n]*python[\d.]*(?=[ \n\r])")
_STUB = "def __bootstrap__():"
_INFO = "EGG-INFO"
#: CPython's ABI tag carried `m` (pymalloc) up to this version.
_LAST_WITH_M = (3, 7)
#: The first second that a zip archive can hold.
_FIRST = 315532800
_TIMEOUT = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What a conversion works with."""

    processes: Processes
    environment: Mapping[str, str]
    work: Path
    """An empty folder."""
    repair: RepairSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class _Egg:
    """A copy of an egg's contents."""

    folder: Path
    """Named as the conversion wants it."""
    python: tuple[int, int] | None
    epoch: int
    """Time of its newest file, seconds."""


def is_egg(path: Path) -> bool:
    """Say whether a path is meant as an egg or an old Windows installer, by its name and contents."""
    return path.suffix.lower() in {".egg", ".exe"} or (path / _INFO).is_dir()


def convert_egg(path: Path, *, destination: Path, tools: Tools) -> Path:
    """Convert an egg or installer into a wheel in `destination`, repaired where it holds binaries, and return its path.

    Raises InvalidWheelError where the file is no egg that has a wheel, BuildError where auditwheel cannot repair it.
    """
    if path.suffix.lower() == ".exe":
        raw = _run_convert(_installer(path), tools)
    else:
        egg = _unpacked(path, tools.work)
        _tidy(egg.folder)
        tools = replace(tools, environment={"SOURCE_DATE_EPOCH": str(egg.epoch), **tools.environment})
        raw = _retagged(_run_convert(egg.folder, tools), egg.python, tools)
        _make_scripts_executable(raw)
    name = WheelName.parse(raw.name)
    if not any("linux" in tag.platform for tag in name.tags):
        destination.mkdir(parents=True, exist_ok=True)
        return Path(shutil.copyfile(raw, destination / raw.name))
    try:
        return repair_wheel(
            raw,
            destination=destination,
            spec=tools.repair,
            arch=wheel_arch(name),
            log=None,
            processes=tools.processes,
            env={**tools.environment, "SOURCE_DATE_EPOCH": str(newest_member(raw))},
        )
    except BuildError as error:
        raise BuildError(error.message, where=str(path), hint=error.hint) from error


def _unpacked(path: Path, work: Path) -> _Egg:
    folder = work / "egg"
    if path.is_dir():
        if links := [file for file in path.rglob("*") if file.is_symlink()]:
            raise InvalidWheelError("an egg holds no links", where=str(links[0]))
        shutil.copytree(path, folder)
        epoch = max((int(file.stat().st_mtime) for file in folder.rglob("*")), default=0)
    else:
        if not zipfile.is_zipfile(path):
            raise InvalidWheelError("is not an egg: it is no zip archive", where=str(path))
        try:
            epoch = unpack(path, folder).epoch
            settle(folder, epoch=epoch)
        except SourceError as error:
            raise InvalidWheelError(f"is not an egg: {error.message}", where=str(path)) from error
    metadata = folder / _INFO / "PKG-INFO"
    if not metadata.is_file():
        raise InvalidWheelError("is not an egg: it holds no EGG-INFO/PKG-INFO", where=str(path))
    found = _NAME.fullmatch(path.name)
    headers = _headers(metadata)
    name, version = headers.get("name"), headers.get("version")
    if not name or not version:
        raise InvalidWheelError("its EGG-INFO/PKG-INFO names no project or no version", where=str(path))
    python = found and found["python"]
    platform = found and found["platform"]
    binaries = list(folder.rglob("*.so"))
    if binaries and not platform:
        raise InvalidWheelError(
            f"holds a binary ({binaries[0].name}), and its name does not say for which Python and platform",
            where=str(path),
            hint="the name of an egg with binaries ends in -py3.12-linux-x86_64.egg",
        )
    if python and python.startswith("2."):
        raise InvalidWheelError(
            f"is for Python {python}, which no wheel of ours is for",
            where=str(path),
            hint="build a release for Python 3 instead",
        )
    parts = [canonicalize_name(name).replace("-", "_"), _version(version, path), *([f"py{python}"] if python else [])]
    if platform and binaries:
        parts.append(platform)
    named = folder.rename(work / f"{'-'.join(parts)}.egg")
    major, _, minor = (python or "").partition(".")
    return _Egg(folder=named, python=(int(major), int(minor)) if python else None, epoch=max(epoch, _FIRST))


def _version(text: str, path: Path) -> str:
    try:
        return str(Version(text))
    except InvalidVersion as error:
        raise InvalidWheelError(
            f"its version `{text}` is none that wheels can have (PEP 440)", where=str(path)
        ) from error


def _headers(metadata: Path) -> dict[str, str]:
    from email.parser import Parser  # noqa: PLC0415 - start-up time

    parsed = Parser().parsestr(metadata.read_text("utf-8", "replace"), headersonly=True)
    return {key.lower(): str(value).strip() for key, value in parsed.items()}


def _tidy(folder: Path) -> None:
    """Make the contents of an egg those of a wheel, as far as the conversion does not."""
    for path in sorted(folder.rglob("*.pyc")):
        # Bytecode without its source is the code itself: eggs can be made so.
        if path.parent.name == "__pycache__" or path.with_suffix(".py").is_file():
            path.unlink()
    for path in sorted(folder.rglob("__pycache__")):
        if not any(path.iterdir()):
            path.rmdir()
    for path in folder.rglob("*.py"):
        # setuptools puts a loader, which needs pkg_resources, beside each extension for eggs imported as zip files.
        if _has_extension(path) and path.read_text("utf-8", "replace").startswith(_STUB):
            path.unlink()
    _move_scripts(folder)
    _mend_metadata(folder)


def _move_scripts(folder: Path) -> None:
    """Put the scripts of an egg where a wheel has them, for whatever Python installs it."""
    scripts = folder / _INFO / "scripts"
    if not scripts.is_dir():
        return
    project, version = folder.name.removesuffix(".egg").split("-")[:2]
    data = folder / f"{project}-{version}.data"
    data.mkdir()
    for path in scripts.iterdir():
        if path.is_file():
            # Installers put their own Python where a script begins so (PEP 427).
            path.write_bytes(_SHEBANG.sub(b"#!python", path.read_bytes(), count=1))
            path.chmod(path.stat().st_mode | stat.S_IXUSR)
    scripts.rename(data / "scripts")


def _mend_metadata(folder: Path) -> None:
    metadata = folder / _INFO / "PKG-INFO"
    lines = metadata.read_text("utf-8", "replace").splitlines(keepends=True)
    end = lines.index("\n") if "\n" in lines else len(lines)
    version = folder.name.removesuffix(".egg").split("-")[1]
    # An egg has no place for licence files: METADATA would promise files that are not there (PEP 639).
    kept = [line for line in lines[:end] if not line.startswith("License-File:")]
    kept = [f"Version: {version}\n" if line.startswith("Version:") else line for line in kept]
    # The conversion takes the description from the header in which it stood before metadata 2.1, and drops the body.
    if body := "".join(lines[end + 1 :]).rstrip():
        kept = [line for line in kept if not line.startswith("Description:")]
        kept.append("Description: " + body.replace("\n", "\n        ") + "\n")
    metadata.write_text("".join([*kept, "\n"]), "utf-8")


def _make_scripts_executable(wheel: Path) -> None:
    """Give the scripts of a wheel the mode that the conversion does not write; installers leave it as it is."""
    with zipfile.ZipFile(wheel) as archive:
        members = [(info, archive.read(info)) for info in archive.infolist()]
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for info, data in members:
            mode = 0o755 if ".data/scripts/" in info.filename else 0o644
            info.external_attr = (stat.S_IFREG | mode) << 16
            archive.writestr(info, data)


def _has_extension(path: Path) -> bool:
    return any(path.parent.glob(f"{path.stem}.*so")) or any(path.parent.glob(f"{path.stem}.*pyd"))


def _installer(path: Path) -> Path:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError) as error:
        raise InvalidWheelError("is not a bdist_wininst installer: it holds no zip archive", where=str(path)) from error
    if not any(".egg-info/" in name for name in names):
        raise InvalidWheelError(
            "is not a bdist_wininst installer of a Python project",
            where=str(path),
            hint="other installers (MSI, Inno Setup, NSIS) hold no Python metadata; build from the source",
        )
    if unsafe := [name for name in names if name.startswith("/") or ".." in name.split("/") or "\\" in name]:
        raise InvalidWheelError(f"holds a file that leaves its folder: {unsafe[0]}", where=str(path))
    return path


def _run_convert(path: Path, tools: Tools) -> Path:
    command: list[str | Path] = [sys.executable, "-m", "wheel", "convert", "--dest-dir", tools.work / "converted", path]
    return _run(command, path, tools)


def _retagged(wheel: Path, python: tuple[int, int] | None, tools: Tools) -> Path:
    name = WheelName.parse(wheel.name)
    if python is None or all(tag.abi == "none" for tag in name.tags):
        return wheel
    interpreter = f"cp{python[0]}{python[1]}"
    abi = f"{interpreter}m" if python <= _LAST_WITH_M else interpreter
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "wheel",
        "tags",
        "--remove",
        "--python-tag",
        interpreter,
        "--abi-tag",
        abi,
        wheel,
    ]
    return _run(command, wheel, tools)


def _run(command: list[str | Path], path: Path, tools: Tools) -> Path:
    """Run a command of the wheel library, and return the one wheel that is there afterwards."""
    folder = tools.work / "converted"
    folder.mkdir(exist_ok=True)
    try:
        tools.processes.run(command, env=tools.environment, timeout=_TIMEOUT)
    except Failure as failure:
        said = [line for line in failure.completed.output.splitlines() if line.strip()]
        raise InvalidWheelError(f"cannot be converted: {said[-1] if said else failure}", where=path.name) from failure
    wheels = list(folder.glob("*.whl"))
    if len(wheels) != 1:
        raise InvalidWheelError("cannot be converted: the wheel library made no wheel of it", where=path.name)
    return wheels[0]
