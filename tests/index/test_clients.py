"""twine, uv and pip against a server that runs as they will meet it."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, TypeAlias

import pytest
import urllib3
from uv import find_uv_bin

from index_server import index_server, wheelhouse
from small_wheels import SmallWheel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from index_server import IndexServer

    Publish: TypeAlias = Callable[..., subprocess.CompletedProcess[str]]

SPAM = SmallWheel(name="my_spam", files={"my_spam.py": "ANSWER = 42\n"}, metadata="Requires-Python: >=3.8\n")


def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("UV_", "PIP_", "TWINE_"))}
    return subprocess.run(
        words, capture_output=True, text=True, check=False, env={**clean, "UV_NO_CONFIG": "1", **environment}
    )


def twine(server: IndexServer, token: str, *files: Path) -> subprocess.CompletedProcess[str]:
    words = ("twine", "upload", "--disable-progress-bar", "--verbose", "--repository-url", f"{server.url}/legacy/")
    return run(
        sys.executable, "-m", *words, *map(str, files), TWINE_USERNAME="__token__", TWINE_PASSWORD=token, COLUMNS="500"
    )


def uv_publish(server: IndexServer, token: str, *files: Path) -> subprocess.CompletedProcess[str]:
    address = f"{server.url}/legacy/"
    return run(find_uv_bin(), "publish", "--publish-url", address, *map(str, files), UV_PUBLISH_TOKEN=token)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[IndexServer]:
    with index_server(tmp_path_factory.mktemp("index")) as running:
        yield running


@pytest.fixture(scope="module")
def token(server: IndexServer) -> str:
    """Give a token for the projects of these tests."""
    return wheelhouse(server.registry, "token", "create", "ci", "--scope", "upload:my-*", "--scope", "read:*")


@pytest.fixture(scope="module")
def published(server: IndexServer, token: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a wheel that twine has uploaded."""
    wheel = SPAM.write(tmp_path_factory.mktemp("made"))
    result = twine(server, token, wheel)
    assert result.returncode == 0, result.stdout
    return wheel


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """Give an empty environment, with pip's target folder and uv's in one."""
    assert run(find_uv_bin(), "venv", "-q", "--python", sys.executable, str(tmp_path / "venv")).returncode == 0
    return tmp_path / "venv"


@pytest.mark.parametrize("publish", [twine, uv_publish])
def test_upload__same_bytes_again__is_well(server: IndexServer, token: str, published: Path, publish: Publish) -> None:
    result = publish(server, token, published)
    assert result.returncode == 0, result.stdout + result.stderr


def test_upload__other_bytes__names_the_build_number(
    server: IndexServer, token: str, published: Path, tmp_path: Path
) -> None:
    other = SmallWheel(name=SPAM.name, files={"my_spam.py": "ANSWER = 43\n"}).write(tmp_path)

    by_twine, by_uv = twine(server, token, other), uv_publish(server, token, other)

    assert by_twine.returncode != 0
    assert "409 Conflict" in by_twine.stdout
    assert "set build-number = 1" in by_twine.stdout
    assert by_uv.returncode != 0
    assert "set build-number = 1" in by_uv.stderr


@pytest.mark.parametrize("size", [0, 3_000_000])
def test_upload__wrong_token__is_told_however_large_the_file(server: IndexServer, tmp_path: Path, size: int) -> None:
    wheel = SmallWheel(name="my_large", files={"my_large.bin": os.urandom(size)}).write(tmp_path)
    assert "there is no such token" in twine(server, "wrong", wheel).stdout
    assert "there is no such token" in " ".join(uv_publish(server, "wrong", wheel).stderr.split())  # uv breaks lines


def test_upload__project_out_of_scope__is_forbidden(server: IndexServer, token: str, tmp_path: Path) -> None:
    wheel = SmallWheel(name="other").write(tmp_path)
    assert "no scope upload:other" in twine(server, token, wheel).stdout
    assert "no scope upload:other" in " ".join(uv_publish(server, token, wheel).stderr.split())


@pytest.mark.network
@pytest.mark.parametrize("version", ["22.2.2", "23.0.1", "23.1.2"])
def test_install__a_pip_that_misreads_pep_658_in_json__installs(
    server: IndexServer, published: Path, environment: Path, version: str
) -> None:
    python = str(environment / "bin/python")
    subprocess.run([find_uv_bin(), "pip", "install", "-q", "--python", python, f"pip=={version}"], check=True)
    result = run(python, "-m", "pip", "install", "--index-url", f"{server.url}/simple/", "my-spam")
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("name", ["my-spam", "My.Spam", "MY_spam"])
def test_install__pip(server: IndexServer, published: Path, environment: Path, name: str) -> None:
    target = environment / "target"
    words = ("--isolated", "--no-cache-dir", "--disable-pip-version-check", "--index-url", f"{server.url}/simple/")
    result = run(sys.executable, "-m", "pip", "install", *words, "--target", str(target), name)
    if "No module named pip" in result.stderr:
        pytest.skip("this Python has no pip")

    assert result.returncode == 0, result.stderr
    assert (target / "my_spam.py").read_text() == "ANSWER = 42\n"


@pytest.mark.parametrize("name", ["my-spam", "My.Spam", "MY_spam"])
def test_install__uv(server: IndexServer, published: Path, environment: Path, name: str) -> None:
    words = ("pip", "install", "--no-cache", "--python", str(environment), "--default-index", f"{server.url}/simple/")
    result = run(find_uv_bin(), *words, name)
    assert result.returncode == 0, result.stderr

    python = environment / "bin" / "python"
    assert run(str(python), "-c", "import my_spam; print(my_spam.ANSWER)").stdout == "42\n"


def test_install__uv_with_token_in_the_url(server: IndexServer, token: str, published: Path, environment: Path) -> None:
    address = server.url.replace("http://", f"http://__token__:{token}@")
    words = ("pip", "install", "--no-cache", "--python", str(environment), "--default-index", f"{address}/simple/")
    result = run(find_uv_bin(), *words, "my-spam")
    assert result.returncode == 0, result.stderr


def test_head_and_range__over_a_connection(server: IndexServer, published: Path) -> None:
    page = urllib3.request("GET", f"{server.url}/simple/my-spam/").data.decode()
    address = server.url + page.split('href="../..', 1)[1].split("#", 1)[0]

    head = urllib3.request("HEAD", address)
    part = urllib3.request("GET", address, headers={"Range": "bytes=-22"})

    assert int(head.headers["Content-Length"]) == published.stat().st_size
    assert head.data == b""
    assert (part.status, part.data) == (206, published.read_bytes()[-22:])
    assert urllib3.request("GET", address).data == published.read_bytes()


def test_serve__sigterm__ends_well(tmp_path: Path) -> None:
    with index_server(tmp_path) as running:
        assert running.stop() == 0


def test_serve__store_by_option__is_relative_to_where_one_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with index_server(tmp_path / "registry", "--store", "wheels"):
        assert (tmp_path / "here" / "wheels" / "blobs").is_dir()


def test_serve__port_taken__says_so(server: IndexServer, tmp_path: Path) -> None:
    (tmp_path / "wheelhouse.toml").touch()
    (tmp_path / "recipes").mkdir()
    port = server.url.rpartition(":")[2]
    words = ("--registry", str(tmp_path), "serve", "--port", port)
    result = run(sys.executable, "-m", "wheelhouse", *words)
    assert result.returncode == 11
    assert f"cannot listen on 127.0.0.1 port {port}" in result.stderr
