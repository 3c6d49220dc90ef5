from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from packaging.utils import canonicalize_name

from arrivals import WHEEL, an_arrival, sha256
from index_server import index_server, wheelhouse
from small_wheels import SmallWheel
from wheelhouse.cli import run
from wheelhouse.index.changes.repository import Repository
from wheelhouse.index.stores.folder import FolderStore

if TYPE_CHECKING:
    from pathlib import Path

SPAM = canonicalize_name("spam")


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wheelhouse.toml").write_text("")
    (tmp_path / "recipes").mkdir()
    repository = Repository(store=FolderStore.open(tmp_path / ".wheelhouse" / "index"))
    repository.add_file(*an_arrival(tmp_path))
    return repository


def test_list__projects_and_files(repository: Repository, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["index", "list"]) == 0
    assert capsys.readouterr().out == "spam\n"
    repository.yank(SPAM, WHEEL, "broken")
    assert run(["index", "list", "Spam"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"{WHEEL}  4 bytes")
    assert out.endswith("yanked: broken\n")
    assert run(["index", "list", "spam", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["files"][0]["filename"] == WHEEL


def test_list__unknown_project__has_its_exit_code(repository: Repository) -> None:
    assert run(["index", "list", "ham"]) == 16


def test_yank__and_back_and_delete__change_the_index(
    repository: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["index", "yank", WHEEL, "--reason", "broken"]) == 0
    assert repository.project(SPAM).files[0].yanked == "broken"
    assert run(["index", "unyank", WHEEL]) == 0
    assert repository.project(SPAM).files[0].yanked is False
    assert run(["index", "delete", WHEEL]) == 0
    assert repository.project(SPAM).files == ()

    capsys.readouterr()
    assert run(["index", "audit", "--json"]) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [event["action"] for event in events] == ["yank", "unyank", "delete"]
    assert {(event["who"], event["filename"]) for event in events} == {("command-line", WHEEL)}
    assert events[0]["reason"] == "broken"


def test_change__release_status_policy__change_the_index(repository: Repository) -> None:
    assert run(["index", "yank", "Spam==1.0.0"]) == 0
    assert repository.project(SPAM).files[0].yanked is True
    assert run(["index", "status", "Spam", "archived", "--reason", "done"]) == 0
    assert run(["index", "policy", "Spam", "overlay"]) == 0
    found = repository.project(SPAM)
    assert (found.status, found.status_reason, found.policy) == ("archived", "done", "overlay")
    assert run(["index", "delete", "spam==2.0"]) == 16
    assert run(["index", "delete", "spam==two"]) == 2
    assert run(["index", "--store", "x", "delete", "spam==1", "--url", "http://127.0.0.1:9/"]) == 2
    assert run(["index", "delete", "spam==1", "--url", "http://127.0.0.1:9/"]) == 21


def test_change__on_a_server__is_done_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with index_server(tmp_path / "there") as server:
        wheel = SmallWheel().write(tmp_path)
        scopes = [word for action in ("upload", "yank", "delete", "admin") for word in ("--scope", f"{action}:*")]
        monkeypatch.setenv("WHEELHOUSE_TOKEN", wheelhouse(server.registry, "token", "create", "keeper", *scopes))
        monkeypatch.chdir(tmp_path)
        assert run(["publish", str(wheel), "--index-url", f"{server.url}/legacy/", "--stage", "one"]) == 0
        assert run(["stage", "publish", "one", "--url", server.url]) == 0
        for words in (
            ["yank", wheel.name, "--reason", "broken"],
            ["unyank", "spam==1.0"],
            ["status", "spam", "deprecated"],
            ["policy", "spam", "overlay"],
            ["delete", "spam==1.0"],
        ):
            assert run(["index", *words, "--url", server.url]) == 0
        assert run(["index", "delete", wheel.name, "--url", server.url]) == 16
        monkeypatch.setenv("WHEELHOUSE_TOKEN", "wrong")
        assert run(["index", "delete", wheel.name, "--url", server.url]) == 29


def test_yank__no_filename_of_a_wheel__is_refused(repository: Repository) -> None:
    assert run(["index", "yank", "spam"]) == 14


def test_verify__sound_and_damaged__tell_by_exit_code(
    repository: Repository, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["index", "verify"]) == 0
    capsys.readouterr()
    path = repository.store.local_path(sha256(b"spam"))
    assert path is not None
    path.write_bytes(b"spat")
    assert run(["index", "verify", "--json"]) == 17
    told = json.loads(capsys.readouterr().out)
    assert [(damage["project"], damage["filename"]) for damage in told["damages"]] == [("spam", WHEEL)]
    assert run(["index", "verify"]) == 17
    assert capsys.readouterr().out.startswith(f"spam: {WHEEL}: its bytes have sha256")


def test_gc__young_orphans__stay(repository: Repository, capsys: pytest.CaptureFixture[str]) -> None:
    repository.delete(SPAM, WHEEL)
    assert run(["index", "gc", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"blobs": 0, "bytes": 0, "leftovers": 0, "expired": 0}


def test_export__again__writes_nothing(
    repository: Repository, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["index", "export", "public"]) == 0
    assert (tmp_path / "public" / "simple" / "spam" / "index.html").is_file()
    capsys.readouterr()
    assert run(["index", "export", "public"]) == 0
    assert "0 written, 0 removed" in capsys.readouterr().err


def test_index__no_store__makes_none(tmp_path: Path, repository: Repository) -> None:
    assert run(["index", "--store", str(tmp_path / "nowhere"), "verify"]) == 2
    assert not (tmp_path / "nowhere").exists()
