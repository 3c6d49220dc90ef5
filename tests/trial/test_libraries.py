from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from elftools.elf.dynamic import DynamicSection
from elftools.elf.elffile import ELFFile

from wheelhouse.trial.libraries import SharedObject, Surrounding, leaks, system_libraries
from wheelhouse.trial.probe import MARK

SURROUNDING = Surrounding(
    site="/try/site",
    executable="/usr/bin/python3",
    standard=("/usr/lib/python3",),
    allowed=("libm.so.6", "libcuda.so*"),
)
PYTHON = SharedObject(path="/usr/bin/python3", soname=None, needed=("libexpat.so.1", "libc.so.6"))


def item(path: str, *needed: str, soname: str | None = None) -> SharedObject:
    return SharedObject(path=path, soname=soname or Path(path).name, needed=needed)


def names(*objects: SharedObject) -> list[tuple[str, str | None]]:
    return [(leak.library.name, leak.needed_by) for leak in leaks([PYTHON, *objects], SURROUNDING)]


def test_leaks__of_what_the_wheel_carries_are_none() -> None:
    assert names(item("/try/site/a.so", "libpq-1.so"), item("/try/site/a.libs/libpq-1.so", "libm.so.6")) == []


def test_leaks__of_what_the_platform_has_are_none() -> None:
    wheel = item("/try/site/a.so", "libm.so.6", "ld-linux-x86-64.so.2")
    loader = item("/usr/lib/ld-linux-x86-64.so.2")
    # Debian 11 names files by glibc's version: only the soname tells what they are.
    assert names(wheel, item("/usr/lib/libm-2.31.so", soname="libm.so.6"), loader, item("/usr/lib/gconv/X.so")) == []


def test_leaks__of_the_interpreters_own_libraries_are_none() -> None:
    extension = item("/usr/lib/python3/lib-dynload/_ssl.so", "libssl.so.3")
    assert names(extension, item("/usr/lib/libssl.so.3", "libcrypto.so.3"), item("/usr/lib/libcrypto.so.3")) == []


def test_leaks__a_library_that_python_has_too_is_still_a_leak() -> None:
    wheel = item("/try/site/a.so", "libexpat.so.1")
    assert names(wheel, item("/usr/lib/libexpat.so.1.8", soname="libexpat.so.1")) == [
        ("libexpat.so.1", "/try/site/a.so")
    ]


def test_leaks__name_the_first_library_and_not_what_it_brings() -> None:
    wheel = item("/try/site/a.so", "libpq.so.5")
    libraries = [item("/usr/lib/libpq.so.5", "libldap.so.2"), item("/usr/lib/libldap.so.2", "liblber.so.2")]
    assert names(wheel, *libraries, item("/usr/lib/liblber.so.2")) == [("libpq.so.5", "/try/site/a.so")]


def test_leaks__libraries_opened_at_run_time_have_nobody_who_needs_them() -> None:
    assert names(item("/opt/libx.so.1", "liby.so.1"), item("/opt/liby.so.1")) == [("libx.so.1", None)]


def test_leaks__patterns_allow_families_of_libraries() -> None:
    assert names(item("/try/site/a.so", "libcuda.so.1"), item("/usr/lib/libcuda.so.1")) == []


@pytest.mark.parametrize(("family", "name"), [("manylinux", "libstdc++.so.6"), ("musllinux", "libz.so.1")])
def test_system_libraries__are_those_of_the_policies(family: str, name: str) -> None:
    assert name in system_libraries(family)
    assert "libssl.so.3" not in system_libraries(family)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_probe__reads_elf_files_as_pyelftools_does() -> None:
    probe = Path(__file__).parents[2] / "src/wheelhouse/trial/probe.py"
    output = subprocess.run([sys.executable, "-I", probe, "ssl"], check=True, capture_output=True, text=True).stdout
    events = [json.loads(line.removeprefix(MARK)) for line in output.splitlines() if line.startswith(MARK)]
    (libraries,) = [event["objects"] for event in events if event["event"] == "libraries"]

    assert [event["event"] for event in events] == ["start", "importing", "imported", "libraries", "done"]
    assert any("ssl" in entry["path"] for entry in libraries)
    for entry in libraries:
        with Path(entry["path"]).open("rb") as file:
            dynamic = ELFFile(file).get_section_by_name(".dynamic")
            # pyelftools adds an attribute by the kind of each tag.
            tags = [vars(tag) for tag in dynamic.iter_tags()] if isinstance(dynamic, DynamicSection) else []
        assert entry["needed"] == [tag["needed"] for tag in tags if "needed" in tag]
        assert entry["soname"] == next((tag["soname"] for tag in tags if "soname" in tag), None)
