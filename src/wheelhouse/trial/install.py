"""A wheel and a target in; a folder with the wheel and what it requires out, or the findings that say why not.

The installer is uv: a hundredth of the time of pip with a virtual environment, and it can install for machines that are
elsewhere. For the few targets that it has no name for, PyPA's `installer` unpacks the wheel.
"""

from __future__ import annotations

import re
import sys
import zipfile
from dataclasses import dataclass
from email.parser import BytesHeaderParser
from typing import TYPE_CHECKING

from packaging.requirements import InvalidRequirement, Requirement

from wheelhouse.errors import InvalidWheelError
from wheelhouse.finding import Finding, Severity
from wheelhouse.trial.codes import DEPENDENCY_MISSING, NOT_EXECUTED, REFUSED
from wheelhouse.trial.compatibility import fits
from wheelhouse.wheel import WheelName

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from wheelhouse.joblog import JobLog
    from wheelhouse.process import Processes
    from wheelhouse.target import BuildIdentifier

#: uv's names of Linux platforms, as new as each has: whether the machine's libc is new enough is asked elsewhere.
_PLATFORMS = {
    ("manylinux", "x86_64"): "x86_64-manylinux_2_40",
    ("manylinux", "aarch64"): "aarch64-manylinux_2_40",
    ("manylinux", "riscv64"): "riscv64-unknown-linux",
    ("musllinux", "x86_64"): "x86_64-unknown-linux-musl",
    ("musllinux", "aarch64"): "aarch64-unknown-linux-musl",
}
_INTERPRETER_LINE = re.compile(rb"#!.*python.*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A wheel on an index."""

    requirement: str
    """`name @ URL#sha256=…`."""
    environment: Mapping[str, str]
    """With what an installer needs to be let in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """What to install, for whom, and where from."""

    wheel: Path
    target: BuildIdentifier
    requires: tuple[str, ...]
    """What the test needs beside the wheel."""
    python: Path | None
    """The Python of this machine that it is for; None: another machine's."""
    index: Callable[[], str]
    """Asked only when something must be resolved."""
    own_wheels: Sequence[Path]
    """Folders with wheels of ours, which come before the index."""
    site: Path
    published: Published | None = None
    """Where users will get it from; None: from its file."""


def install(installation: Installation, *, log: JobLog, processes: Processes, timeout: float) -> tuple[Finding, ...]:
    """Install into `installation.site`; return no findings where that worked.

    Raises InvalidWheelError, BuildTimeoutError, CanceledError.
    """
    name = WheelName.parse(installation.wheel.name)
    if not fits(name.tags, installation.target):
        return (_refused(installation),)
    required = [*requirements_of(installation.wheel, installation.target), *installation.requires]
    platform = _PLATFORMS.get((installation.target.family, installation.target.arch))
    nameable = installation.target.implementation == "cp" and not installation.target.freethreaded and platform
    if installation.python is not None:
        where = ["--python", str(installation.python)]
    elif nameable:
        # uv wants some Python of this machine as well; ours spares it the search.
        where = ["--python", sys.executable, "--python-version", installation.target.python_version]
        where += ["--python-platform", str(platform)]
    elif not required:
        return _unpack(installation)
    else:
        return (_not_resolvable(installation.target, required),)
    return _with_uv(installation, required, where, log=log, processes=processes, timeout=timeout)


def requirements_of(wheel: Path, target: BuildIdentifier) -> tuple[str, ...]:
    """Return what a wheel requires on the target, without its extras.

    Raises InvalidWheelError.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            names = [name for name in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", name)]
            if len(names) != 1:
                raise InvalidWheelError(f"{wheel}: a wheel has one METADATA file; found {len(names)}")
            headers = BytesHeaderParser().parsebytes(archive.read(names[0]))
        texts: list[str] = headers.get_all("Requires-Dist") or []
        return tuple(text for text in texts if _applies(Requirement(text), target))
    except (zipfile.BadZipFile, OSError, InvalidRequirement) as error:
        raise InvalidWheelError(f"{wheel}: METADATA cannot be read: {error}") from error


def _applies(requirement: Requirement, target: BuildIdentifier) -> bool:
    if requirement.marker is None:
        return True
    version = f"{target.python[0]}.{target.python[1]}"
    systems = {"macosx": ("Darwin", "darwin", "posix"), "win": ("Windows", "win32", "nt")}
    system, platform, os_name = systems.get(target.family, ("Linux", "linux", "posix"))
    name = {"cp": "CPython", "pp": "PyPy", "gp": "GraalVM"}[target.implementation]
    return requirement.marker.evaluate(
        {
            "extra": "",
            "python_version": version,
            "python_full_version": f"{version}.0",
            "platform_machine": target.arch,
            "platform_system": system,
            "sys_platform": platform,
            "os_name": os_name,
            "platform_python_implementation": name,
            "implementation_name": name.lower(),
        }
    )


def _with_uv(
    installation: Installation,
    required: Sequence[str],
    where: Sequence[str],
    *,
    log: JobLog,
    processes: Processes,
    timeout: float,
) -> tuple[Finding, ...]:
    import uv  # noqa: PLC0415 - start-up time

    command: list[str | Path] = [uv.find_uv_bin(), "pip", "install", "--no-config", "--no-progress", "--color=never"]
    command += ["--target", installation.site, *where]
    command += ["--only-binary", ":all:", "--link-mode=copy"]
    published = installation.published
    if required or published:
        for folder in installation.own_wheels:
            command += ["--find-links", folder]
        command += ["--default-index", installation.index()]
    else:
        command += ["--no-index"]
    if published or not required:
        # uv would keep each wheel ever tried, unpacked, in the user's cache; and what is there was not fetched.
        command += ["--no-cache"]
    command += [published.requirement if published else installation.wheel.absolute(), *installation.requires]
    environment = published.environment if published else None
    completed = processes.run(command, env=environment, timeout=timeout, check=False)
    log.line(completed.output.rstrip())
    if completed.returncode == 0:
        _use_environment(installation.site / "bin")
        return ()
    said = _reason(completed.output)
    if required:
        message = f"cannot be installed with what it requires ({', '.join(required)}): {said}"
        hint = "build the missing wheels first (depends.build), or correct Requires-Dist or test.requires"
        return (Finding(code=DEPENDENCY_MISSING, severity=Severity.ERROR, message=message, hint=hint),)
    return (Finding(code=REFUSED, severity=Severity.ERROR, message=f"an installer refuses it: {said}"),)


def _reason(output: str) -> str:
    """Return uv's own words without their frame."""
    lines = [line.strip() for line in output.splitlines()]
    told = [line.split(":", 1)[1].strip() for line in lines if line.startswith(("error:", "cause:", "hint:"))]
    return "; ".join(text.rstrip(".") for text in told) or "see the log"


def _use_environment(folder: Path) -> None:
    """Let the wheel's scripts start the `python` on PATH: the installer wrote the path of the one that it asked."""
    for script in folder.iterdir() if folder.is_dir() else ():
        data = script.read_bytes()
        first, newline, rest = data.partition(b"\n")
        if _INTERPRETER_LINE.fullmatch(first):
            script.write_bytes(b"#!/usr/bin/env python" + newline + rest)


def _unpack(installation: Installation) -> tuple[Finding, ...]:
    from installer import install as write  # noqa: PLC0415 - for rare targets only
    from installer.destinations import SchemeDictionaryDestination  # noqa: PLC0415 - likewise
    from installer.exceptions import InstallerError  # noqa: PLC0415 - likewise
    from installer.sources import WheelFile  # noqa: PLC0415 - likewise

    site = str(installation.site)
    schemes = {"purelib": site, "platlib": site, "data": site, "headers": f"{site}/include", "scripts": f"{site}/bin"}
    destination = SchemeDictionaryDestination(schemes, interpreter="/usr/bin/env python", script_kind="posix")
    try:
        with WheelFile.open(installation.wheel) as source:
            write(source, destination, {"INSTALLER": b"wheelhouse"})
    except (InstallerError, ValueError, AssertionError, KeyError) as error:
        return (Finding(code=REFUSED, severity=Severity.ERROR, message=f"an installer refuses it: {error}"),)
    return ()


def _refused(installation: Installation) -> Finding:
    tags = installation.wheel.name.removesuffix(".whl").split("-", 2)[2]
    return Finding(
        code=REFUSED,
        severity=Severity.ERROR,
        message=f"its tags ({tags}) are not those of {installation.target}: installers there refuse it",
        hint="build it with the target's own Python, or correct the tags with `wheel tags`",
    )


def _not_resolvable(target: BuildIdentifier, required: Sequence[str]) -> Finding:
    return Finding(
        code=NOT_EXECUTED,
        severity=Severity.NOTE,
        message=f"not tried: nothing on this machine can resolve {', '.join(required)} for {target}",
        hint="try it on such a machine: `wheelhouse check`",
    )
