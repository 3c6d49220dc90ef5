"""`salt '*' state.apply wheelhouse.client` by way of a real master, and a roll-out to two minions."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from salt_environment import FORMULA, ROOT, salt_or_skip
from salt_fleet import salt_fleet
from served import served

if TYPE_CHECKING:
    from collections.abc import Iterator

    from salt_fleet import SaltFleet

pytestmark = pytest.mark.slow

MINIONS = ("one", "two")
NOTHING: dict[str, dict[str, Any]] = {minion: {} for minion in MINIONS}


@pytest.fixture
def folder() -> Iterator[Path]:
    """Give a folder with a short path, for Salt's sockets."""
    with tempfile.TemporaryDirectory(prefix="fleet-") as folder:
        yield Path(folder)


def apply(fleet: SaltFleet, name: str, *words: str) -> dict[str, dict[str, Any]]:
    """Return what each minion's states changed; all of them have to be well."""
    done = fleet.run("salt", "--static", "--out=json", "-t180", "*", "state.apply", name, *words, timeout=300)
    said = json.loads(done.stdout)
    assert set(said) == set(MINIONS), done.stdout
    for states in said.values():
        assert isinstance(states, dict), states
        assert not [each["comment"] for each in states.values() if each["result"] is False]
    return {
        minion: {each["__id__"]: each["changes"] for each in states.values() if each["changes"]}
        for minion, states in said.items()
    }


def test_fleet__client_and_installed__change_each_minion_once(folder: Path) -> None:
    salt = salt_or_skip()
    for part in ("master.d", "states", "pillar"):
        (folder / part).mkdir()
    roots = {
        "file_roots": {"base": [str(folder / "states"), str(FORMULA)]},
        "pillar_roots": {"base": [str(folder / "pillar")]},
    }
    (folder / "master.d/roots.conf").write_text(json.dumps(roots))
    (folder / "pillar/top.sls").write_text("base:\n  '*': [index]\n")
    (folder / "states/shop.sls").write_text(
        "acme-spam:\n  wheelhouse.installed:\n    - version: '1.0'\n"
        f"    - target: {folder}/{{{{ grains['id'] }}}}/app\n"
    )
    with served(folder / "index") as index:
        (folder / "pillar/index.sls").write_text(
            "wheelhouse:\n  client:\n"
            f"    index: {index.url}/simple/\n    token: {index.token}\n    uv: false\n"
            f"    pip_conf: {folder}/{{{{ grains['id'] }}}}/app/pip.conf\n"
            f"    users: [{{root: {folder}/{{{{ grains['id'] }}}}/netrc}}]\n"
        )
        with pytest.MonkeyPatch.context() as patch:
            # Each minion of a real fleet has an environment and a home folder of its own.
            for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_CONFIG_FILE"):
                patch.delenv(name, raising=False)
            for name in MINIONS:
                subprocess.run([sys.executable, "-m", "venv", folder / name / "app"], check=True)
            patch.setenv("NETRC", str(folder / "one/netrc"))
            with salt_fleet(salt, folder, {name: {} for name in MINIONS}) as fleet:
                rolled_out(fleet, index.token)


def rolled_out(fleet: SaltFleet, token: str) -> None:
    """See two runs of each state, and that no token is in what a master is told."""
    ids = {"wheelhouse pip configuration", "wheelhouse credentials of root"}
    first = apply(fleet, "wheelhouse.client")
    assert {minion: set(changes) for minion, changes in first.items()} == dict.fromkeys(MINIONS, ids)
    assert token not in json.dumps(first)
    assert apply(fleet, "wheelhouse.client") == NOTHING

    installed = {"acme-eggs": {"old": "", "new": "1.0"}, "acme-spam": {"old": "", "new": "1.0"}}
    assert apply(fleet, "shop") == {minion: {"acme-spam": installed} for minion in MINIONS}
    assert apply(fleet, "shop") == NOTHING

    # The unit comes through the master's file server, which follows the formula's link.
    unit = fleet.call("one", "cp.get_file_str", "salt://wheelhouse/server/wheelhouse.service")
    assert unit == (ROOT / "deploy/wheelhouse.service").read_text()
