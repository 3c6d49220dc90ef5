"""What starting costs: modules that a call does not need are not imported. Times are in benchmarks/ten_packages.py."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import tiny
from small_wheels import SmallWheel

if TYPE_CHECKING:
    from pathlib import Path

#: Each takes tens of milliseconds, or brings many others.
SLOW = {
    "pydantic",
    "rich",
    "asyncio",
    "urllib3",
    "ssl",
    "pypi_simple",
    "cibuildwheel",
    "cibuildwheel.options",
    "wheelhouse.provenance",
}
#: What only some wheels need to be checked, or what only sending does.
NOT_FOR_CHECKS = {"elftools", "auditwheel", "abi3info", "docutils", "twine", "requests", "wheelhouse.record"}


def imported_by(*words: str) -> set[str]:
    """Return the modules that a call imports."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "wheelhouse", *words],
        check=True,
        capture_output=True,
        text=True,
        env=os.environ,
    )
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip() for line in lines}


@pytest.mark.parametrize("words", [("--version",), ("--help",), ("build", "--help"), ("recipe", "--help")])
def test_help__imports_what_it_shows_and_no_more(words: tuple[str, ...]) -> None:
    modules = imported_by(*words)

    assert "wheelhouse.cli" in modules
    assert modules & SLOW == set()


def test_publish__dry_run_of_a_pure_wheel__imports_its_checks(tmp_path: Path) -> None:
    (tmp_path / "wheelhouse.toml").touch()
    wheel = SmallWheel().write(tmp_path)
    url = "http://127.0.0.1:1/legacy/"

    modules = imported_by("--registry", str(tmp_path), "publish", "--dry-run", "--index-url", url, str(wheel))

    assert "wheelhouse.check.examine" in modules
    assert modules & (NOT_FOR_CHECKS | SLOW - {"pydantic", "rich"}) == set()


def test_check__of_a_pure_wheel__imports_its_checks(tmp_path: Path) -> None:
    (tmp_path / "wheelhouse.toml").touch()
    wheel = SmallWheel().write(tmp_path)

    modules = imported_by("--registry", str(tmp_path), "check", "--no-trial", str(wheel))

    assert "wheelhouse.check.examine" in modules
    assert modules & (NOT_FOR_CHECKS | SLOW - {"pydantic"}) == set()


@pytest.mark.slow
@pytest.mark.network
def test_build__nothing_to_do__imports_no_stage(tmp_path: Path) -> None:
    registry = tiny.write_registry(tmp_path, tiny.Tiny(name="ant"))
    words = ["--registry", str(registry), "build", "ant", "--builder", "host", "--python", tiny.HERE]
    subprocess.run([sys.executable, "-m", "wheelhouse", *words], check=True, capture_output=True)

    modules = imported_by(*words)

    assert "wheelhouse.plan" in modules
    stages = {"wheelhouse.pipeline", "wheelhouse.check", "wheelhouse.trial"}
    # cibuildwheel's selectors pick the targets.
    assert modules & (stages | SLOW - {"pydantic", "cibuildwheel"}) == set()
