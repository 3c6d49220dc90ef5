"""`wheelhouse.builder` and `wheelhouse.server` on a minion, which get the wheel of this very tree."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests
from uv import find_uv_bin

from index_server import serving
from masterless import Masterless
from salt_environment import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from masterless import StateResult

pytestmark = [pytest.mark.slow, pytest.mark.network]

SECRET = 'a "secret" with $HOME, a `tick` and \\ in it'  # noqa: S105 - it is none


def wheel_into(folder: Path) -> str:
    """Put the wheel of wheelhouse into a folder, and return its name."""
    given = os.environ.get("WHEELHOUSE_WHEEL")
    if given:
        (wheel,) = Path(given).glob("wheelhouse-*.whl")
        folder.mkdir(parents=True)
        shutil.copy(wheel, folder)
    else:
        subprocess.run([find_uv_bin(), "build", "--quiet", "--wheel", "--out-dir", folder, ROOT], check=True)
    (made,) = folder.glob("*.whl")
    return made.name


def bad(said: Mapping[str, StateResult]) -> dict[str, str]:
    return {name: each.comment for name, each in said.items() if each.result is False}


def changed(said: Mapping[str, StateResult]) -> set[str]:
    return {name for name, each in said.items() if each.changes}


@pytest.fixture
def minion(tmp_path: Path) -> Masterless:
    """Give a minion that asks whatever index this machine is configured with for what wheelhouse needs."""
    online = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "UV_"))}
    return Masterless.make(tmp_path / "minion", **online)


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A folder in which everything lies that is elsewhere in `/`, and the pillar that says so."""

    folder: Path
    minion: Masterless

    @property
    def command(self) -> Path:
        return self.folder / "opt/bin/wheelhouse"

    def pillar(self, wheel: str) -> dict[str, Any]:
        return {
            "command": str(self.command),
            "python": sys.executable,
            "installer": find_uv_bin(),
            "wheel": f"salt://wheels/{wheel}",
            "packages": ["coreutils"] if shutil.which("dpkg") else [],
            "registry": str(self.folder / "registry"),
            "root": str(self.folder / "root"),
            "builder": {
                "extras": [],
                "registry_source": "salt://registry",
                "minion_conf": str(self.minion.root / "etc/minion.d/wheelhouse.conf"),
            },
            "server": {
                "folder": str(self.folder / "served"),
                "config": '[serve]\nanonymous-read = "nobody"\n\n[mirror]\nenabled = false\n',
                "environment_file": str(self.folder / "etc/environment"),
                "environment": {"WHEELHOUSE_PORT": 0, "AWS_SECRET_ACCESS_KEY": SECRET},
                "unit": str(self.folder / "systemd/wheelhouse.service"),
            },
        }


def test_builder_and_server__on_one_node__are_set_up_once(minion: Masterless, tmp_path: Path) -> None:
    node = Node(folder=tmp_path / "node", minion=minion)
    settings = node.pillar(wheel_into(minion.root / "states/wheels"))
    minion.set_pillar({"wheelhouse": settings})
    shutil.copytree(ROOT / "recipes/markupsafe", minion.root / "states/registry/recipes/markupsafe")
    (minion.root / "states/registry/wheelhouse.toml").touch()
    becomes_a_builder(node)
    becomes_a_server(node, settings)
    serves(node)


def becomes_a_builder(node: Node) -> None:
    minion = node.minion
    predicted = minion.apply("wheelhouse.builder", test=True)
    assert bad(predicted) == {}
    assert "wheelhouse builder" in changed(predicted)
    assert not node.folder.exists()
    first = minion.apply("wheelhouse.builder")
    assert bad(first) == {}
    version = first["wheelhouse builder"].changes["wheelhouse"]
    assert version["old"] == ""
    second = minion.apply("wheelhouse.builder")
    assert bad(second) == {}
    assert changed(second) == set()
    # The execution module and the grain find what the formula has put there.
    assert minion.call("wheelhouse.version") == version["new"]
    assert minion.call("grains.get", "wheelhouse:version") == version["new"]
    assert (node.folder / "registry/recipes/markupsafe/recipe.toml").is_file()


def becomes_a_server(node: Node, settings: dict[str, Any]) -> None:
    minion = node.minion
    if not Path("/run/systemd/system").is_dir():
        refused = minion.apply("wheelhouse.server")
        assert set(bad(refused)) == {"wheelhouse service"}
        assert "systemd does not run here" in refused["wheelhouse service"].comment
    settings["server"]["service"] = False
    minion.set_pillar({"wheelhouse": settings})
    ran = minion.run("state.apply", "wheelhouse.server")
    assert ran.returncode == 0, ran.stdout
    assert "secret" not in ran.stdout + ran.stderr
    second = minion.apply("wheelhouse.server")
    assert bad(second) == {}
    assert changed(second) == set()
    assert f"{node.command} serve, in {node.folder}/served" in second["wheelhouse service"].comment
    assert stat.S_IMODE((node.folder / "etc/environment").stat().st_mode) == 0o600


def serves(node: Node) -> None:
    """See what the unit starts, in its folder and with its environment, answer."""
    unit = node.folder / "systemd/wheelhouse.service"
    assert unit.read_bytes() == (ROOT / "deploy/wheelhouse.service").read_bytes()
    if analyze := shutil.which("systemd-analyze"):
        verified = subprocess.run([analyze, "verify", "--man=no", unit], capture_output=True, text=True, check=False)
        assert (verified.returncode, verified.stderr) == (0, "")
    lines = (node.folder / "systemd/wheelhouse.service.d/salt.conf").read_text().splitlines()
    said = dict(line.split("=", 1) for line in lines if "=" in line)
    folder = Path(said["WorkingDirectory"])
    made = [str(node.command), "token", "create", "reader", "--scope", "read:*"]
    token = subprocess.run(made, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()
    shell = f"set -a; . {said['EnvironmentFile'].removeprefix('-')}; exec {said['ExecStart']}"
    with serving(["sh", "-c", shell], cwd=folder) as (url, process):
        handed = Path(f"/proc/{process.pid}/environ").read_text().split("\0")
        assert f"AWS_SECRET_ACCESS_KEY={SECRET}" in handed
        assert requests.get(f"{url}/simple/", timeout=10).status_code == 401
        assert requests.get(f"{url}/simple/", auth=("__token__", token), timeout=10).status_code == 200


def test_formula__settings_that_do_not_fit__are_told(minion: Masterless) -> None:
    cases: list[tuple[str, dict[str, Any], str]] = [
        ("client", {"client": {"index": "wheels.example"}}, "is no address of an index"),
        ("client", {"client": {"index": "https://me:secret@wheels.example/simple/"}}, "a token goes into"),
        ("client", {"client": {"index": "http://wheels.example/simple/"}}, "allow_insecure"),
        ("builder", {"command": "/usr/bin/wh"}, "has to be <an environment>/bin/wheelhouse"),
    ]
    for name, settings, told in cases:
        minion.set_pillar({"wheelhouse": settings})
        ran = minion.run("state.apply", f"wheelhouse.{name}", "test=True")
        assert ran.returncode != 0
        assert told in ran.stdout
        assert "secret" not in ran.stdout
