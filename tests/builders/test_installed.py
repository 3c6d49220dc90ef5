from __future__ import annotations

import os
import subprocess
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from host_projects import make_wheel
from wheelhouse.builders.cibuildwheel_config import INSTALLED, LIST, requirements_list
from wheelhouse.builders.image import Contents, Image, Images
from wheelhouse.builders.installed import Installation
from wheelhouse.errors import MachineError
from wheelhouse.joblog import JobLog
from wheelhouse.process import Processes
from wheelhouse.requirements import Lock, Pin, Requirements
from wheelhouse.wheel import sha256_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from wheelhouse.builders.engine import Engine

PYTHON = "/opt/python/cp311-cp311"
SCRIPTS = b"[console_scripts]\nham = ham:main\n"
MODULE = b"import sys\ndef main(): print('ham of', sys.version_info[:2])\n"
PTH = b"import os; os.environ['PTH'] = 'read'\n"


@pytest.fixture
def requirements(tmp_path: Path) -> Requirements:
    folder = tmp_path / "requirements"
    folder.mkdir()
    members = {"ham.py": MODULE, "ham.pth": PTH, "ham-1.0.dist-info/entry_points.txt": SCRIPTS}
    wheel = make_wheel(folder, "ham-1.0-py3-none-any.whl", members)
    pin = Pin(name="ham", version="1.0", filename=wheel.name, sha256=sha256_of(wheel), url="")
    return Requirements(lock=Lock(pins=(pin,)), folder=folder)


@pytest.fixture
def inputs(tmp_path: Path, requirements: Requirements) -> Path:
    folder = tmp_path / "inputs"
    folder.mkdir()
    (folder / LIST).write_text(requirements_list(requirements))
    return folder


@pytest.mark.container
@pytest.mark.slow
class TestFolder:
    """Installs in real containers."""

    @pytest.fixture
    def image(self, engine: Engine, image_of: Callable[[str], str], tmp_path: Path) -> Image:
        return Images(engine, Processes(), tmp_path).find(image_of("bookworm-x86_64"), "x86_64")

    @pytest.fixture
    def contents(self, engine: Engine, image: Image, tmp_path: Path) -> Contents:
        return Images(engine, Processes(), tmp_path).contents(image)

    @pytest.fixture
    def installation(self, engine: Engine, image: Image, contents: Contents, tmp_path: Path) -> Installation:
        (tmp_path / "log.txt").touch()
        return Installation(
            engine=engine,
            image=image,
            contents=contents,
            processes=Processes(),
            cache=tmp_path / "cache",
            log=JobLog(tmp_path / "log.txt", job="a job"),
            deadline=time.monotonic() + 60,
        )

    @pytest.mark.parametrize("uv", ["uv", None], ids=["uv", "pip"])
    def test_folder__works_where_it_is_mounted(
        self, installation: Installation, requirements: Requirements, inputs: Path, uv: str | None
    ) -> None:
        installation = replace(installation, contents=installation.contents.model_copy(update={"uv": uv}))

        folder = installation.folder(PYTHON, requirements, inputs)

        assert list(folder.rglob("ham.cpython-311.pyc"))
        run = installation.engine.run_command(
            installation.image.reference,
            ["sh", "-c", f"{INSTALLED}/bin/ham && {PYTHON}/bin/python -c 'import os, ham; print(os.environ[\"PTH\"])'"],
            volumes={folder: INSTALLED},
            env={"PYTHONPATH": INSTALLED},
        )
        assert subprocess.run(run, check=True, capture_output=True, text=True).stdout == "ham of (3, 11)\nread\n"
        said = installation.log.path.read_text()
        assert installation.folder(PYTHON, requirements, inputs) == folder
        assert installation.log.path.read_text() == said, "installed once"

    def test_folder__cannot_be_installed__nothing_is_left(
        self, installation: Installation, requirements: Requirements, inputs: Path
    ) -> None:
        os.truncate(requirements.folder / requirements.lock.pins[0].filename, 10)

        with pytest.raises(MachineError, match="the build requirements cannot be installed"):
            installation.folder(PYTHON, requirements, inputs)

        assert not [path for path in (installation.cache / "installed").iterdir() if path.is_dir()]
        assert "wheelhouse-installs" not in installation.processes.run([installation.engine.name, "ps", "-a"]).output
