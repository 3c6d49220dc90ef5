"""Wheels to order: sound ones, and ones with one thing spoilt; and the binaries to put into them."""

from __future__ import annotations

import base64
import functools
import hashlib
import stat
import tempfile
import zipfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wheelhouse.process import Processes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

METADATA = """\
Metadata-Version: 2.4
Name: spam
Version: 1.0
License-Expression: MIT
License-File: LICENSE
Description-Content-Type: text/markdown

# spam

Eggs.
"""
EXTENSION = "spam/_spam.cpython-311-x86_64-linux-gnu.so"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wheel:
    """A wheel to be written. All files but RECORD as they will be; `with_…` gives another."""

    filename: str = "spam-1.0-py3-none-any.whl"
    files: Mapping[str, bytes] = field(default_factory=dict)
    record: Callable[[str], str | None] = lambda text: text
    """Changes RECORD; None leaves it out."""
    infos: Callable[[zipfile.ZipInfo], None] = lambda info: None
    """Changes how a member is written."""
    compression: int = zipfile.ZIP_DEFLATED
    extra: tuple[tuple[str, bytes], ...] = ()
    """Members written last, not in RECORD."""

    def with_files(self, **changes: bytes | str | None) -> Wheel:
        """Return a wheel with the files of .dist-info changed (METADATA=…), or taken out (None)."""
        return self.with_paths({f"spam-1.0.dist-info/{name}": data for name, data in changes.items()})

    def with_paths(self, changes: Mapping[str, bytes | str | None]) -> Wheel:
        """Return a wheel with files added, changed, or taken out (None)."""
        files = dict(self.files)
        for path, data in changes.items():
            if data is None:
                del files[path]
            else:
                files[path] = data.encode() if isinstance(data, str) else data
        return replace(self, files=files)

    def having(self, **changes: Any) -> Wheel:
        """Return a wheel with other fields."""
        return replace(self, **changes)

    def write(self, folder: Path) -> Path:
        """Write the wheel and return its path."""
        path = folder / self.filename
        rows = [f"{name},sha256={digest(data)},{len(data)}\n" for name, data in self.files.items()]
        record = self.record("".join([*rows, "spam-1.0.dist-info/RECORD,,\n"]))
        members = [*self.files.items(), *self.extra]
        if record is not None:
            members.append(("spam-1.0.dist-info/RECORD", record.encode()))
        with zipfile.ZipFile(path, "w", self.compression) as archive:
            for name, data in members:
                info = zipfile.ZipInfo(name, (2026, 1, 1, 0, 0, 0))
                info.external_attr = (stat.S_IFREG | 0o644) << 16
                info.compress_type = self.compression
                self.infos(info)
                archive.writestr(info, data)
        return path


def digest(data: bytes, algorithm: str = "sha256") -> str:
    raw = hashlib.new(algorithm, data, usedforsecurity=False).digest()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def wheel_file(*tags: str, pure: bool = False, build: str = "") -> str:
    lines = ["Wheel-Version: 1.0", "Generator: factory", f"Root-Is-Purelib: {str(pure).lower()}"]
    lines += [f"Tag: {tag}" for tag in tags]
    lines += [f"Build: {build}"] if build else []
    return "\n".join(lines) + "\n"


def pure() -> Wheel:
    """Return a sound wheel without binaries."""
    return Wheel(
        files={
            "spam/__init__.py": b"eggs = 1\n",
            "spam-1.0.dist-info/licenses/LICENSE": b"MIT\n",
            "spam-1.0.dist-info/METADATA": METADATA.encode(),
            "spam-1.0.dist-info/WHEEL": wheel_file("py3-none-any", pure=True).encode(),
        }
    )


def binary(
    library: bytes | None = None, *, tag: str = "cp311-cp311-manylinux_2_17_x86_64", path: str = EXTENSION
) -> Wheel:
    """Return a sound wheel with an extension module."""
    wheel = pure().having(filename=f"spam-1.0-{tag}.whl")
    return wheel.with_files(WHEEL=wheel_file(tag)).with_paths({path: compiled() if library is None else library})


@functools.cache
def compiled(source: str = "int PyInit__spam(void) { return 0; }", *flags: str, needs: bytes | None = None) -> bytes:
    """Compile a shared library with gcc and return its bytes; `needs`: a library to link it with."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "x.c").write_text(source)
        links = []
        if needs is not None:
            (folder / "needed.so").write_bytes(needs)
            links = ["-Wl,--no-as-needed", "./needed.so", "-Wl,--unresolved-symbols=ignore-all"]
        strip = [] if "-g" in flags else ["-s"]
        base = ["gcc", "-shared", "-fPIC", "-nostdlib", "-Wl,-z,relro", "-Wl,-z,noexecstack", *strip]
        Processes().run([*base, "x.c", *links, *flags, "-o", "x.so"], cwd=folder)
        return (folder / "x.so").read_bytes()


@functools.cache
def libc() -> bytes:
    """Return a glibc with one function, of GLIBC_2.35: what a binary needs is then the same on every machine."""
    with tempfile.TemporaryDirectory() as name:
        versions = Path(name) / "libc.map"
        versions.write_text("GLIBC_2.35 { global: recent; local: *; };\n")
        return compiled("void recent(void) {}", "-Wl,-soname,libc.so.6", f"-Wl,--version-script={versions}")


def for_machine(library: bytes, number: int) -> bytes:
    """Return an ELF file that claims another architecture (e_machine, at byte 18)."""
    return library[:18] + number.to_bytes(2, "little") + library[20:]
