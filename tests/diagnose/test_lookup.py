from __future__ import annotations

import importlib.resources
import shutil
import stat
import tomllib
from typing import TYPE_CHECKING

import pytest

from wheelhouse.diagnose.clue import Missing, MissingKind
from wheelhouse.diagnose.lookup import (
    FAMILIES,
    ImageFamily,
    KnownPackages,
    Lookups,
    PlatformIndex,
    machine_family,
    machine_lookup,
)
from wheelhouse.process import Processes

if TYPE_CHECKING:
    from pathlib import Path

TABLE = tomllib.loads(importlib.resources.files("wheelhouse.diagnose").joinpath("packages.toml").read_text("utf-8"))
KEYS = {*FAMILIES, "headers", "libraries", "pkg-config", "tools", "cmake"}


@pytest.mark.parametrize(
    ("kind", "name", "debian"),
    [
        ("header", "lber.h", "libldap-dev"),
        ("header", "libpq-fe.h", "libpq-dev"),
        ("header", "openssl/never_heard_of.h", "libssl-dev"),
        ("header", "../zlib.h", "zlib1g-dev"),
        ("library", "ssl", "libssl-dev"),
        ("library", "libgssapi_krb5.so.2", "libkrb5-dev"),
        ("pkg-config", "cairo", "libcairo2-dev"),
        ("tool", "pg_config", "libpq-dev"),
        ("tool", "mysql_config", "default-libmysqlclient-dev"),
        ("cmake", "HDF5", "libhdf5-dev"),
        ("cmake", "eigen3", "libeigen3-dev"),
    ],
)
def test_known_packages__what_projects_ask_for(kind: MissingKind, name: str, debian: str) -> None:
    found = KnownPackages().packages(Missing(kind=kind, name=name))

    assert found["debian"] == debian
    assert set(found) == set(FAMILIES)


def test_known_packages__unknown_name() -> None:
    assert KnownPackages().packages(Missing(kind="header", name="never/heard_of.h")) == {}


def test_table__every_entry_has_a_package_and_says_what_it_provides() -> None:
    for entry in TABLE["package"]:
        assert set(entry) <= KEYS, entry
        assert set(entry) & set(FAMILIES), entry
        assert set(entry) - set(FAMILIES), entry


def test_table__debian_names_exist() -> None:
    if not shutil.which("apt-cache"):
        pytest.skip("no apt here to ask")
    known = set(Processes().run(["apt-cache", "pkgnames"]).output.split())
    if "libssl-dev" not in known:
        pytest.skip("apt knows no packages here: run apt-get update")

    missing = {entry["debian"] for entry in TABLE["package"] if "debian" in entry} - known

    assert missing == set()


@pytest.mark.slow
def test_platform_index__apt_file_really_asked() -> None:
    if not shutil.which("apt-file"):
        pytest.skip("no apt-file here")
    found = PlatformIndex(processes=Processes(), family="debian").packages(Missing(kind="header", name="lber.h"))
    if not found and not Processes().run(["apt-file", "list", "libldap-dev"], check=False).output:
        pytest.skip("apt-file has no index here: run apt-file update")

    assert found == {"debian": "libldap-dev"}


def _program(folder: Path, name: str, output: str, *, status: int = 0) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\necho \"$*\" > '{folder}/asked'\ncat <<'END'\n{output}\nEND\nexit {status}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.mark.parametrize(
    ("family", "program", "output", "missing", "package", "asked"),
    [
        (
            "debian",
            "apt-file",
            "libssl-cross: /usr/include/openssl/ssl.h\nlibssl-dev: /usr/include/openssl/ssl.h\nx: /opt/openssl/ssl.h",
            Missing(kind="header", name="openssl/ssl.h"),
            "libssl-dev",
            "openssl/ssl",
        ),
        (
            "manylinux",
            "dnf",
            "openldap-devel",
            Missing(kind="header", name="lber.h"),
            "openldap-devel",
            "--whatprovides /usr/include/lber.h",
        ),
        (
            "manylinux",
            "dnf",
            "zeromq-devel",
            Missing(kind="pkg-config", name="libzmq"),
            "zeromq-devel",
            "pkgconfig(libzmq)",
        ),
        ("musllinux", "apk", "libpq-dev", Missing(kind="tool", name="pg_config"), "libpq-dev", "cmd:pg_config"),
    ],
)
def test_platform_index__each_package_manager(  # noqa: PLR0917 - one row of the table
    family: ImageFamily,
    program: str,
    output: str,
    missing: Missing,
    package: str,
    asked: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _program(tmp_path, program, output)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    assert PlatformIndex(processes=Processes(), family=family).packages(missing) == {family: package}
    assert asked in (tmp_path / "asked").read_text()


@pytest.mark.parametrize("family", [*FAMILIES, None])
def test_platform_index__package_manager_missing_or_failing(
    family: ImageFamily | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = Missing(kind="header", name="lber.h")
    index = PlatformIndex(processes=Processes(), family=family)

    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    for program in ("apt-file", "dnf", "apk"):
        _program(tmp_path, program, "some-package", status=1)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert index.packages(missing) == {}

    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    assert index.packages(missing) == {}


def test_lookups__first_answer_of_each_family_counts() -> None:
    class One:
        family = None

        def packages(self, missing: Missing) -> dict[ImageFamily, str]:
            return {"debian": "one"}

    class Two:
        family = None

        def packages(self, missing: Missing) -> dict[ImageFamily, str]:
            return {"debian": "two", "musllinux": "two"}

    lookups = Lookups(lookups=(One(), Two()), family=None)

    assert lookups.packages(Missing(kind="header", name="x.h")) == {"debian": "one", "musllinux": "two"}


@pytest.mark.parametrize(
    ("text", "family"),
    [
        ("ID=debian\n", "debian"),
        ('NAME="Pop"\nID=pop\nID_LIKE="ubuntu debian"\n', "debian"),
        ('ID="almalinux"\nID_LIKE="rhel centos fedora"\n', "manylinux"),
        ("ID=alpine\n", "musllinux"),
        ("ID=arch\n", None),
        ("", None),
    ],
)
def test_machine_family__by_os_release(text: str, family: ImageFamily | None, tmp_path: Path) -> None:
    path = tmp_path / "os-release"
    path.write_text(text)

    assert machine_family(path) == family


def test_machine_family__no_os_release(tmp_path: Path) -> None:
    assert machine_family(tmp_path / "none") is None


def test_machine_lookup__family_of_the_image_goes_before_the_machines() -> None:
    assert machine_lookup(Processes(), family="musllinux").family == "musllinux"
    assert machine_lookup(Processes()).family == machine_family()
