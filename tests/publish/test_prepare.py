"""Checks before anything is sent: in this process, and in others where it is worth while."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import psutil
import pytest

from small_wheels import SmallWheel
from wheelhouse.errors import CheckError, InvalidWheelError, UsageError
from wheelhouse.publish import checking, prepare
from wheelhouse.wheel import sha256_of

if TYPE_CHECKING:
    from pathlib import Path

#: Enough that processes are started for them.
MANY = 150


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("dist")
    return [SmallWheel(version=f"1.{number}").write(folder) for number in range(MANY)]


@pytest.fixture(autouse=True)
def processors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a machine of three, whatever it is."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2})


def test_prepare__many__all_in_their_order(good: list[Path]) -> None:
    ready = prepare(good)
    assert [(one.path, one.name.filename, one.sha256) for one in ready] == [
        (path, path.name, sha256_of(path)) for path in good
    ]


def test_prepare__one_processor__is_the_same(good: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    by_several = prepare(good)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    assert prepare(good) == by_several


def test_checking__other_threads__starts_no_process(good: list[Path]) -> None:
    """Of which a fork would have the locks."""
    ended = threading.Event()
    thread = threading.Thread(target=ended.wait)
    thread.start()
    try:
        before = psutil.Process().children()
        with checking(good) as checked:
            assert psutil.Process().children() == before
            assert len(checked()) == MANY
    finally:
        ended.set()
        thread.join()


@pytest.mark.parametrize("count", [1, MANY])
def test_prepare__error_in_one__lets_none_pass(good: list[Path], tmp_path: Path, count: int) -> None:
    bad = [SmallWheel(name=name, metadata="Requires-Dist: ???\n").write(tmp_path) for name in ("eggs", "ham")]
    with pytest.raises(CheckError) as caught:
        prepare([bad[0], *good[:count], bad[1]])
    assert [line.partition(" WH")[0].strip() for line in str(caught.value).splitlines() if "-1.0-" in line] == [
        f"{path.name}:" for path in bad
    ]


@pytest.mark.parametrize("place", [0, MANY // 2, MANY])
def test_prepare__no_wheel_among_many__is_said(good: list[Path], tmp_path: Path, place: int) -> None:
    broken = tmp_path / "ham-1.0-py3-none-any.whl"
    broken.write_bytes(b"no zip")
    with pytest.raises(InvalidWheelError, match=r"ham-1\.0"):
        prepare([*good[:place], broken, *good[place:]])


def test_prepare__file_that_is_not_there(good: list[Path], tmp_path: Path) -> None:
    with pytest.raises(InvalidWheelError, match=r"ham-1\.0"):
        prepare([*good, tmp_path / "ham-1.0-py3-none-any.whl"])


def test_prepare__two_files_of_one_name(good: list[Path], tmp_path: Path) -> None:
    other = SmallWheel(version="1.0", files={"spam/__init__.py": "ANSWER = 43\n"}).write(tmp_path)
    with pytest.raises(UsageError, match="have one name and different bytes"):
        prepare([*good, other])
    assert len(prepare([good[0], good[0]])) == 1


def test_checking__processes_that_are_killed__are_done_without(good: list[Path]) -> None:
    with checking(good) as checked:
        for child in psutil.Process().children():
            child.kill()
        assert len(checked()) == MANY


def test_checking__left_early__leaves_no_process(good: list[Path]) -> None:
    before = psutil.Process().children()
    with checking(good):
        assert len(psutil.Process().children()) > len(before)
    assert psutil.Process().children() == before
