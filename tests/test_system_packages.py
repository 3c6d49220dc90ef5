"""System packages of a container job, with a real engine: their versions are in the build key.

A distribution of one package, served here, moves on from 1.0 to 2.0.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

import tiny
from distribution import PACKAGE, Distribution

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from wheelhouse.builders.engine import Engine

pytestmark = [pytest.mark.slow, pytest.mark.network, pytest.mark.container]


@pytest.fixture
def distribution(tmp_path: Path) -> Distribution:
    made = Distribution(tmp_path / "distribution")
    made.publish("1.0", 1)
    return made


@pytest.fixture
def image(engine: Engine, image_of: Callable[[str], str], distribution: Distribution, tmp_path: Path) -> Iterator[str]:
    """Give an image whose package manager knows this distribution alone; skip where containers cannot reach it."""
    reference = f"localhost/wheelhouse-test/moving:{os.getpid()}"
    with distribution.serving() as line:
        sources = tmp_path / "sources.list"
        sources.write_text(f"{line}\n")
        name = f"wheelhouse-test-{os.getpid()}"
        script = "rm -f /etc/apt/sources.list.d/* && exec apt-get update -o Acquire::Retries=0 --error-on=any"
        volume = f"--volume={sources}:/etc/apt/sources.list:ro"
        update = [engine.name, "run", "--rm", volume, image_of("bookworm-x86_64"), "sh", "-c", script]
        if subprocess.run(update, check=False, capture_output=True).returncode != 0:
            pytest.skip("containers here have a network of their own and do not reach this machine's loopback")
        script = f"rm -f /etc/apt/sources.list.d/* && echo '{line}' > /etc/apt/sources.list"
        for command in (
            ["run", f"--name={name}", image_of("bookworm-x86_64"), "sh", "-c", script],
            ["commit", name, reference],
            ["rm", name],
        ):
            subprocess.run([engine.name, *command], check=True, capture_output=True)
        yield reference
        subprocess.run([engine.name, "image", "rm", "--force", reference], check=True, capture_output=True)


def call(registry: Path, *words: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "wheelhouse", "--registry", str(registry), *words],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done


def built(registry: Path, *words: str) -> dict[str, Any]:
    """Build one job and return its record."""
    [record] = json.loads(call(registry, "build", "ant", "--builder", "cibuildwheel", "--json", *words).stdout)
    assert isinstance(record, dict)
    return record


def test_plan__package_of_the_image_has_another_version__is_named(
    image: str, distribution: Distribution, tmp_path: Path
) -> None:
    # A linker that leaves out what is not called would leave even the C library out of so small an extension.
    recipe = f"""
[system-packages]
debian = ["{PACKAGE}"]
[build]
environment = {{ LDFLAGS = "-Wl,--no-as-needed" }}
"""
    project = tiny.Tiny(name="ant", answer="ANSWER", before="#include <answer.h>", recipe=recipe)
    settings = f'[targets]\nskip = ["*-musllinux_*"]\n[images]\nmanylinux_x86_64 = "{image}"\n'
    registry = tiny.write_registry(tmp_path, project, settings=settings)

    def plan(python: str, *words: str) -> str:
        return call(registry, "plan", "ant", "--builder", "cibuildwheel", "--python", python, *words).stdout

    old, other = built(registry, "--python", "3.11"), built(registry, "--python", "3.9")
    assert old["inputs"][f"system.{PACKAGE}"] == "1.0"
    assert plan("3.11").startswith("reuse ")

    distribution.publish("2.0", 2)
    # What was installed stays as it is, as build requirements do, until the newest are asked for.
    assert plan("3.11").startswith("reuse ")
    new = built(registry, "--python", "3.11", "--upgrade-requirements")
    assert new["inputs"][f"system.{PACKAGE}"] == "2.0"
    assert new["key"] != old["key"]
    assert new["wheel"]["sha256"] != old["wheel"]["sha256"]

    told = plan("3.9", "--explain")
    assert f"build  {other['job']}: inputs changed\n" in told
    assert f"changed system.{PACKAGE}: 1.0 -> 2.0" in told
