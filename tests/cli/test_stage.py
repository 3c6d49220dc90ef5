"""`wheelhouse stage` and `publish --stage` with a server that runs: staged, installed from there by uv, published."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest
from uv import find_uv_bin

from index_server import index_server, wheelhouse
from small_wheels import SmallWheel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from index_server import IndexServer

SPAM = SmallWheel(metadata="Requires-Dist: ham\n", files={"spam/__init__.py": "import ham\nANSWER = ham.ANSWER\n"})
HAM = SmallWheel(name="ham", files={"ham/__init__.py": "ANSWER = 42\n"})
BROKEN = SmallWheel(name="eggs", files={"eggs/__init__.py": "import not_there\n"})


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[IndexServer]:
    with index_server(tmp_path_factory.mktemp("index")) as running:
        yield running


@pytest.fixture(scope="module")
def token(server: IndexServer) -> str:
    return wheelhouse(server.registry, "token", "create", "ci", "--scope", "upload:*", "--scope", "read:*")


def run(server: IndexServer, token: str | None, *words: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("UV_", "PIP_", "TWINE_"))}
    clean |= {"WHEELHOUSE_URL": server.url, "TWINE_REPOSITORY_URL": f"{server.url}/legacy/"}
    clean |= {"PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring"}
    if token:
        clean["WHEELHOUSE_TOKEN"] = token
    command = [sys.executable, "-m", "wheelhouse", "--registry", str(server.registry), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=clean)


def published(server: IndexServer, project: str, folder: Path) -> bool:
    words = ["pip", "install", "--no-config", "--no-cache", "--dry-run", "--target", str(folder / "target"), project]
    index = ["--default-index", f"{server.url}/simple/"]
    return subprocess.run([find_uv_bin(), *words, *index], capture_output=True, check=False).returncode == 0


def test_publish__staged_and_tested__appears_at_once(server: IndexServer, token: str, tmp_path: Path) -> None:
    staged = run(server, token, "publish", str(SPAM.write(tmp_path)), "--stage", "release-1")
    to_stage = ["--publish-url", f"{server.url}/_/stages/release-1/legacy/", "--token", token]
    subprocess.run([find_uv_bin(), "publish", *to_stage, HAM.write(tmp_path)], check=True, capture_output=True)
    assert (staged.returncode, "stage publish release-1" in staged.stderr) == (0, True), staged.stderr
    assert staged.stdout == f"staged      {SPAM.filename}\n"
    assert "1 staged" in staged.stderr
    assert not published(server, "spam", tmp_path)

    listed = json.loads(run(server, token, "stage", "list", "--json").stdout)
    assert [(one["stage"], len(one["files"])) for one in listed] == [("release-1", 2)]
    shown = run(server, token, "stage", "show", "release-1")
    assert SPAM.filename in shown.stdout

    tested = run(server, token, "stage", "test", "release-1", "--json")
    assert tested.returncode == 0, tested.stderr
    assert {(one["wheel"], one["outcome"]) for one in json.loads(tested.stdout)} == {
        (SPAM.filename, "works"),
        (HAM.filename, "works"),
    }
    assert not published(server, "spam", tmp_path)

    done = run(server, token, "stage", "publish", "release-1", "--json")
    assert sorted(json.loads(done.stdout)["published"]) == [HAM.filename, SPAM.filename]
    assert published(server, "spam", tmp_path)


def test_publish__one_wheel_does_not_work__nothing_is_published(
    server: IndexServer, token: str, tmp_path: Path
) -> None:
    good = SmallWheel(name="bacon", files={"bacon/__init__.py": ""})
    wheels = [str(wheel.write(tmp_path)) for wheel in (BROKEN, good)]
    tried = run(server, token, "publish", *wheels, "--stage", "--test")
    assert (tried.returncode, "fails      eggs" in tried.stdout) == (9, True), tried.stderr
    assert not published(server, "bacon", tmp_path)
    name = json.loads(run(server, token, "stage", "list", "--json").stdout)[0]["stage"]
    assert run(server, token, "stage", "drop", name).returncode == 0
    assert run(server, token, "stage", "test", name).returncode == 16

    assert run(server, token, "publish", wheels[1], "--stage", "--test", "--json").returncode == 0
    assert published(server, "bacon", tmp_path)


def test_stage__without_a_token_or_a_server__is_told(server: IndexServer, token: str, tmp_path: Path) -> None:
    denied = run(server, None, "stage", "list")
    assert (denied.returncode, "WHEELHOUSE_TOKEN" in denied.stderr) == (29, True)
    down = run(server, token, "stage", "list", "--url", "http://127.0.0.1:9/")
    assert (down.returncode, "cannot be reached" in down.stderr) == (21, True)
    wheel = str(HAM.write(tmp_path))
    for words, status in (
        (("stage", "show", "Release"), 2),
        (("stage", "list", "--url", "ftp://x/"), 2),
        (("publish", "--stage", wheel), 2),
        (("publish", wheel, "--test"), 2),
        (("stage", "test", "a", "--python", "three"), 2),
        (("stage", "publish", "no-such"), 16),
    ):
        got = run(server, token, *words)
        assert (got.returncode, "Traceback" in got.stderr) == (status, False), (words, got.stderr)


def test_stage__store_is_down__waits_for_it_and_loses_nothing(server: IndexServer, token: str, tmp_path: Path) -> None:
    store, away = server.registry / ".wheelhouse" / "index", tmp_path / "away"
    wheel = str(SmallWheel(name="late").write(tmp_path))
    store.rename(away)
    try:
        ended = run(server, token, "publish", wheel, "--stage", "late", "--wait", "0")
        refused = run(server, token, "stage", "publish", "late")
        back = threading.Timer(3.0, away.rename, (store,))
        back.start()
        waited = run(server, token, "publish", wheel, "--stage", "late")
        back.join()
    finally:
        if away.exists():
            away.rename(store)
    assert (ended.returncode, "not sent again" in ended.stderr) == (21, True), ended.stderr
    assert (refused.returncode, "unavailable" in refused.stderr) == (21, True), refused.stderr
    assert (waited.returncode, waited.stdout.startswith("staged ")) == (0, True), waited.stderr
    assert run(server, token, "stage", "publish", "late").returncode == 0
    assert published(server, "late", tmp_path)
