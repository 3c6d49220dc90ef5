from __future__ import annotations

import json
import platform
from typing import TYPE_CHECKING

from tiny import HERE
from wheelhouse import __version__
from wheelhouse.cli import run

if TYPE_CHECKING:
    import pytest


def test_machine__json__is_what_a_farm_asks_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["machine", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["version"] == __version__
    assert told["arch"] == platform.machine()
    assert HERE in told["pythons"]
    assert told["width"] >= 1
    assert told["memory"] > 0
    assert told["engine"] in {"", "podman", "docker"}
    assert told["arch"] not in (*told["emulates"], *told["crosses"])


def test_machine__for_people__has_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["machine"]) == 0
    assert f"version      {__version__}" in capsys.readouterr().out
