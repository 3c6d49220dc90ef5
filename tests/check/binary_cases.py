"""One fault in binaries, tags or contents a case (WH300s, WH500s)."""

from __future__ import annotations

from dataclasses import replace

from check.spoilt import OURS, Cases, Spoilt
from check.wheel_factory import Wheel, binary, compiled, for_machine, libc, pure, wheel_file
from wheelhouse.check.codes import Code

AARCH64 = 183
LIBRARY = "spam.libs/libegg-0123abcd.so.1.2"


def linked(*flags: str, source: str = "int PyInit__spam(void) { return 0; }") -> Wheel:
    return binary(compiled(source, *flags))


def needing(library: str, symbol: str = "other") -> bytes:
    """Return a library that names another as needed, and takes a symbol of it."""
    empty = compiled("int nothing;", f"-Wl,-soname,{library}")
    return compiled(f"void {symbol}(void); int PyInit__spam(void) {{ {symbol}(); return 0; }}", needs=empty)


def recent() -> bytes:
    """Return a library that needs GLIBC_2.35."""
    return compiled("void recent(void); int PyInit__spam(void) { recent(); return 0; }", needs=libc())


def abi3(symbol: str) -> Wheel:
    source = f"void {symbol}(void); int PyInit__spam(void) {{ {symbol}(); return 0; }}"
    return binary(compiled(source), tag="cp311-abi3-manylinux_2_17_x86_64", path="spam/_spam.abi3.so")


CASES: Cases = {
    "other architecture": (
        Code.ARCHITECTURE,
        lambda: Spoilt.of("is for aarch64", binary(for_machine(compiled(), AARCH64))),
    ),
    "needs a newer glibc": (
        Code.PLATFORM_TAG,
        lambda: Spoilt.of(
            "needs GLIBC_2.35 of libc.so.6: more than manylinux_2_17_x86_64 gives",
            binary(recent()),
        ),
    ),
    "needs a library": (Code.PLATFORM_TAG, lambda: Spoilt.of("needs libegg.so.1", binary(needing("libegg.so.1")))),
    "needs a forbidden symbol": (
        Code.PLATFORM_TAG,
        lambda: Spoilt.of("needs deflate_copyright of libz.so.1", binary(needing("libz.so.1", "deflate_copyright"))),
    ),
    "needs a newer processor": (Code.PLATFORM_TAG, lambda: Spoilt.of("x86_64_v3", linked("-Wl,-z,x86-64-v3"))),
    "an old name of manylinux": (
        Code.PLATFORM_TAG,
        lambda: Spoilt.of(
            "manylinux_2_12_x86_64",
            binary(
                recent(),
                tag="cp311-cp311-manylinux2010_x86_64",
            ),
        ),
    ),
    "unknown architecture": (
        Code.PLATFORM_TAG,
        lambda: Spoilt.of("no policy", binary(tag="cp311-cp311-manylinux_2_17_vax"), Code.ARCHITECTURE, Code.SUFFIX),
    ),
    "musl wheel that needs glibc": (
        Code.PLATFORM_TAG,
        lambda: Spoilt.of("libc.so.6", binary(needing("libc.so.6"), tag="cp311-cp311-musllinux_1_2_x86_64")),
    ),
    "linux tag": (
        Code.LINUX_TAG,
        lambda: Spoilt.of("linux_x86_64", binary(tag="cp311-cp311-linux_x86_64"), expected=OURS),
    ),
    "binary in a wheel for any": (
        Code.BINARY_IN_ANY,
        lambda: Spoilt.of("any platform", binary(tag="py3-none-any")),
    ),
    "no extension": (Code.NO_EXTENSION, lambda: Spoilt.of("no extension", pure(), expected=OURS)),
    "suffix of another Python": (
        Code.SUFFIX,
        lambda: Spoilt.of("is for cp312", binary(path="spam/_spam.cpython-312-x86_64-linux-gnu.so")),
    ),
    "suffix of another machine": (
        Code.SUFFIX,
        lambda: Spoilt.of("aarch64-linux-gnu", binary(path="spam/_spam.cpython-311-aarch64-linux-gnu.so")),
    ),
    "suffix of one Python in an abi3 wheel": (
        Code.SUFFIX,
        lambda: Spoilt.of("cp311-abi3", binary(tag="cp311-abi3-manylinux_2_17_x86_64")),
    ),
    "abi3 expected": (Code.ABI3_EXPECTED, lambda: Spoilt.of("no abi3", binary(), expected=replace(OURS, abi3=True))),
    "not in the stable ABI": (Code.ABI3_VIOLATION, lambda: Spoilt.of("_PyLong_New", abi3("_PyLong_New"))),
    "newer than the promised Python": (
        Code.ABI3_VIOLATION,
        lambda: Spoilt.of("PyObject_Vectorcall (since 3.12)", abi3("PyObject_Vectorcall")),
    ),
    "rpath": (Code.RPATH, lambda: Spoilt.of("/opt/x", linked("-Wl,-rpath,/opt/x"), expected=OURS)),
    "rpath out of the wheel": (
        Code.RPATH,
        lambda: Spoilt.of("outside site-packages", linked("-Wl,-rpath,$ORIGIN/../../../x"), expected=OURS),
    ),
    "executable stack": (Code.EXECUTABLE_STACK, lambda: Spoilt.of("executable stack", linked("-Wl,-z,execstack"))),
    "text relocations": (
        Code.TEXT_RELOCATIONS,
        lambda: Spoilt.of(
            "text relocations",
            linked(
                "-Wl,-z,notext",
                "-w",
                source='__asm__(".text\\n.globl eggs\\neggs: .quad eggs");int PyInit__spam(void){return 0;}',
            ),
        ),
    ),
    "build path": (
        Code.BUILD_PATH,
        lambda: Spoilt.of(
            "/home/builder/spam/spam.c",
            linked(source='const char *eggs = "/home/builder/spam/spam.c"; int PyInit__spam(void) { return 0; }'),
            expected=OURS,
        ),
    ),
    "debug sections": (Code.DEBUG_SECTIONS, lambda: Spoilt.of("debug sections", linked("-g", "-fdebug-prefix-map==x"))),
    "no relro": (Code.HARDENING, lambda: Spoilt.of("RELRO", linked("-Wl,-z,norelro"))),
    "damaged binary": (Code.MALFORMED_BINARY, lambda: Spoilt.of("sound ELF", binary(compiled()[:100]))),
    "macOS": (
        Code.UNKNOWN_BINARY,
        lambda: Spoilt.of(
            "macosx_11_0_arm64",
            pure()
            .having(filename="spam-1.0-cp311-cp311-macosx_11_0_arm64.whl")
            .with_files(WHEEL=wheel_file("cp311-cp311-macosx_11_0_arm64"))
            .with_paths({"spam/_spam.so": b"\xcf\xfa\xed\xfe"}),
        ),
    ),
    "grafted, not allowed": (
        Code.NOT_ALLOWED,
        lambda: Spoilt.of("libegg.so.1.2", binary().with_paths({LIBRARY: compiled()}), Code.GRAFTED, expected=OURS),
    ),
    "grafted": (Code.GRAFTED, lambda: Spoilt.of("1 grafted libraries", binary().with_paths({LIBRARY: compiled()}))),
    "allowance for nothing": (
        Code.UNUSED_ALLOWANCE,
        lambda: Spoilt.of("libegg", binary(), expected=replace(OURS, allow_grafted=("libegg",))),
    ),
    "bytecode": (Code.BYTECODE, lambda: Spoilt.of("x.pyc", pure().with_paths({"spam/__pycache__/x.pyc": b""}))),
    "leftovers": (Code.LEFTOVERS, lambda: Spoilt.of("spam/x.o", pure().with_paths({"spam/x.o": b""}))),
    "top level": (Code.TOP_LEVEL, lambda: Spoilt.of("tests", pure().with_paths({"tests/__init__.py": b""}))),
}
