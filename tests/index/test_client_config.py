from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from configparser import ConfigParser
from typing import TYPE_CHECKING, get_args

import pytest
from uv import find_uv_bin

from served import served
from wheelhouse.cli import run as cli
from wheelhouse.errors import UsageError
from wheelhouse.index.client_config import Address, Client, client_config

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from served import Served

_OURS = ("UV_", "PIP_", "POETRY_", "PDM_", "VIRTUAL_ENV", "NETRC", "PYTHON")


def run(
    *words: str | Path, environment: Mapping[str, str], cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    return subprocess.run(
        words, capture_output=True, text=True, check=False, cwd=cwd, env={**clean, "NO_COLOR": "1", **environment}
    )


def lines(client: Client, url: str) -> str:
    """Return what the command prints."""
    words = [sys.executable, "-m", "wheelhouse", "index", "config", client, "--url", url]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("index")) as running:
        yield running


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    made = run(find_uv_bin(), "venv", "-q", "--python", sys.executable, tmp_path / "venv", environment={})
    assert made.returncode == 0
    return tmp_path / "venv"


def answer_of(python: Path) -> str:
    return run(python, "-c", "import acme_spam; print(acme_spam.ANSWER)", environment={}).stdout


def test_pip__printed_file_and_netrc__installs(index: Served, environment: Path, tmp_path: Path) -> None:
    (tmp_path / "pip.conf").write_text(lines("pip", index.url))
    (tmp_path / "netrc").write_text(f"machine 127.0.0.1 login __token__ password {index.token}\n")
    words = (sys.executable, "-m", "pip", "--python", environment, "install", "--no-cache-dir", "--no-input")

    denied = run(*words, "acme-spam", environment={"PIP_CONFIG_FILE": f"{tmp_path}/pip.conf", "NETRC": os.devnull})
    installed = run(
        *words, "acme-spam", environment={"PIP_CONFIG_FILE": f"{tmp_path}/pip.conf", "NETRC": f"{tmp_path}/netrc"}
    )

    assert denied.returncode != 0
    assert installed.returncode == 0, installed.stderr
    assert answer_of(environment / "bin" / "python") == "42\n"


def test_uv__printed_file_and_environment__installs(index: Served, environment: Path, tmp_path: Path) -> None:
    (tmp_path / "uv.toml").write_text(lines("uv", index.url))
    words = (find_uv_bin(), "pip", "install", "--no-cache", "--python", environment, "acme-spam")
    file = {"UV_CONFIG_FILE": f"{tmp_path}/uv.toml"}
    login = {"UV_INDEX_WHEELHOUSE_USERNAME": "__token__", "UV_INDEX_WHEELHOUSE_PASSWORD": index.token}

    denied, installed = run(*words, environment=file), run(*words, environment=file | login)

    assert denied.returncode != 0
    assert installed.returncode == 0, installed.stderr
    assert answer_of(environment / "bin" / "python") == "42\n"


def installed(client: str, folder: Path) -> Path:
    """Install a client from the configured package index, and return its program."""
    for words in (("venv", "--python", sys.executable, folder), ("pip", "install", "--python", folder, client)):
        subprocess.run([find_uv_bin(), *words], check=True, capture_output=True)
    return folder / "bin" / client.partition("[")[0]


def a_project(folder: Path, more: str) -> None:
    folder.mkdir()
    (folder / "pyproject.toml").write_text(
        '[project]\nname = "app"\nversion = "0"\nrequires-python = ">=3.11"\ndependencies = ["acme-spam>=1"]\n\n' + more
    )


@pytest.mark.slow
@pytest.mark.network
def test_poetry__printed_lines__resolves_and_installs(index: Served, tmp_path: Path) -> None:
    a_project(tmp_path / "app", "[tool.poetry]\npackage-mode = false\n\n" + lines("poetry", index.url))
    quiet = {
        "POETRY_CACHE_DIR": f"{tmp_path}/cache",
        "POETRY_CONFIG_DIR": f"{tmp_path}/config",
        "POETRY_VIRTUALENVS_IN_PROJECT": "true",
        "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
    }
    name = "POETRY_HTTP_BASIC_WHEELHOUSE"
    login = {f"{name}_USERNAME": "__token__", f"{name}_PASSWORD": index.token}

    result = run(
        installed("poetry", tmp_path / "client"), "install", "-n", cwd=tmp_path / "app", environment=quiet | login
    )

    assert result.returncode == 0, result.stdout + result.stderr
    assert answer_of(tmp_path / "app" / ".venv" / "bin" / "python") == "42\n"
    lock = tomllib.loads((tmp_path / "app" / "poetry.lock").read_text())
    assert {package["source"]["url"] for package in lock["package"]} == {f"{index.url}/simple"}


@pytest.mark.slow
@pytest.mark.network
def test_pdm__printed_lines__resolves_and_installs(index: Served, environment: Path, tmp_path: Path) -> None:
    a_project(tmp_path / "app", "[tool.pdm]\ndistribution = false\n\n" + lines("pdm", index.url))
    quiet = {
        "PDM_CACHE_DIR": f"{tmp_path}/cache",
        "PDM_CONFIG_FILE": f"{tmp_path}/config.toml",
        "PDM_CHECK_UPDATE": "false",
        "PDM_PYTHON": str(environment / "bin" / "python"),
    }
    login = {"PDM_PYPI_USERNAME": "__token__", "PDM_PYPI_PASSWORD": index.token}

    # As its makers pin it: today's pdm does not start with the newest of what it needs.
    result = run(
        installed("pdm[locked]", tmp_path / "client"), "install", "-v", cwd=tmp_path / "app", environment=quiet | login
    )

    assert result.returncode == 0, result.stdout + result.stderr
    assert answer_of(environment / "bin" / "python") == "42\n"


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("", "http://127.0.0.1:8080/simple/"),
        ('port = 1\nhost = "::1"', "http://[::1]:1/simple/"),
        ('tls-cert = "a.pem"\ntls-key = "b.pem"', "https://127.0.0.1:8080/simple/"),
        ('url = "https://wheels.example/pypi"', "https://wheels.example/pypi/simple/"),
    ],
)
def test_config__no_url__is_where_serve_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: str, url: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recipes").mkdir()
    (tmp_path / "wheelhouse.toml").write_text(f"[serve]\n{text}\n")
    assert cli(["index", "config", "pip"]) == 0
    assert f"index-url = {url}\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    "url", ["https://h.example", "https://h.example/", "https://h.example/simple/", "https://h.example/simple"]
)
def test_address__root_or_simple__are_the_same(url: str) -> None:
    address = Address.parse(url, name="x")
    assert (address.simple, address.legacy) == ("https://h.example/simple/", "https://h.example/legacy/")


def test_address__below_a_path__stays_there() -> None:
    assert Address.parse("https://h.example/a/b/simple", name="x").simple == "https://h.example/a/b/simple/"


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("ftp://h.example/", "x"),
        ("h.example", "x"),
        ("https:///simple/", "x"),
        ("https://h.example/?a=b", "x"),
        ("https://h.example/#a", "x"),
        ("https://u@h.example/", "x"),
        ("https://u:secret@h.example/", "x"),
        ('https://h.example/"\n[other]', "x"),
        ("https://h.example/%(a)s", "x"),
        ("https://h.example/", 'x"'),
        ("https://h.example/", ""),
        ("https://[::1/", "x"),
        ("https://h.example:port/", "x"),
    ],
)
def test_address__not_fit_for_a_file__is_refused_and_not_repeated_with_its_secret(url: str, name: str) -> None:
    with pytest.raises(UsageError) as caught:
        Address.parse(url, name=name)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("client", get_args(Client))
@pytest.mark.parametrize("url", ["https://h.example/", "http://h.example:8080/", "http://[::1]:8080/"])
def test_config__each_client__is_a_file_that_names_the_index(client: Client, url: str) -> None:
    address = Address.parse(url, name="our-index")
    text = client_config(client, address)
    if client == "pip":
        parser = ConfigParser()
        parser.read_string(text)
        table = dict(parser["global"])
        assert table["index-url"] == address.simple
        assert ("trusted-host" in table) is (url == "http://h.example:8080/")
    else:
        tables = tomllib.loads(text)
        assert f'url = "{address.simple}"' in text
        assert ("verify_ssl" in text) is (client == "pdm" and url == "http://h.example:8080/")
        assert tables
