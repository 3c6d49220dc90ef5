from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trustme
import urllib3
from uv import find_uv_bin

from index_server import index_server, wheelhouse
from small_wheels import SmallWheel
from wheelhouse.config import ServeSettings
from wheelhouse.errors import CertificateError, UsageError
from wheelhouse.index.serving import Listening, Tls

if TYPE_CHECKING:
    from collections.abc import Iterator

    from index_server import IndexServer

SPAM = SmallWheel(name="my_spam", files={"my_spam.py": "ANSWER = 42\n"})


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def trusted(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the authority's certificate, for clients."""
    path = tmp_path_factory.mktemp("authority") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return path


def issue(authority: trustme.CA, folder: Path, name: str = "localhost") -> Tls:
    made = authority.issue_cert(name, "127.0.0.1")
    tls = Tls(certificate=folder / "cert.pem", key=folder / "key.pem")
    made.cert_chain_pems[0].write_to_path(str(tls.certificate))
    made.private_key_pem.write_to_path(str(tls.key))
    return tls


@pytest.fixture(scope="module")
def tls(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Tls:
    return issue(authority, tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def server(tls: Tls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[IndexServer]:
    options = ("--tls-cert", str(tls.certificate), "--tls-key", str(tls.key), "--allow-anonymous-upload")
    with index_server(tmp_path_factory.mktemp("index"), *options) as running:
        yield running


def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    prefixes = ("UV_", "PIP_", "TWINE_", "SSL_", "REQUESTS_", "CURL_")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}
    return subprocess.run(words, capture_output=True, text=True, check=False, env={**clean, **environment})


def test_tls__uv_and_pip__publish_and_install(server: IndexServer, trusted: Path, tmp_path: Path) -> None:
    assert server.url.startswith("https://")
    wheel = SPAM.write(tmp_path / "made")
    ca = str(trusted)

    sent = run(
        find_uv_bin(), "publish", "--publish-url", f"{server.url}/legacy/", str(wheel), "--username=a", "--password=b",
        SSL_CERT_FILE=ca, UV_NO_CONFIG="1",
    )  # fmt: skip
    assert sent.returncode != 0, "a wrong token is refused even where none is needed"
    sent = run(
        sys.executable, "-m", "twine", "upload", "--repository-url", f"{server.url}/legacy/", str(wheel),
        TWINE_CERT=ca, TWINE_USERNAME="__token__", TWINE_PASSWORD=wheelhouse(server.registry, "token", "create", "a", "--scope", "upload:*"),
    )  # fmt: skip
    assert sent.returncode == 0, sent.stdout + sent.stderr
    got = run(
        sys.executable, "-m", "pip", "download", "--no-deps", "--no-cache-dir", "-d", str(tmp_path / "pip"), "--cert", ca,
        "--index-url", f"{server.url}/simple/", "my-spam", PIP_CONFIG_FILE=os.devnull,
    )  # fmt: skip
    assert got.returncode == 0, got.stdout + got.stderr
    assert (tmp_path / "pip" / wheel.name).read_bytes() == wheel.read_bytes()
    got = run(
        find_uv_bin(), "pip", "install", "--no-cache", "--target", str(tmp_path / "uv"), "--default-index",
        f"{server.url}/simple/", "my-spam", SSL_CERT_FILE=ca, UV_NO_CONFIG="1",
    )  # fmt: skip
    assert got.returncode == 0, got.stderr
    assert (tmp_path / "uv" / "my_spam.py").is_file()


@pytest.mark.parametrize(("version", "welcome"), [(ssl.TLSVersion.TLSv1_2, True), (ssl.TLSVersion.TLSv1_3, True)])
def test_tls__versions(server: IndexServer, trusted: Path, version: ssl.TLSVersion, welcome: bool) -> None:  # noqa: FBT001 - of the table
    context = ssl.create_default_context(cafile=trusted)
    context.minimum_version = context.maximum_version = version
    with urllib3.PoolManager(ssl_context=context) as client:
        assert (client.request("GET", f"{server.url}/health").status == 200) is welcome
