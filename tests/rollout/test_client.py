"""`wheelhouse.client`, and `wheelhouse.installed` from the index that it configured: with real Salt, pip and uv."""

from __future__ import annotations

import configparser
import stat
import subprocess
import sys
import tomllib
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from uv import find_uv_bin

from masterless import Masterless, StateResult
from served import EGGS, SPAM, Served, served
from wheelhouse.index.client_config import Address, client_config

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

pytestmark = pytest.mark.slow

NEWER = replace(SPAM, version="1.1")


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("index"), [EGGS, SPAM, NEWER]) as index:
        yield index


@pytest.fixture
def minion(tmp_path: Path, index: Served) -> Masterless:
    """Give a minion whose applications are in `app/`, one with a pip of its own and one without."""
    minion = Masterless.make(tmp_path / "minion")
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "app"], check=True)
    subprocess.run([find_uv_bin(), "venv", "--quiet", "--python", sys.executable, tmp_path / "bare"], check=True)
    minion.set_pillar(
        {
            "wheelhouse": {
                "client": {
                    "index": f"{index.url}/simple/",
                    "token": index.token,
                    "users": [{"root": str(minion.home / ".netrc")}],
                    "pip_conf": str(tmp_path / "app/pip.conf"),
                    "uv_toml": str(minion.home / ".config/uv/uv.toml"),
                }
            }
        }
    )
    return minion


def changes(said: Mapping[str, StateResult]) -> dict[str, object]:
    return {name: each.changes for name, each in said.items() if each.changes}


def results(said: Mapping[str, StateResult]) -> set[bool | None]:
    return {each.result for each in said.values()}


def test_client__applied_twice__configures_pip_and_uv_once(minion: Masterless, index: Served, tmp_path: Path) -> None:
    predicted = minion.apply("wheelhouse.client", test=True)
    assert results(predicted) == {None}
    assert not (minion.home / ".netrc").exists()

    first = minion.run("state.apply", "wheelhouse.client", "-l", "info")
    assert first.returncode == 0, first.stdout
    assert index.token not in first.stdout + first.stderr
    netrc = minion.home / ".netrc"
    assert stat.S_IMODE(netrc.stat().st_mode) == 0o600
    assert index.token in netrc.read_text()

    second = minion.apply("wheelhouse.client")
    assert results(second) == {True}
    assert changes(second) == {}

    # The same as `wheelhouse index config` says.
    address = Address.parse(index.url, name="wheelhouse")
    ours, theirs = configparser.RawConfigParser(), configparser.RawConfigParser()
    ours.read_string(client_config("pip", address))
    theirs.read(tmp_path / "app/pip.conf")
    assert {name: dict(theirs[name]) for name in theirs} == {name: dict(ours[name]) for name in ours}
    uv = tomllib.loads((minion.home / ".config/uv/uv.toml").read_text())
    expected = tomllib.loads(client_config("uv", address))
    assert uv == {"index": [{key: value for key, value in expected["index"][0].items() if key != "publish-url"}]}


def test_installed__from_the_configured_index__changes_once_and_upgrades(minion: Masterless, tmp_path: Path) -> None:
    minion.apply("wheelhouse.client")

    def states(version: str) -> dict[str, object]:
        return {
            "app": {
                "wheelhouse.installed": [
                    {"name": "acme-spam", "version": version, "target": str(tmp_path / "app")},
                ]
            },
            "bare": {
                "wheelhouse.installed": [
                    {"name": "what the other one needs", "pkgs": [{"acme_spam": version}], "installer": find_uv_bin()},
                    {"target": str(tmp_path / "bare")},
                ]
            },
        }

    first = {"acme-eggs": {"old": "", "new": "1.0"}, "acme-spam": {"old": "", "new": "1.0"}}
    predicted = minion.apply_text(states("1.0"), test=True)
    assert results(predicted) == {None}
    assert changes(predicted) == {"app": first, "bare": first}
    done = minion.apply_text(states("1.0"))
    assert results(done) == {True}
    assert changes(done) == changes(predicted)
    again = minion.apply_text(states("1.0"))
    assert results(again) == {True}
    assert changes(again) == {}

    upgrade = {"acme-spam": {"old": "1.0", "new": "1.1"}}
    predicted = minion.apply_text(states(">1.0"), test=True)
    assert results(predicted) == {None}
    assert changes(predicted) == {"app": upgrade, "bare": upgrade}
    done = minion.apply_text(states(">1.0"))
    assert changes(done) == changes(predicted)
    for name in ("app", "bare"):
        subprocess.run([tmp_path / name / "bin/python", "-c", "import acme_spam"], check=True)
    nothing = minion.apply_text(states("1.1"), test=True)
    assert results(nothing) == {True}
    assert changes(nothing) == {}
