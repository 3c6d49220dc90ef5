from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from fakes import a_job, a_record
from wheelhouse.cli import cli
from wheelhouse.errors import UsageError
from wheelhouse.record import write_atomically

if TYPE_CHECKING:
    from pathlib import Path

OLD, NEW = a_job("spam", target="cp311-manylinux_x86_64"), a_job("spam", target="cp312-manylinux_x86_64")


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    (tmp_path / "wheelhouse.toml").write_text("")
    (tmp_path / "recipes").mkdir()
    for age, job in ((100, OLD), (0, NEW)):
        folder = tmp_path / ".wheelhouse" / "jobs" / job.id
        write_atomically(folder / "record.json", a_record(job).to_json())
        (folder / "log.txt").write_text(f"log of {job}\n")
        when = folder.stat().st_mtime - age
        os.utime(folder, (when, when))
    return tmp_path


def log(registry: Path, *words: str) -> Result:
    return CliRunner().invoke(cli, ["--registry", str(registry), "log", *words])


def test_log__no_name__lists_jobs(registry: Path) -> None:
    assert log(registry).stdout.split() == [OLD.id, NEW.id]


def test_log__id__prints_its_log(registry: Path) -> None:
    assert log(registry, OLD.id).stdout == f"log of {OLD}\n"


def test_log__project__prints_the_latest(registry: Path) -> None:
    assert log(registry, "spam").stdout == f"log of {NEW}\n"


def test_log__record__is_json(registry: Path) -> None:
    assert json.loads(log(registry, OLD.id, "--record").stdout)["job"] == OLD.id


def test_log__unknown__suggests(registry: Path) -> None:
    error = log(registry, "spam-1.0-cp311-manylinux_x86").exception
    assert isinstance(error, UsageError)
    assert error.hint == f"did you mean `{OLD.id}`?"


def test_log__still_running__says_so(registry: Path) -> None:
    (registry / ".wheelhouse" / "jobs" / OLD.id / "record.json").unlink()
    error = log(registry, OLD.id, "--record").exception
    assert isinstance(error, UsageError)
    assert "has no record.json yet" in error.message


def test_log__nothing_ever_ran__says_so(tmp_path: Path) -> None:
    (tmp_path / "wheelhouse.toml").write_text("")
    (tmp_path / "recipes").mkdir()
    result = log(tmp_path)
    assert result.exit_code == 0
    assert "no job has run yet" in result.stderr
