from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from host_projects import make_wheel
from wheelhouse.builders.environment import EnvironmentMaker
from wheelhouse.builders.interpreters import Interpreter, Interpreters
from wheelhouse.process import Failure, Processes
from wheelhouse.requirements import Lock, Pin, Requirements
from wheelhouse.wheel import sha256_of

SCRIPTS = b"[console_scripts]\nham = ham:main\n"
MODULE = b"import sys\ndef main(): print(sys.executable)\n"


@pytest.fixture(scope="session")
def python(tmp_path_factory: pytest.TempPathFactory) -> Interpreter:
    return Interpreters(Processes(), {}, tmp_path_factory.mktemp("cache")).all()[0]


@pytest.fixture
def requirements(tmp_path: Path) -> Requirements:
    return with_wheel(tmp_path / "requirements", MODULE)


@pytest.fixture
def maker(tmp_path: Path) -> EnvironmentMaker:
    (tmp_path / "work").mkdir()
    return EnvironmentMaker(
        cache=tmp_path / "cache",
        processes=Processes(),
        path=os.environ["PATH"],
        work=tmp_path / "work",
        log=tmp_path / "log.txt",
        deadline=time.monotonic() + 60,
    )


def with_wheel(folder: Path, module: bytes) -> Requirements:
    folder.mkdir()
    members = {"ham.py": module, "broken.py": b"print 'of Python 2'\n", "ham-1.0.dist-info/entry_points.txt": SCRIPTS}
    wheel = make_wheel(folder, "ham-1.0-py3-none-any.whl", members)
    pin = Pin(name="ham", version="1.0", filename=wheel.name, sha256=sha256_of(wheel), url="")
    return Requirements(lock=Lock(pins=(pin,)), folder=folder)


def said(*command: str | Path) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_make__holds_the_requirements(
    maker: EnvironmentMaker, python: Interpreter, requirements: Requirements, tmp_path: Path
) -> None:
    made = maker.make(tmp_path / "env", python=python, requirements=requirements)

    assert said(made, "-c", "import ham, sys; print(sys.prefix)") == str(tmp_path / "env")
    # Scripts start the Python of the copy, not of what it was copied from.
    assert said(tmp_path / "env/bin/ham") == str(made)


def test_make__copies_come_with_bytecode_that_is_used(
    maker: EnvironmentMaker, python: Interpreter, requirements: Requirements, tmp_path: Path
) -> None:
    made = maker.make(tmp_path / "env", python=python, requirements=requirements)

    told = subprocess.run([made, "-v", "-c", "import ham"], check=True, capture_output=True, text=True).stderr
    assert f"matches {tmp_path}/env/lib/python" in told
    assert "ham.py" in told


def test_make__second_build_installs_nothing(
    maker: EnvironmentMaker, python: Interpreter, requirements: Requirements, tmp_path: Path
) -> None:
    maker.make(tmp_path / "first", python=python, requirements=requirements)
    before = maker.log.read_text()

    maker.make(tmp_path / "second", python=python, requirements=requirements)

    assert " pip install " in before
    assert " pip install " not in maker.log.read_text().removeprefix(before)


def test_make__what_a_build_changes_stays_in_its_copy(
    maker: EnvironmentMaker, python: Interpreter, requirements: Requirements, tmp_path: Path
) -> None:
    first = maker.make(tmp_path / "first", python=python, requirements=requirements)
    module = Path(said(first, "-c", "import ham; print(ham.__file__)"))
    with module.open("r+b") as file:  # in place, as a link would let it through
        file.write(b"raise SystemExit(1)\n")

    second = maker.make(tmp_path / "second", python=python, requirements=requirements)

    assert said(second, "-c", "import ham; print(ham.main.__name__)") == "main"


def test_make__other_wheel_of_the_same_name(
    maker: EnvironmentMaker, python: Interpreter, requirements: Requirements, tmp_path: Path
) -> None:
    maker.make(tmp_path / "first", python=python, requirements=requirements)
    other = with_wheel(tmp_path / "other", b"answer = 42\n")

    made = maker.make(tmp_path / "second", python=python, requirements=other)

    assert said(made, "-c", "import ham; print(ham.answer)") == "42"


def test_make__failed_installation_is_not_kept(
    maker: EnvironmentMaker, python: Interpreter, requirements: Requirements, tmp_path: Path
) -> None:
    wheel = requirements.folder / "ham-1.0-py3-none-any.whl"
    good = wheel.read_bytes()
    wheel.write_bytes(b"no wheel")
    with pytest.raises(Failure):
        maker.make(tmp_path / "first", python=python, requirements=requirements)
    wheel.write_bytes(good)

    made = maker.make(tmp_path / "second", python=python, requirements=requirements)

    assert said(tmp_path / "second/bin/ham") == str(made)


def test_make__removes_what_nobody_used_for_long(
    maker: EnvironmentMaker, python: Interpreter, requirements: Requirements, tmp_path: Path
) -> None:
    maker.make(tmp_path / "first", python=python, requirements=requirements)
    (old,) = (path for path in (maker.cache / "environments").iterdir() if path.is_dir())
    os.utime(old, (0, 0))

    maker.make(tmp_path / "second", python=python, requirements=with_wheel(tmp_path / "other", b""))

    assert not old.exists()
