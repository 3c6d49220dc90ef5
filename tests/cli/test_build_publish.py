"""From a recipe to `pip install`: built here, published to an index served here, installed by real pip."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import requests
import uv

import tiny
from index_server import index_server
from real_index import free_port, pypi_server
from wheelhouse.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.network]


def build(registry: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "wheelhouse", "--registry", str(registry), "build", "--all", "--publish"]
    return subprocess.run(
        [*command, "--python", tiny.HERE, *words],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )


def test_build_publish__served_wheels_are_installed_by_uv(tmp_path: Path) -> None:
    with index_server(tmp_path / "index", "--allow-anonymous-upload") as server:
        settings = f'[build]\nbuilder = "host"\n[publish]\nurl = "{server.url}/legacy/"\n'
        bad = tiny.Tiny(name="bad", before="#error no")
        registry = tiny.write_registry(tmp_path / "registry", tiny.Tiny(name="ant", answer=7), bad, settings=settings)
        done = build(registry)
        assert done.returncode == 3, done.stderr  # one of the two fails; the other is published all the same
        assert "1 published" in done.stderr
        again = build(registry)
        assert "1 reused" in again.stderr
        assert "1 published" in again.stderr  # the same bytes once more are welcome
        install = [uv.find_uv_bin(), "pip", "install", "--target", str(tmp_path / "site"), "--python", sys.executable]
        subprocess.run([*install, "--default-index", f"{server.url}/simple/", "--no-cache", "ant"], check=True)
    code = "import ant; print(ant.answer())"
    shown = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=tmp_path / "site"
    )
    assert shown.stdout == "7\n"


def test_build_publish__no_index_named__is_refused_before_anything_is_built(tmp_path: Path) -> None:
    registry = tiny.write_registry(tmp_path, tiny.Tiny(name="ant"))
    done = build(registry)
    assert done.returncode == UsageError.exit_code
    assert not (registry / ".wheelhouse" / "jobs").exists()


def test_build_publish__with_json__records_say_what_became_of_each_wheel(tmp_path: Path) -> None:
    with index_server(tmp_path / "index", "--allow-anonymous-upload") as server:
        settings = f'[build]\nbuilder = "host"\n[publish]\nurl = "{server.url}/legacy/"\n'
        registry = tiny.write_registry(tmp_path / "registry", tiny.Tiny(name="ant"), settings=settings)
        done = build(registry, "--json")
        (record,) = json.loads(done.stdout)
        assert record["details"]["published"]["outcome"] == "published"
        assert record["details"]["published"]["sha256"] == record["wheel"]["sha256"]
        assert requests.get(f"{server.url}/_/records/", timeout=10).json() == {"records": {}}  # that is for farms

        done = build(registry, "--json", WHEELHOUSE_TICKET="run-1.1")
        (record,) = json.loads(done.stdout)
        assert record["details"]["ticket"] == "run-1.1"
        assert requests.get(f"{server.url}/_/records/{record['job']}", timeout=10).json() == record


def test_build_publish__the_index_keeps_no_records__the_wheel_is_published_all_the_same(tmp_path: Path) -> None:
    with pypi_server(tmp_path / "served", port=free_port()) as url:
        settings = f'[build]\nbuilder = "host"\n[publish]\nurl = "{url}"\n'
        registry = tiny.write_registry(tmp_path / "registry", tiny.Tiny(name="ant"), settings=settings)
        user = {"TWINE_USERNAME": "any", "TWINE_PASSWORD": "any"}
        done = build(registry, "--json", WHEELHOUSE_TICKET="run-1.1", **user)
        (record,) = json.loads(done.stdout)
        assert done.returncode == 0, done.stderr
        assert record["details"]["published"]["outcome"] == "published"
        assert record["details"]["not recorded"]
