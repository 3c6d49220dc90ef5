"""The container builder with docker: a real daemon, started for these tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import tiny
from builders import test_cibuildwheel
from distribution import PACKAGE, Distribution
from images import debian
from wheelhouse.builders.derived import DerivedImages
from wheelhouse.builders.engine import ENVIRONMENT_ENGINE
from wheelhouse.builders.image import Images
from wheelhouse.joblog import JobLog
from wheelhouse.process import Processes
from wheelhouse.recipe import SystemPackages

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from wheelhouse.builders.engine import Engine

pytestmark = [pytest.mark.container, pytest.mark.slow, pytest.mark.network]


@pytest.fixture
def engine(docker: Engine, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """Let this process and its children find docker, and no podman."""
    monkeypatch.setenv("DOCKER_HOST", docker.environment["DOCKER_HOST"])
    monkeypatch.setenv(ENVIRONMENT_ENGINE, "docker")
    return docker


@pytest.fixture(scope="session")
def imported(docker: Engine) -> str:
    """Give the build image, as docker has it."""
    if missing := debian.missing_for("bookworm-x86_64", docker):
        pytest.skip(f"the image cannot be made here: {missing}")
    return debian.ensure("bookworm-x86_64", engine="docker", environment=docker.environment)


class TestDocker(test_cibuildwheel.TestContainer):
    """All that is tested of the container builder with podman, with docker."""

    @pytest.fixture
    def image(self, imported: str) -> str:
        return imported


def docker_says(engine: Engine, *words: str) -> str:
    return Processes().run(["docker", *words], env=engine.environment).output


def wheelhouse(registry: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "wheelhouse", "--registry", str(registry), *words]
    return subprocess.run(command, check=False, capture_output=True, text=True, env=os.environ)


def test_build__by_docker__builds_verifies_and_tests_in_containers(
    engine: Engine, imported: str, tmp_path: Path
) -> None:
    settings = (
        f'[targets]\nskip = ["*-musllinux_*"]\n[images]\nmanylinux_x86_64 = "{imported}"\n'
        f'[test-images]\nmanylinux_x86_64 = "{imported}"\n'
    )
    flags = '[build]\nenvironment = { CFLAGS = "-DEXTRA=1" }\n'
    ant = tiny.Tiny(name="ant", before=tiny.OPTIMIZED_ONLY, recipe=flags)
    registry = tiny.write_registry(tmp_path, ant, settings=settings)
    words = ("build", "ant", "--python", "3.11", "--json")

    done = wheelhouse(registry, *words, "--verify")

    assert done.returncode == 0, done.stderr
    [record] = json.loads(done.stdout)
    assert record["builder"] == "cibuildwheel"
    assert record["details"]["engine"] == str(engine)
    assert record["details"]["tested in"].startswith(f"container {imported}")
    assert record["executed"] is True
    assert "verify ant-1.0-cp311-manylinux_x86_64: the same bytes again" in done.stderr
    assert docker_says(engine, "ps", "--all", "--quiet") == ""
    assert "0 built, 1 reused, 0 failed" in wheelhouse(registry, *words).stderr


@pytest.fixture
def with_a_repository(engine: Engine, imported: str, tmp_path: Path) -> Iterator[str]:
    """Give an image that brings a repository of one package along, for want of a network."""
    made = Distribution(tmp_path / "distribution")
    made.publish("1.0", 1)
    name, reference = "wheelhouse-test-repository", "localhost/wheelhouse-test/repository:1"
    known = "rm -f /etc/apt/sources.list.d/* && echo 'deb [trusted=yes] file:/repository ./' > /etc/apt/sources.list"
    docker_says(engine, "run", f"--name={name}", imported, "sh", "-c", known)
    docker_says(engine, "cp", str(made.repository), f"{name}:/repository")
    docker_says(engine, "commit", name, reference)
    docker_says(engine, "rm", name)
    yield reference
    docker_says(engine, "image", "rm", reference)


def test_having__by_docker__is_made_and_known(engine: Engine, with_a_repository: str, tmp_path: Path) -> None:
    images = Images(engine, Processes(), tmp_path)
    base = images.find(with_a_repository, "x86_64")
    log = JobLog(tmp_path / "log.txt", job="a job")
    packages = SystemPackages(debian=(PACKAGE,))

    made = DerivedImages(images, engine, Processes(), tmp_path).having(base, packages, log, timeout=100)

    assert made.packages == {PACKAGE: "1.0"}
    assert made.image.digest != base.digest
    assert DerivedImages(images, engine, Processes(), tmp_path).known(base, packages) == made
