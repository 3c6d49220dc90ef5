"""Images from a container registry: a real one on this machine, and a store of podman's that has nothing yet."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

import container_registry
import tiny
from wheelhouse.errors import JobsFailedError
from wheelhouse.process import Processes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from wheelhouse.builders.engine import Engine

CONTAINER = ("--builder", "cibuildwheel", "--arch", "x86_64")

pytestmark = [pytest.mark.container, pytest.mark.slow, pytest.mark.network]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """An image in a registry, and nowhere else that the environment knows."""

    reference: str
    """By digest."""
    environment: Mapping[str, str]
    registry: container_registry.Registry


@pytest.fixture(scope="module")
def pushed(
    engine: Engine, image_of: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Pushed]:
    if engine.name != "podman":
        pytest.skip("the store that has nothing yet is podman's")
    if (missing := container_registry.missing()) is not None:
        pytest.skip(f"no container registry: {missing}")
    folder = tmp_path_factory.mktemp("registry")
    with container_registry.serving(folder) as registry:
        environment = {**os.environ, "SSL_CERT_FILE": str(registry.authority), "WHEELHOUSE_ENGINE": "podman"}
        name, digest = f"{registry.name}/wheelhouse/build", folder / "digest"
        push = ["podman", "push", f"--digestfile={digest}", "--compression-format=zstd"]
        Processes().run([*push, image_of("bookworm-x86_64"), f"docker://{name}:1"], env=environment)
        store = folder / "storage.conf"
        driver = Processes().run(["podman", "info", "--format={{.Store.GraphDriverName}}"]).output.strip()
        store.write_text(f'[storage]\ndriver = "{driver}"\ngraphroot = "{folder}/store"\nrunroot = "{folder}/run"\n')
        environment["CONTAINERS_STORAGE_CONF"] = str(store)
        yield Pushed(reference=f"{name}@{digest.read_text()}", environment=environment, registry=registry)
        Processes().run(["podman", "image", "rm", "--all", "--force"], env=environment)


def registry_with(folder: Path, image: str) -> Path:
    settings = f'[targets]\nskip = ["*-musllinux_*"]\n[images]\nmanylinux_x86_64 = "{image}"\n'
    return tiny.write_registry(folder, tiny.Tiny(name="ant"), settings=settings)


def wheelhouse(pushed: Pushed, registry: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "wheelhouse", "--registry", str(registry), *words, "--python", "3.11"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=pushed.environment)
    assert "Traceback" not in done.stderr
    return done


def test_build__image_is_in_a_registry__is_pulled_by_digest(pushed: Pushed, tmp_path: Path) -> None:
    registry = registry_with(tmp_path, pushed.reference)
    before = wheelhouse(pushed, registry, "plan", "ant", "--explain").stdout
    assert f"the image {pushed.reference} is not on this machine" in before
    assert "build  ant-1.0-cp311-manylinux_x86_64" in wheelhouse(pushed, registry, "plan", "ant", *CONTAINER).stdout

    done = wheelhouse(pushed, registry, "build", "ant", *CONTAINER, "--json")

    assert done.returncode == 0, done.stderr
    [record] = json.loads(done.stdout)
    assert record["inputs"]["image.digest"] == pushed.reference.partition("@")[2]
    assert f"/v2/wheelhouse/build/manifests/{record['inputs']['image.digest']}" in pushed.registry.log.read_text()
    assert wheelhouse(pushed, registry, "plan", "ant", *CONTAINER).stdout.startswith("reuse ")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda reference: f"{reference[:-4]}0000", "manifest unknown"),
        (lambda reference: f"localhost:1/{reference[:-4].partition('/')[2]}0000", "connection refused"),
    ],
    ids=["no such image", "no registry"],
)
def test_build__image_cannot_be_pulled__says_why(
    pushed: Pushed, tmp_path: Path, change: Callable[[str], str], said: str
) -> None:
    reference = change(pushed.reference)

    done = wheelhouse(pushed, registry_with(tmp_path, reference), "build", "ant", *CONTAINER)

    assert done.returncode == JobsFailedError.exit_code
    assert f"the image {reference} is not here and cannot be pulled: " in done.stderr
    assert said in done.stderr
    assert "[images] in wheelhouse.toml" in done.stderr
