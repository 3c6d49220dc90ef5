from __future__ import annotations

import ctypes
import errno
import os
import sys
from typing import TYPE_CHECKING, Any

import pytest

from wheelhouse.spool import disk
from wheelhouse.spool.disk import MANY, whole_file_system

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.skipif(sys.platform != "linux", reason="syncfs is Linux's")
def test_whole_file_system__many_things__are_waited_for_together(tmp_path: Path) -> None:
    with whole_file_system(tmp_path, MANY) as sync:
        (tmp_path / "file").write_bytes(b"spam")
        assert sync()
        assert sync()


def test_whole_file_system__few_things__are_the_callers(tmp_path: Path) -> None:
    with whole_file_system(tmp_path, MANY - 1) as sync:
        assert not sync()


@pytest.mark.parametrize("release", ["5.7.19-generic", "4.18.0-553.el8", "what-is-this"])
def test_whole_file_system__kernel_that_keeps_errors_to_itself__is_not_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, release: str
) -> None:
    monkeypatch.setattr(os, "uname", lambda: os.uname_result(("Linux", "here", release, "", "x86_64")))
    disk._syncfs.cache_clear()
    try:
        with whole_file_system(tmp_path, MANY) as sync:
            assert not sync()
    finally:
        disk._syncfs.cache_clear()


@pytest.mark.skipif(sys.platform != "linux", reason="syncfs is Linux's")
def test_whole_file_system__disk_that_fails__is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Library:
        def syncfs(self, handle: int) -> int:
            ctypes.set_errno(errno.EIO)
            return -1

    def load(*_: Any, **__: Any) -> Library:
        return Library()

    monkeypatch.setattr(ctypes, "CDLL", load)
    disk._syncfs.cache_clear()
    try:
        with whole_file_system(tmp_path, MANY) as sync, pytest.raises(OSError, match="Input/output error"):
            sync()
    finally:
        disk._syncfs.cache_clear()
