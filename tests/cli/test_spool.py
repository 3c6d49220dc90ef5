from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import pytest

from fake_index import Answer, FakeIndex, fake_index
from small_wheels import SmallWheel
from wheelhouse.cli import run
from wheelhouse.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "registry"
    (folder / "recipes").mkdir(parents=True)
    (folder / "wheelhouse.toml").write_text("")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
    return folder


@pytest.fixture
def index() -> Iterator[FakeIndex]:
    with fake_index() as served:
        yield served


@pytest.fixture
def spool(workspace: Path) -> Iterator[Spool]:
    with Spool(workspace / ".wheelhouse/spool") as opened:
        yield opened


def keep(spool: Spool, index: FakeIndex, name: str) -> int:
    """Put a wheel into the spool, and return its number."""
    path = SmallWheel(name=name).write(spool.folder.parent)
    return spool.accept(path, target=index.url, name=path.name, order_key=name, verdict="the index was down").id


def words(capsys: pytest.CaptureFixture[str]) -> list[list[str]]:
    return [line.split() for line in capsys.readouterr().out.splitlines()]


def test_list__nothing__makes_no_spool(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["spool", "list"]) == 0
    assert capsys.readouterr() == ("", "the spool is empty\n")
    assert not (workspace / ".wheelhouse").exists()


def test_list__states(spool: Spool, index: FakeIndex, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("spam", "eggs", "ham", "toast"):
        keep(spool, index, name)
    leased = [spool.lease() for _ in range(3)]
    assert leased[0] is not None
    assert leased[1] is not None
    spool.set_aside(leased[0], "400 no")
    spool.retry_later(leased[1], "503 later", outage=True, wait=7200)

    assert run(["spool", "list"]) == 0

    out, err = capsys.readouterr()
    assert [" ".join(line.split()) for line in out.splitlines()] == [
        f"1 set-aside 0s {index.url} spam-1.0-py3-none-any.whl 400 no",
        f"2 waiting, again in 2h 0s {index.url} eggs-1.0-py3-none-any.whl 503 later",
        f"3 being delivered 0s {index.url} ham-1.0-py3-none-any.whl the index was down",
        f"4 waiting 0s {index.url} toast-1.0-py3-none-any.whl the index was down",
    ]
    assert err.startswith("3 waiting, 1 set aside; ")


def test_list__json(spool: Spool, index: FakeIndex, capsys: pytest.CaptureFixture[str]) -> None:
    keep(spool, index, "spam")

    assert run(["spool", "list", "--json"]) == 0

    told = json.loads(capsys.readouterr().out)
    assert [(item["id"], item["state"], item["target"]) for item in told["items"]] == [(1, "waiting", index.url)]
    assert told["stats"]["waiting"] == 1


def test_show(spool: Spool, index: FakeIndex, capsys: pytest.CaptureFixture[str]) -> None:
    keep(spool, index, "spam")

    assert run(["spool", "show", "1"]) == 0
    assert ["verdict", "the", "index", "was", "down"] in words(capsys)
    assert run(["spool", "show", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["order_key"] == "spam"


@pytest.mark.parametrize("command", ["show", "drop", "retry"])
def test_unknown_item(command: str, spool: Spool, index: FakeIndex, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["spool", command, "7"]) == 22
    assert "there is no item 7" in capsys.readouterr().err


def test_retry__delivers_what_waits(spool: Spool, index: FakeIndex) -> None:
    keep(spool, index, "spam")
    keep(spool, index, "eggs")

    assert run(["spool", "retry"]) == 0
    assert len(index.files) == 2
    assert spool.items() == []


def test_retry__named__takes_up_what_was_set_aside(spool: Spool, index: FakeIndex) -> None:
    keep(spool, index, "spam")
    item = spool.lease()
    assert item is not None
    spool.set_aside(item, "403 not yet")

    assert run(["spool", "retry"]) == 0
    assert not index.files
    assert run(["spool", "retry", "1"]) == 0
    assert len(index.files) == 1


def test_retry__refused__is_an_error(spool: Spool, index: FakeIndex) -> None:
    keep(spool, index, "spam")
    index.answer = Answer(status=400)

    assert run(["spool", "retry"]) == 20
    assert run(["spool", "retry"]) == 0  # it was set aside
    assert sum(index.asked.values()) == 1


def test_drop(spool: Spool, index: FakeIndex, capsys: pytest.CaptureFixture[str]) -> None:
    keep(spool, index, "spam")
    keep(spool, index, "eggs")

    assert run(["spool", "drop", "1", "7"]) == 22
    assert len(spool.items()) == 2  # all or none
    assert run(["spool", "drop", "1"]) == 0
    assert capsys.readouterr().out == "dropped spam-1.0-py3-none-any.whl\n"
    assert [item.id for item in spool.items()] == [2]


def test_fsck__sound(spool: Spool, index: FakeIndex, capsys: pytest.CaptureFixture[str]) -> None:
    keep(spool, index, "spam")

    assert run(["spool", "fsck"]) == 0
    assert capsys.readouterr().err == "1 items read, 0 files of no item removed\n"


def test_fsck__damage__is_told(spool: Spool, capsys: pytest.CaptureFixture[str]) -> None:
    item = spool.accept(io.BytesIO(b"1"), target="t", name="spam.whl", order_key="spam")
    item.path.write_bytes(b"2")

    assert run(["spool", "fsck", "--json"]) == 22

    out, err = capsys.readouterr()
    assert [one["id"] for one in json.loads(out)["damaged"]] == [item.id]
    assert "damaged: spam.whl (item 1)" in err


def test_spool__of_the_server__is_listed_shown_retried_and_dropped(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Spool(workspace / ".wheelhouse/index-spool") as spool:
        for name in ("spam", "eggs"):
            item = spool.accept(io.BytesIO(name.encode()), target="store", name=name, order_key=name, verdict="down")
        leased = spool.lease()
        assert leased is not None
        spool.set_aside(leased, "409 taken")

    assert run(["spool", "list", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [(one["item"], one["target"], one["state"]) for one in told["items"]] == [
        ("index:1", "store", "set-aside"),
        ("index:2", "store", "waiting"),
    ]
    assert (told["stats"], told["index"]["waiting"]) == (None, 1)
    assert run(["spool", "list"]) == run(["spool", "show", "index:1"]) == run(["spool", "fsck"]) == 0
    assert "409 taken" in capsys.readouterr().out

    assert run(["spool", "retry", "index:1"]) == 0
    assert "2 in the spool of `wheelhouse serve`" in capsys.readouterr().err.replace("\n", " ")
    assert run(["spool", "drop", "index:2"]) == 0
    with Spool(workspace / ".wheelhouse/index-spool") as spool:
        assert [(one.id, str(one.state)) for one in spool.items()] == [(leased.id, "waiting")]
    assert item.name == "eggs"


@pytest.mark.parametrize("wrong", ["index:", "x", "index:x", "-1"])
def test_spool__what_is_no_item__is_refused(wrong: str) -> None:
    assert run(["spool", "show", "--", wrong]) == 2
