"""Module names in, one JSON line an event out: runs in the Python that a wheel is tried with; imports nothing of ours.

Called as `python probe.py NAME…`. It must run on every Python that wheels are built for, and on other architectures, so
it keeps to the standard library of Python 3.8. Events go to stdout, each on a line of its own that starts with `MARK`,
before what they announce: after a crash the last one tells where it happened. Tracebacks go to stderr.
"""

from __future__ import annotations

import faulthandler
import importlib
import json
import os
import struct
import sys
import sysconfig
import time
import traceback

# Typing is for the type checker alone: importing it would cost each trial milliseconds.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO

MARK = "wheelhouse-trial: "
_PT_LOAD, _PT_DYNAMIC = 1, 2
_DT_NEEDED, _DT_STRTAB, _DT_SONAME = 1, 5, 14
_ELF_64, _ELF_LITTLE = 2, 1


def main(names: list[str]) -> int:
    """Import the modules in order and report; the status is 1 where one of them cannot be imported."""
    faulthandler.enable()
    paths = sysconfig.get_paths()
    say(
        "start",
        python=".".join(map(str, sys.version_info[:3])),
        executable=_program(),
        standard=sorted({os.path.realpath(paths["stdlib"]), os.path.realpath(paths["platstdlib"])}),
    )
    good = [_import(name) for name in names]
    say("libraries", objects=[_describe(path) for path in _mapped()])
    say("done")
    return 0 if all(good) else 1


def say(event: str, **facts: object) -> None:
    """Write an event in one piece, past all buffers: what is imported may replace or close `sys.stdout`."""
    os.write(1, f"\n{MARK}{json.dumps({'event': event, **facts})}\n".encode())


def _import(name: str) -> bool:
    say("importing", name=name)
    started = time.perf_counter()
    try:
        module = importlib.import_module(name)
    except BaseException as error:  # noqa: BLE001 - whatever an import raises, SystemExit included, is the finding
        traceback.print_exc()
        say("failed", name=name, error=traceback.format_exception_only(type(error), error)[-1].strip())
        return False
    origin = getattr(module, "__file__", None)
    files = [origin] if origin else list(getattr(module, "__path__", []))
    seconds = round(time.perf_counter() - started, 4)
    say("imported", name=name, files=[os.path.realpath(file) for file in files], seconds=seconds)
    return True


def _program() -> str:
    """Return the file that is run: under emulation `sys.executable` is the launcher."""
    try:
        return os.readlink("/proc/self/exe")  # noqa: PTH115 - as for open()
    except OSError:
        return os.path.realpath(sys.executable)


def _mapped() -> list[str]:
    """Return the shared objects and programs in this process; nothing where there is no /proc."""
    found: dict[str, None] = {}
    try:
        with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as maps:  # noqa: PTH123 - pathlib would be one more import
            for line in maps:
                path = line.rstrip("\n").split(None, 5)[5:]
                if path and path[0].startswith("/"):
                    found[path[0]] = None
    except OSError:
        return []
    return [path for path in found if _is_elf(path)]


def _is_elf(path: str) -> bool:
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - pathlib would be one more import
            return file.read(4) == b"\x7fELF"
    except OSError:
        return False


def _describe(path: str) -> dict[str, object]:
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - pathlib would be one more import
            soname, needed = _dynamic(file)
    except (OSError, struct.error, ValueError):
        soname, needed = None, []
    return {"path": path, "soname": soname, "needed": needed}


def _dynamic(file: IO[bytes]) -> tuple[str | None, list[str]]:
    """Return DT_SONAME and DT_NEEDED of an ELF file (System V ABI, chapter 5), of either class and byte order."""
    ident = file.read(16)
    wide, order = ident[4] == _ELF_64, "<" if ident[5] == _ELF_LITTLE else ">"
    header = struct.unpack(order + ("HHIQQQIHHHHHH" if wide else "HHIIIIIHHHHHH"), file.read(48 if wide else 36))
    offset, size, count = header[4], header[8], header[9]
    loads: list[tuple[int, int, int]] = []
    dynamic = b""
    for number in range(count):
        file.seek(offset + number * size)
        if wide:
            kind, _, start, address, _, length = struct.unpack(order + "IIQQQQ", file.read(40))
        else:
            kind, start, address, _, length = struct.unpack(order + "IIIII", file.read(20))
        if kind == _PT_LOAD:
            loads.append((address, start, length))
        elif kind == _PT_DYNAMIC:
            here = file.tell()
            file.seek(start)
            dynamic = file.read(length)
            file.seek(here)
    entries = list(struct.iter_unpack(order + ("qQ" if wide else "iI"), dynamic))
    tables = [value for tag, value in entries if tag == _DT_STRTAB]
    if not tables:
        return None, []
    base = next(
        start + tables[0] - address for address, start, length in loads if address <= tables[0] < address + length
    )

    def text(at: int) -> str:
        file.seek(base + at)
        return file.read(512).split(b"\0", 1)[0].decode("utf-8", "surrogateescape")

    sonames = [text(value) for tag, value in entries if tag == _DT_SONAME]
    return (sonames[0] if sonames else None), [text(value) for tag, value in entries if tag == _DT_NEEDED]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
