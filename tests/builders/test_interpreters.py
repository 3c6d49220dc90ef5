from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from wheelhouse.builders import Unavailable
from wheelhouse.builders.interpreters import Interpreter, Interpreters, candidates
from wheelhouse.process import Processes
from wheelhouse.target import BuildIdentifier

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wheelhouse.process import Completed

HERE = BuildIdentifier.parse(f"cp3{sys.version_info[1]}-manylinux_x86_64")


class Counting(Processes):
    """Counts what is started."""

    def __init__(self) -> None:
        super().__init__()
        self.started: list[str] = []

    def run(self, command: Sequence[str | Path], **options: object) -> Completed:
        self.started.append(os.fspath(command[0]))
        return super().run(command, **options)  # type: ignore[arg-type]  # handed through as they are


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "bin").mkdir()
    return {"PATH": str(tmp_path / "bin"), "HOME": str(tmp_path / "home")}


def test_all__finds_the_python_that_we_run_on(tmp_path: Path, environment: dict[str, str]) -> None:
    found = Interpreters(Processes(), environment, tmp_path / "cache").all()

    assert found[0].executable == Path(sys.executable).resolve()
    assert found[0].version == sys.version_info[:3]
    assert found[0].build == sys.version
    assert found[0].arch == os.uname().machine


def test_all__second_run_starts_nothing(tmp_path: Path, environment: dict[str, str]) -> None:
    first = Interpreters(Processes(), environment, tmp_path / "cache").all()
    counting = Counting()

    again = Interpreters(counting, environment, tmp_path / "cache").all()

    assert again == first
    assert counting.started == []


def test_all__memory_that_is_no_json(tmp_path: Path, environment: dict[str, str]) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / "interpreters.json").write_bytes(b'{"format":')
    counting = Counting()

    assert Interpreters(counting, environment, cache).all()
    assert counting.started


def test_all__executable_that_is_no_python(tmp_path: Path, environment: dict[str, str]) -> None:
    liar = tmp_path / "bin" / "python3.99"
    liar.write_bytes(Path("/bin/true").read_bytes())
    liar.chmod(0o755)

    found = Interpreters(Processes(), environment, tmp_path / "cache").all()

    assert liar not in [python.executable for python in found]


def test_candidates__shim_is_not_asked(tmp_path: Path, environment: dict[str, str]) -> None:
    shim = tmp_path / "bin" / "python3.13"
    shim.write_text("#!/bin/sh\nexit 1\n")
    shim.chmod(0o755)

    assert shim not in list(candidates(environment))


def test_candidates__uv_and_pyenv_folders(tmp_path: Path, environment: dict[str, str]) -> None:
    expected = []
    for folder in (".local/share/uv/python/cpython-3.99.2-linux", ".pyenv/versions/3.99.10", ".pyenv/versions/3.99.9"):
        python = tmp_path / "home" / folder / "bin" / "python3.99"
        python.parent.mkdir(parents=True)
        python.write_bytes(b"\x7fELF")
        expected.append(python)

    found = [path for path in candidates(environment) if path.is_relative_to(tmp_path)]

    assert found == expected


def test_find__no_such_python(tmp_path: Path, environment: dict[str, str]) -> None:
    answer = Interpreters(Fixed(()), environment, tmp_path).find(HERE)

    assert isinstance(answer, Unavailable)
    assert answer.hint is not None
    assert f"uv python install 3.{sys.version_info[1]}" in answer.hint


class Fixed(Processes):
    """Every Python that is asked fails."""

    def __init__(self, _answers: Sequence[str]) -> None:
        super().__init__()

    def run(self, command: Sequence[str | Path], **options: object) -> Completed:
        return super().run(["true"])


def python_of(version: tuple[int, int, int], **changes: object) -> Interpreter:
    facts: dict[str, object] = {
        "executable": Path("/usr/bin/python"),
        "implementation": "cpython",
        "version": version,
        "release": "final0",
        "build": "",
        "freethreaded": False,
        "debug": False,
        "platform": "linux-x86_64",
        "suffix": ".so",
        "host": "x86_64-pc-linux-gnu",
        "include": Path("/usr/include"),
        "headers": True,
    }
    return Interpreter.model_validate(facts | changes)


@pytest.mark.parametrize(
    ("python", "serves"),
    [
        (python_of((3, 13, 1)), True),
        (python_of((3, 12, 1)), False),
        (python_of((3, 13, 1), freethreaded=True), False),
        (python_of((3, 13, 1), debug=True), False),
        (python_of((3, 13, 1), implementation="pypy"), False),
    ],
)
def test_serves(python: Interpreter, serves: bool) -> None:  # noqa: FBT001 - a parameter of the case
    assert python.serves(BuildIdentifier.parse("cp313-manylinux_x86_64")) is serves


def test_find__prefers_one_with_headers(tmp_path: Path) -> None:
    bare = python_of((3, 13, 1), headers=False, executable=Path("/bare"))
    whole = python_of((3, 13, 0), executable=Path("/whole"))
    interpreters = Interpreters(Processes(), {}, tmp_path)
    interpreters._found = (bare, whole)

    assert interpreters.find(BuildIdentifier.parse("cp313-manylinux_x86_64")) == whole


def test_find__only_without_headers(tmp_path: Path) -> None:
    interpreters = Interpreters(Processes(), {}, tmp_path)
    interpreters._found = (python_of((3, 13, 1), headers=False),)

    answer = interpreters.find(BuildIdentifier.parse("cp313-manylinux_x86_64"))

    assert isinstance(answer, Unavailable)
    assert "Python.h" in answer.reason
    assert "python3.13-dev" in str(answer.hint)
