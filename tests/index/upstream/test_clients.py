"""pip and uv against a server that mirrors, as they will meet it."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import urllib3
from uv import find_uv_bin

from fake_upstream import FakeFile, fake_upstream
from index_server import index_server, wheelhouse
from small_wheels import SmallWheel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from fake_upstream import FakeUpstream
    from index_server import IndexServer

EGGS = SmallWheel(name="eggs", version="1.0", files={"eggs.py": "ANSWER = 1\n"})


def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("UV_", "PIP_"))}
    more = {"UV_NO_CONFIG": "1", "PIP_CONFIG_FILE": os.devnull, **environment}
    return subprocess.run(words, capture_output=True, text=True, check=False, env={**clean, **more})


def pip(server: IndexServer, target: Path, *words: str) -> subprocess.CompletedProcess[str]:
    options = ("--no-cache-dir", "--disable-pip-version-check", "--no-deps", "--retries", "0", "--target", str(target))
    return run(sys.executable, "-m", "pip", "install", *options, "--index-url", f"{server.url}/simple/", *words)


def uv(server: IndexServer, target: Path, *words: str) -> subprocess.CompletedProcess[str]:
    options = ("--no-cache", "--target", str(target), "--default-index", f"{server.url}/simple/")
    return run(find_uv_bin(), "pip", "install", "--python", sys.executable, *options, *words)


@pytest.fixture
def upstream(tmp_path: Path) -> Iterator[FakeUpstream]:
    wheel = EGGS.write(tmp_path / "made")
    metadata = EGGS.members()[f"{EGGS.dist_info}/METADATA"]
    with fake_upstream(eggs=[FakeFile(filename=wheel.name, data=wheel.read_bytes(), metadata=metadata)]) as made:
        yield made


def configure(registry: Path, upstream: FakeUpstream, *lines: str) -> Path:
    registry.mkdir(exist_ok=True)
    text = ["[mirror]", f'upstreams = ["{upstream.url}"]', *lines]
    (registry / "wheelhouse.toml").write_text("\n".join(text) + "\n")
    return registry


@pytest.mark.slow
@pytest.mark.parametrize(("install", "lazily"), [(pip, False), (uv, False), (uv, True)])
def test_install__through_the_mirror__and_again_while_upstream_is_down(
    upstream: FakeUpstream,
    tmp_path: Path,
    install: Callable[..., subprocess.CompletedProcess[str]],
    lazily: bool,  # noqa: FBT001 - of the table
) -> None:
    if lazily:  # without metadata beside the wheel, uv asks for ranges of it
        (only,) = upstream.projects["eggs"]
        upstream.projects["eggs"] = [FakeFile(filename=only.filename, data=only.data)]
    registry = configure(tmp_path / "registry", upstream)
    with index_server(registry, mirror=True) as server:
        result = install(server, tmp_path / "first", "eggs")
        assert result.returncode == 0, result.stderr
        upstream.down = True
        assert install(server, tmp_path / "second", "eggs").returncode == 0
        assert server.stop() == 0
    with index_server(registry, "--offline", mirror=True) as server:
        result = install(server, tmp_path / "third", "eggs")
        assert result.returncode == 0, result.stderr
    assert (tmp_path / "third" / "eggs.py").read_text() == "ANSWER = 1\n"


def test_install__overlay__takes_our_wheel_of_a_public_project(upstream: FakeUpstream, tmp_path: Path) -> None:
    ours = SmallWheel(name="eggs", version="1.0", tag="py3-none-linux_x86_64", files={"eggs.py": "ANSWER = 2\n"})
    if os.uname().machine != "x86_64":
        pytest.skip("the wheel is for x86_64")
    registry = configure(tmp_path / "registry", upstream, "[mirror.policy]", 'Eggs = "overlay"')
    with index_server(registry, mirror=True) as server:
        token = wheelhouse(registry, "token", "create", "ci", "--scope", "upload:eggs")
        target = f"{server.url}/legacy/"
        sent = run(find_uv_bin(), "publish", "--publish-url", target, str(ours.write(tmp_path)), UV_PUBLISH_TOKEN=token)
        assert sent.returncode == 0, sent.stderr
        result = pip(server, tmp_path / "venv", "eggs==1.0")
        assert result.returncode == 0, result.stderr
        assert (tmp_path / "venv" / "eggs.py").read_text() == "ANSWER = 2\n"
        listed = urllib3.request("GET", f"{server.url}/simple/eggs/").data.decode()
        assert EGGS.filename in listed


def test_download__wrong_bytes__breaks_the_connection(upstream: FakeUpstream, tmp_path: Path) -> None:
    upstream.projects["eggs"] = [FakeFile(filename=EGGS.filename, data=b"e" * 3_000_000)]
    upstream.wrong = True
    with index_server(configure(tmp_path / "registry", upstream), mirror=True) as server:
        page = urllib3.request(
            "GET", f"{server.url}/simple/eggs/", headers={"Accept": "application/vnd.pypi.simple.v1+json"}
        ).json()
        url = f"{server.url}{page['files'][0]['url'].removeprefix('../..')}"
        with pytest.raises(urllib3.exceptions.ProtocolError):
            urllib3.PoolManager(retries=False).request("GET", url)
        upstream.wrong = False
        assert urllib3.request("GET", url).data == b"e" * 3_000_000


@pytest.mark.network
def test_install__from_the_configured_index__and_again_offline(tmp_path: Path) -> None:
    registry = tmp_path / "registry"
    with index_server(registry, mirror=True) as server:
        for number, install in enumerate((pip, uv)):
            result = install(server, tmp_path / f"online-{number}", "markupsafe", "jinja2")
            assert result.returncode == 0, result.stderr
    with index_server(registry, "--offline", mirror=True) as server:
        for number, install in enumerate((pip, uv)):
            result = install(server, tmp_path / f"offline-{number}", "markupsafe", "jinja2")
            assert result.returncode == 0, result.stderr
            assert (tmp_path / f"offline-{number}" / "jinja2").is_dir()
