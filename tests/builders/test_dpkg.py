from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from wheelhouse.builders.dpkg import Installed, ask_dpkg, with_dependencies
from wheelhouse.process import Processes

if TYPE_CHECKING:
    from pathlib import Path

MACHINE = {
    "libpq-dev": Installed(version="15.3", depends=", libpq5 (= 15.3-0), libssl-dev | libtls-dev, perl:any"),
    "libpq5": Installed(version="15.3", depends="libc6 (>= 2.33), libpq-dev, libldap-2.5-0 (>= 2.5.4), gone"),
    "libldap-2.5-0": Installed(version="2.5.13+dfsg-5", depends=", "),
    "libc6": Installed(version="2.36-9", depends=""),
    "libtls-dev": Installed(version="1", depends=""),
    "perl": Installed(version="5.36.0", depends=""),
    "vim": Installed(version="9", depends="libc6"),
}


def test_with_dependencies__all_that_is_installed_and_nothing_else() -> None:
    assert with_dependencies(["libpq-dev", "libspam-dev"], MACHINE) == {
        "libpq-dev": "15.3",
        "libpq5": "15.3",
        "libldap-2.5-0": "2.5.13+dfsg-5",
        "libc6": "2.36-9",
        "libtls-dev": "1",
        "perl": "5.36.0",
        "libspam-dev": "",
    }


def test_ask_dpkg__no_debian(tmp_path: Path) -> None:
    assert ask_dpkg(Processes(), {"PATH": str(tmp_path)}) == {}


def test_ask_dpkg__this_machine() -> None:
    if shutil.which("dpkg-query") is None:
        pytest.skip("this is no Debian")
    installed = ask_dpkg(Processes(), os.environ)

    assert "libc6" in with_dependencies(["dpkg"], installed)
    assert all(package.version for package in installed.values())
