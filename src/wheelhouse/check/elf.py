"""The bytes of an ELF file in, the facts that the checks need out: the file is parsed once, whatever asks.

Symbol tables are unpacked with struct: pyelftools makes an object of every symbol, which takes seconds for OpenSSL.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from elftools.elf.dynamic import DynamicSegment
from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerNeedSection
from elftools.elf.sections import NoteSection
from elftools.elf.segments import InterpSegment

if TYPE_CHECKING:
    from collections.abc import Iterator

#: (machine, bits, little endian) -> architecture, as platform tags spell it.
_ARCHITECTURES = {
    ("EM_386", 32, True): "i686",
    ("EM_X86_64", 64, True): "x86_64",
    ("EM_PPC64", 64, True): "ppc64le",
    ("EM_PPC64", 64, False): "ppc64",
    ("EM_RISCV", 64, True): "riscv64",
    ("EM_AARCH64", 64, True): "aarch64",
    ("EM_S390", 64, False): "s390x",
    ("EM_ARM", 32, True): "armv7l",
    ("EM_LOONGARCH", 64, True): "loongarch64",
}
#: x86 levels by the bit of GNU_PROPERTY_X86_ISA_1_NEEDED (x86-64 psABI); bit 0 is the baseline.
_X86_LEVELS = {8: "x86_64_v4", 4: "x86_64_v3", 2: "x86_64_v2"}
_LOCAL, _WEAK, _GNU_UNIQUE = 0, 2, 10
_NO_BITS = "SHT_NOBITS"
_DF_TEXTREL = 0x4
_EXECUTE = 0x1


class MalformedElfError(ValueError):
    """Bytes that begin as an ELF file and do not go on as one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Elf:
    """What an ELF file is and needs."""

    kind: str
    """`ET_DYN`, `ET_EXEC`, `ET_REL`…"""
    arch: str
    """As platform tags spell it; `EM_…` where no tag exists for it."""
    interpreter: str | None = None
    """The dynamic loader of an executable."""
    soname: str | None = None
    needed: tuple[str, ...] = ()
    rpath: tuple[str, ...] = ()
    """RPATH and RUNPATH, entry by entry."""
    versions: tuple[tuple[str, str], ...] = ()
    """Symbol versions it needs: (library, version), e.g. `("libc.so.6", "GLIBC_2.17")`."""
    undefined: frozenset[str] = frozenset()
    """Names of symbols that it takes from elsewhere, save weak ones: it does without those where they are not."""
    python_symbols: frozenset[str] = frozenset()
    """Names beginning with `Py` or `_Py`, of its own or from elsewhere, save local ones."""
    is_extension: bool = False
    """It defines a `PyInit_` function."""
    level: str | None = None
    """The x86-64 level it needs, where it says so and it is not the baseline: `x86_64_v3`."""
    stack: str = "protected"
    """`executable`; `unmarked`: no PT_GNU_STACK, so the machine's default counts."""
    text_relocations: bool = False
    relro: bool = True
    debug_size: int = 0
    """Bytes in debug sections."""

    @property
    def is_loaded(self) -> bool:
        """Whether it is a library or a program, not an object file or a core."""
        return self.kind in {"ET_DYN", "ET_EXEC"}


def read_elf(data: bytes) -> Elf:
    """Parse an ELF file.

    Raises MalformedElfError.
    """
    try:
        return _read(ELFFile(io.BytesIO(data)))
    except Exception as error:  # pyelftools meets hostile bytes with whatever its parser stumbles over
        raise MalformedElfError(str(error) or type(error).__name__) from error


def _read(elf: Any) -> Elf:
    segments = list(elf.iter_segments())
    sections = {section.name: section for section in elf.iter_sections()}
    dynamic = _dynamic(segments)
    headers = {segment["p_type"]: segment for segment in segments}
    stack = headers.get("PT_GNU_STACK")
    interpreter = headers.get("PT_INTERP")
    debug = sum(
        section["sh_size"]
        for name, section in sections.items()
        if name.startswith((".debug_", ".zdebug_")) and section["sh_type"] != _NO_BITS
    )
    dynamic_symbols = list(_symbols(elf, sections.get(".dynsym")))
    undefined = frozenset(name for name, binding, defined in dynamic_symbols if not defined and binding != _WEAK)
    python_symbols = frozenset(
        name
        for name, binding, _ in [*dynamic_symbols, *_symbols(elf, sections.get(".symtab"))]
        if name.startswith(("Py", "_Py")) and binding not in {_LOCAL, _GNU_UNIQUE}
    )
    return Elf(
        kind=str(elf["e_type"]),
        arch=_ARCHITECTURES.get((elf["e_machine"], elf.elfclass, elf.little_endian), str(elf["e_machine"])),
        interpreter=interpreter.get_interp_name() if isinstance(interpreter, InterpSegment) else None,
        soname=dynamic.soname,
        needed=dynamic.needed,
        rpath=dynamic.rpath,
        versions=tuple(_versions(sections.get(".gnu.version_r"))),
        undefined=undefined,
        python_symbols=python_symbols,
        is_extension=any(name.startswith("PyInit_") and defined for name, _, defined in dynamic_symbols),
        level=_level(sections.get(".note.gnu.property")) if elf["e_machine"] == "EM_X86_64" else None,
        stack="unmarked" if stack is None else "executable" if stack["p_flags"] & _EXECUTE else "protected",
        text_relocations=dynamic.text_relocations,
        relro="PT_GNU_RELRO" in headers,
        debug_size=debug,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Dynamic:
    soname: str | None = None
    needed: tuple[str, ...] = ()
    rpath: tuple[str, ...] = ()
    text_relocations: bool = False


def _dynamic(segments: list[Any]) -> _Dynamic:
    segment: Any = next((segment for segment in segments if isinstance(segment, DynamicSegment)), None)
    if segment is None:
        return _Dynamic()
    tags = [(tag.entry.d_tag, tag) for tag in segment.iter_tags()]
    paths = [
        getattr(tag, "rpath" if kind == "DT_RPATH" else "runpath")
        for kind, tag in tags
        if kind in {"DT_RPATH", "DT_RUNPATH"}
    ]
    return _Dynamic(
        soname=next((tag.soname for kind, tag in tags if kind == "DT_SONAME"), None),
        needed=tuple(tag.needed for kind, tag in tags if kind == "DT_NEEDED"),
        rpath=tuple(entry for path in paths for entry in path.split(":")),
        text_relocations=any(
            kind == "DT_TEXTREL" or (kind == "DT_FLAGS" and tag.entry.d_val & _DF_TEXTREL) for kind, tag in tags
        ),
    )


def _versions(section: Any) -> Iterator[tuple[str, str]]:
    if isinstance(section, GNUVerNeedSection):
        for need, entries in section.iter_versions():
            for entry in entries:
                yield str(need.name), str(entry.name)


def _symbols(elf: Any, section: Any) -> Iterator[tuple[str, int, bool]]:
    """Yield (name, binding, defined here) of the named symbols of a table."""
    if section is None or section["sh_type"] == _NO_BITS:
        return
    names = elf.get_section(section["sh_link"]).data()
    order = "<" if elf.little_endian else ">"
    if elf.elfclass == 64:  # noqa: PLR2004 - ELF's two classes are 32 and 64
        layout, info, index = struct.Struct(f"{order}IBBHQQ"), 1, 3
    else:
        layout, info, index = struct.Struct(f"{order}IIIBBH"), 3, 5
    data = section.data()
    for entry in layout.iter_unpack(data[: len(data) // layout.size * layout.size]):
        start = entry[0]
        end = names.find(b"\0", start)
        if start and end > start:
            yield names[start:end].decode("utf-8", "replace"), entry[info] >> 4, entry[index] != 0


def _level(section: Any) -> str | None:
    if not isinstance(section, NoteSection):
        return None
    for note in section.iter_notes():
        if note["n_type"] != "NT_GNU_PROPERTY_TYPE_0" or note["n_name"] != "GNU":
            continue
        for entry in note["n_desc"]:
            if entry.pr_type == "GNU_PROPERTY_X86_ISA_1_NEEDED" and isinstance(entry.pr_data, int):
                return next((level for bit, level in _X86_LEVELS.items() if entry.pr_data & bit), None)
    return None
