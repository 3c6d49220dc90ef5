"""auditwheel's arguments in, a repaired wheel without leaks out: what `repair` starts as a process of its own.

auditwheel's command line runs first. It sees to search paths only in files that it grafts something for, and a
CPython configured with --enable-shared puts its own library folder into every extension: so its own ELF patcher and
RECORD writer are then used on the rest. In one process, since importing auditwheel costs more than most repairs.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from auditwheel.elfutils import elf_file_filter
from auditwheel.main import main as auditwheel
from auditwheel.patcher import ElfPatcher
from auditwheel.wheeltools import InWheelCtx
from elftools.elf.dynamic import DynamicSection

if TYPE_CHECKING:
    from collections.abc import Iterator

    from elftools.elf.elffile import ELFFile

_ORIGIN = ("$ORIGIN", "${ORIGIN}")


def main(arguments: list[str]) -> int:
    """Run `auditwheel repair --wheel-dir FOLDER …`; FOLDER is the first argument, the rest is auditwheel's."""
    folder, *rest = arguments
    sys.argv = ["auditwheel", "repair", "--wheel-dir", folder, *rest]
    status = auditwheel()
    if status:
        return int(status)
    for wheel in Path(folder).glob("*.whl"):
        remove_leaks(wheel)
    return 0


def remove_leaks(wheel: Path) -> None:
    """Remove what is absolute from the search paths of a wheel's binaries; the rest may lead to sister packages."""
    patcher = ElfPatcher.get_patcher("patchelf")
    emptied: list[Path] = []
    with InWheelCtx(wheel) as context:
        for path, elf in elf_file_filter(context.iter_files()):
            entries = list(search_path(elf))
            kept = [entry for entry in entries if entry.startswith(_ORIGIN)]
            if kept == entries:
                continue
            sys.stdout.write(f"{path}: search path {':'.join(entries)} becomes {':'.join(kept) or 'empty'}\n")
            # patchelf blots out the old text where it sets one, but not where it removes it: so set, then remove.
            patcher.set_rpath(path, ":".join(kept) or _ORIGIN[0])
            if not kept:
                emptied.append(path)
            # Only now: without a name to write to, the context packs nothing.
            context.out_wheel = wheel
        patcher.apply_updates()
        for path in emptied:
            patcher.clear_rpath(path)
        patcher.apply_updates()


def search_path(elf: ELFFile) -> Iterator[str]:
    """Yield the entries of RPATH and RUNPATH."""
    section = elf.get_section_by_name(".dynamic")
    for tag in section.iter_tags() if isinstance(section, DynamicSection) else ():
        text = {"DT_RPATH": "rpath", "DT_RUNPATH": "runpath"}.get(tag.entry.d_tag)
        if text is not None:
            yield from (entry for entry in getattr(tag, text).split(":") if entry)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
