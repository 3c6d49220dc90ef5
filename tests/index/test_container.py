"""The image of `deploy/Containerfile`, built and run, on a base made from Debian packages."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import urllib3

from proxies import DEPLOY, free_port
from wheelhouse.process import Processes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from wheelhouse.builders.engine import Engine

IMAGE = "localhost/wheelhouse-test/index"


@pytest.fixture(scope="module")
def image(engine: Engine, image_of: Callable[[str], str]) -> str:
    """Give the image. What pip trusts and asks on this machine, it trusts and asks in the build."""
    pip = {name: value for name, value in os.environ.items() if name in {"PIP_INDEX_URL", "PIP_CERT"}}
    options = [word for name, value in pip.items() for word in ("--env", f"{name}={value}")]
    if (bundle := pip.get("PIP_CERT")) is not None:
        options += ["--volume", f"{Path(bundle).resolve()}:{bundle}:ro"]
    command = [
        *(engine.name, "build", "--format", "docker", "--network", "host", "--tag", IMAGE, *options),
        *("--build-arg", f"BASE={image_of('bookworm-x86_64')}"),
        *("--build-arg", "PYTHON=/opt/python/cp311-cp311/bin/python"),
        *("--file", str(DEPLOY / "Containerfile"), str(DEPLOY.parent)),
    ]
    Processes().run(command, env=engine.environment)
    return IMAGE


@pytest.fixture
def container(engine: Engine, image: str) -> Iterator[tuple[str, str]]:
    """Give a container that runs, and the address of its index."""
    port = free_port()
    command = [engine.name, "run", "--detach", "--network", "host", "--env", f"WHEELHOUSE_PORT={port}", image]
    name = Processes().run(command, env=engine.environment).output.strip().splitlines()[-1]
    try:
        yield name, f"http://127.0.0.1:{port}"
    finally:
        Processes().run([engine.name, "rm", "--force", "--volumes", name], env=engine.environment)


def await_health(url: str) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            assert urllib3.request("GET", f"{url}/health", retries=False).status == 200
        except urllib3.exceptions.HTTPError:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        else:
            return


@pytest.mark.container
@pytest.mark.network
@pytest.mark.slow
def test_container__serves_as_nobody_and_stops_well(engine: Engine, container: tuple[str, str]) -> None:
    name, url = container
    await_health(url)

    def ask(*words: str) -> str:
        return Processes().run([engine.name, *words], env=engine.environment).output

    assert urllib3.request("GET", f"{url}/ready").status == 200
    assert ask("exec", name, "python3", "-c", "import os; print(os.getuid())").strip() == "65532"
    assert "True" in ask("exec", name, "python3", "-c", "import os; print(os.path.isdir('.wheelhouse/index/blobs'))")
    assert ask("healthcheck", "run", name).strip() in {"", "healthy"}
    ask("stop", "--time", "20", name)
    assert ask("inspect", "--format", "{{.State.ExitCode}}", name).strip() == "0"
