"""A Python that this machine need not have: built and imported in containers of Debian's newest suite."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

RECIPES = Path(__file__).parents[2] / "recipes"


@pytest.mark.container
@pytest.mark.network
@pytest.mark.slow
def test_build__cp314__is_built_and_imported_in_containers(image_of: Callable[[str], str], tmp_path: Path) -> None:
    shutil.copytree(RECIPES / "markupsafe", tmp_path / "recipes/markupsafe")
    image = image_of("sid-x86_64")
    (tmp_path / "wheelhouse.toml").write_text(
        f'[targets]\nskip = ["*-musllinux_*"]\n[images]\nmanylinux_x86_64 = "{image}"\n'
        f'[test-images]\nmanylinux_x86_64 = "{image}"\n'
    )
    words = ["--registry", str(tmp_path), "build", "markupsafe", "--builder", "cibuildwheel", "--python", "3.14"]

    done = subprocess.run(
        [sys.executable, "-m", "wheelhouse", *words, "--arch", "x86_64", "--json"],
        check=False,
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stderr
    [record] = json.loads(done.stdout)
    assert record["wheel"]["filename"].startswith("markupsafe-")
    assert "-cp314-cp314-manylinux" in record["wheel"]["filename"]
    assert record["executed"] is True
    assert record["details"]["tested in"].endswith("(/usr/bin/python3.14)")
