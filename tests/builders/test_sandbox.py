from __future__ import annotations

import os
from pathlib import Path

from wheelhouse.builders.sandbox import Network, build_environment
from wheelhouse.process import Processes


def built(tmp_path: Path, **environment: str) -> dict[str, str]:
    return build_environment(environment, work=tmp_path / "work", first_on_path=[Path("/first")], epoch=7)


def test_build_environment__lets_nothing_else_in(tmp_path: Path) -> None:
    environment = built(tmp_path, PATH="/usr/bin", AWS_SESSION="x", PIP_INDEX_URL="https://user:pass@x", CFLAGS="-O0")

    assert not {"AWS_SESSION", "PIP_INDEX_URL", "CFLAGS"} & environment.keys()
    assert environment["PATH"] == f"/first{os.pathsep}/usr/bin"
    assert environment["SOURCE_DATE_EPOCH"] == "7"


def test_build_environment__has_folders_of_its_own(tmp_path: Path) -> None:
    environment = built(tmp_path, HOME="/home/me", TMPDIR="/elsewhere")

    for name in ("HOME", "TMPDIR"):
        assert Path(environment[name]).is_relative_to(tmp_path / "work")
        assert Path(environment[name]).is_dir()


def test_build_environment__tools_of_other_environments_are_not_on_path(tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "pyvenv.cfg").touch()
    path = os.pathsep.join([str(venv / "bin"), "/opt/pyenv/shims", "/usr/bin", "/usr/bin"])

    assert built(tmp_path, PATH=path)["PATH"] == f"/first{os.pathsep}/usr/bin"


def test_build_environment__rust_of_the_user_is_found(tmp_path: Path) -> None:
    (tmp_path / "home" / ".rustup").mkdir(parents=True)

    environment = built(tmp_path, HOME=str(tmp_path / "home"))

    assert environment["RUSTUP_HOME"] == str(tmp_path / "home" / ".rustup")
    assert "CARGO_HOME" not in environment


def test_network__no_unshare(tmp_path: Path) -> None:
    assert Network(Processes(), {"PATH": str(tmp_path)}).prefix == ()


def test_network__unshare_that_may_not(tmp_path: Path) -> None:
    refusing = tmp_path / "unshare"
    refusing.write_text("#!/bin/sh\nexit 1\n")
    refusing.chmod(0o755)

    assert Network(Processes(), {"PATH": str(tmp_path)}).prefix == ()


def test_network__is_tried_once(tmp_path: Path) -> None:
    counting = tmp_path / "unshare"
    counting.write_text(f"#!/bin/sh\necho once >> {tmp_path}/count\n")
    counting.chmod(0o755)
    network = Network(Processes(), {"PATH": str(tmp_path)})

    assert network.prefix == network.prefix == (str(counting), "--net", "--")
    assert (tmp_path / "count").read_text() == "once\n"
