from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fake_index import Answer, FakeIndex, fake_index
from real_index import free_port, pypi_server
from small_wheels import SmallWheel
from wheelhouse.cli import run

if TYPE_CHECKING:
    from collections.abc import Iterator

SPAM, EGGS = "spam-1.0-py3-none-any.whl", "eggs-1.0-py3-none-any.whl"


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a registry with two finished wheels, and no credentials."""
    folder = tmp_path / "registry"
    (folder / "recipes").mkdir(parents=True)
    (folder / "wheelhouse.toml").write_text("")
    for name in ("spam", "eggs"):
        SmallWheel(name=name).write(folder / "dist")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
    for name in (
        "TWINE_REPOSITORY",
        "TWINE_REPOSITORY_URL",
        "TWINE_USERNAME",
        "TWINE_PASSWORD",
        "CI",
        "GITHUB_ACTIONS",
    ):
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.fixture
def index() -> Iterator[FakeIndex]:
    with fake_index() as served:
        yield served


def publish(index: FakeIndex, *words: str) -> int:
    return run(["publish", "--index-url", index.url, *words])


def test_publish__all_of_dist(index: FakeIndex, capsys: pytest.CaptureFixture[str]) -> None:
    assert publish(index) == 0

    out, err = capsys.readouterr()
    assert sorted(out.splitlines()) == [f"published   {EGGS}", f"published   {SPAM}"]
    assert err == f"2 published [{index.url}]\n"
    assert set(index.files) == {SPAM, EGGS}


def test_publish__again__is_no_error(index: FakeIndex) -> None:
    assert publish(index) == publish(index) == 0


def test_publish__other_bytes_under_the_name__names_the_build_number(
    index: FakeIndex, capsys: pytest.CaptureFixture[str]
) -> None:
    index.files[SPAM] = b"another wheel"

    assert publish(index, f"dist/{SPAM}") == 20

    err = capsys.readouterr().err
    assert f"error: {SPAM}: 409 Conflict: the name is taken\n" in err
    assert "hint: published files do not change: set `build-number = 1`" in err


def test_publish__url_in_the_configuration(index: FakeIndex, workspace: Path) -> None:
    (workspace / "wheelhouse.toml").write_text(f'[publish]\nurl = "{index.url}"\n')

    assert run(["publish"]) == 0
    assert set(index.files) == {SPAM, EGGS}


def test_publish__nowhere__sends_nothing() -> None:
    assert run(["publish"]) == 2


def test_publish__wheel_with_an_error__sends_none(index: FakeIndex, workspace: Path) -> None:
    SmallWheel(name="ham", metadata="Requires-Dist: ???\n").write(workspace / "dist")

    assert publish(index) == 9
    assert not index.asked


def test_publish__dry_run__sends_nothing(index: FakeIndex, capsys: pytest.CaptureFixture[str]) -> None:
    assert publish(index, "--dry-run") == 0
    assert capsys.readouterr().out == f"would send  {EGGS}\nwould send  {SPAM}\n"
    assert publish(index, "--dry-run", "--json") == 0
    assert [one["index"] for one in json.loads(capsys.readouterr().out)] == [index.url] * 2
    assert not index.asked
    assert not Path(".wheelhouse").exists()


def test_publish__index_busy__is_accepted_and_the_next_delivers(
    index: FakeIndex, capsys: pytest.CaptureFixture[str]
) -> None:
    index.answer = Answer(status=503)
    assert publish(index, "--json") == 0
    out, err = capsys.readouterr()
    assert [one["outcome"] for one in json.loads(out)] == ["spooled", "spooled"]
    assert "accepted and kept on disk, not yet delivered" in err

    index.answer = Answer()
    assert publish(index) == 0
    assert set(index.files) == {SPAM, EGGS}
    assert not any(Path(".wheelhouse/spool/files").iterdir())


def test_publish__no_spool__fails(index: FakeIndex, capsys: pytest.CaptureFixture[str]) -> None:
    index.answer = Answer(status=503)

    assert publish(index, "--no-spool") == 21
    assert "503 Service Unavailable" in capsys.readouterr().err
    assert not Path(".wheelhouse/spool").exists()


def test_publish__no_room_in_the_spool__says_so(index: FakeIndex, workspace: Path) -> None:
    (workspace / "wheelhouse.toml").write_text("[publish]\nspool-megabytes = 0\n")
    index.answer = Answer(status=503)

    assert publish(index) == 23


def test_publish__denied(index: FakeIndex, capsys: pytest.CaptureFixture[str]) -> None:
    index.answer = Answer(status=403)

    assert publish(index) == 20
    assert "hint: TWINE_USERNAME" in capsys.readouterr().err


def test_publish__real_index_starts_late__gets_all(tmp_path: Path) -> None:
    port = free_port()
    assert run(["publish", "--index-url", f"http://127.0.0.1:{port}/"]) == 0
    with pypi_server(tmp_path / "packages", port=port):
        assert run(["spool", "retry"]) == 0

    assert sorted(path.name for path in (tmp_path / "packages").iterdir()) == [EGGS, SPAM]
