from __future__ import annotations

import http.client
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trustme
import urllib3
from cryptography.hazmat.primitives import serialization
from uv import find_uv_bin

from asgi import form
from index_server import index_server, wheelhouse
from proxies import DEPLOY
from small_wheels import SmallWheel
from wheelhouse.config import ServeSettings
from wheelhouse.errors import CertificateError, UsageError
from wheelhouse.index.serving.listening import Listening, Tls

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from index_server import IndexServer

#: Too large to be kept in memory on its way: an upload that has begun shows on the disk.
SPAM = SmallWheel(name="my_spam", files={"my_spam.py": "ANSWER = 42\n", "noise": os.urandom(500_000).hex()})


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
    options = ("--tls-cert", str(tls.certificate), "--tls-key", str(tls.key))
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
    token = wheelhouse(server.registry, "token", "create", "ci", "--scope", "upload:*", "--scope", "read:*")

    sent = run(
        find_uv_bin(), "publish", "--publish-url", f"{server.url}/legacy/", str(wheel),
        SSL_CERT_FILE=ca, UV_NO_CONFIG="1", UV_PUBLISH_TOKEN=token,
    )  # fmt: skip
    assert sent.returncode == 0, sent.stdout + sent.stderr
    sent = run(
        *(sys.executable, "-m", "twine", "upload", "--repository-url", f"{server.url}/legacy/", str(wheel)),
        TWINE_CERT=ca, TWINE_USERNAME="__token__", TWINE_PASSWORD=token,
    )  # fmt: skip
    assert sent.returncode == 0, sent.stdout + sent.stderr
    got = run(
        *(sys.executable, "-m", "pip", "download", "--no-deps", "--no-cache-dir", "-d", str(tmp_path / "pip")),
        *("--cert", ca, "--index-url", f"{server.url}/simple/", "my-spam"), PIP_CONFIG_FILE=os.devnull,
    )  # fmt: skip
    assert got.returncode == 0, got.stdout + got.stderr
    assert (tmp_path / "pip" / wheel.name).read_bytes() == wheel.read_bytes()
    got = run(
        *(find_uv_bin(), "pip", "install", "--no-cache", "--target", str(tmp_path / "uv")),
        *("--default-index", f"{server.url}/simple/", "my-spam"), SSL_CERT_FILE=ca, UV_NO_CONFIG="1",
    )  # fmt: skip
    assert got.returncode == 0, got.stderr
    assert (tmp_path / "uv" / "my_spam.py").is_file()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls__versions__from_1_2_on(server: IndexServer, trusted: Path, version: ssl.TLSVersion) -> None:
    context = ssl.create_default_context(cafile=trusted)
    context.minimum_version = context.maximum_version = version
    with urllib3.PoolManager(ssl_context=context) as client:
        assert client.request("GET", f"{server.url}/health").status == 200


def test_tls__renewed_certificate__is_taken_at_sighup(authority: trustme.CA, trusted: Path, tmp_path: Path) -> None:
    tls = issue(authority, tmp_path)
    with index_server(tmp_path / "index", "--tls-cert", str(tls.certificate), "--tls-key", str(tls.key)) as server:
        before = shown_certificate(server, trusted)
        tls.key.write_text("nonsense")
        server.process.send_signal(signal.SIGHUP)
        assert shown_certificate(server, trusted) == before
        issue(authority, tmp_path)
        server.process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + 10
        while shown_certificate(server, trusted) == before:
            assert time.monotonic() < deadline
        assert server.stop() == 0


def shown_certificate(server: IndexServer, trusted: Path) -> bytes | None:
    context = ssl.create_default_context(cafile=trusted)
    address = ("127.0.0.1", port_of(server))
    with (
        socket.create_connection(address, timeout=10) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secure,
    ):
        return secure.getpeercert(binary_form=True)


def port_of(server: IndexServer) -> int:
    return int(server.url.rpartition(":")[2])


@contextmanager
def connected(server: IndexServer) -> Iterator[http.client.HTTPConnection]:
    with closing(http.client.HTTPConnection("127.0.0.1", port_of(server), timeout=20)) as connection:
        yield connection


@contextmanager
def upload_in_flight(server: IndexServer, wheel: Path) -> Iterator[Callable[[], int]]:
    """Begin an upload; give what ends it and returns the status."""
    fields = {":action": "file_upload", "protocol_version": "1", "name": SPAM.name, "version": SPAM.version}
    body, content_type = form(fields, filename=wheel.name, content=wheel.read_bytes())
    with connected(server) as connection:
        connection.putrequest("POST", "/legacy/")
        connection.putheader("Content-Type", content_type)
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body[:-100])
        wait_for(lambda: list((server.registry / ".wheelhouse" / "index" / "scratch").iterdir()) != [])

        def end() -> int:
            connection.send(body[-100:])
            return connection.getresponse().status

        yield end


def wait_for(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def takes_connections(server: IndexServer) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port_of(server)), timeout=1).close()
    except OSError:
        return False
    return True


def test_sigterm__upload_in_flight__ends_well(tmp_path: Path) -> None:
    wheel = SPAM.write(tmp_path / "made")
    with index_server(tmp_path / "index", "--allow-anonymous-upload") as server:
        with upload_in_flight(server, wheel) as end:
            server.process.send_signal(signal.SIGTERM)
            wait_for(lambda: not takes_connections(server))
            assert end() == 200
        assert server.process.wait(timeout=10) == 0
    with index_server(tmp_path / "index") as server:
        assert b"my_spam" in urllib3.request("GET", f"{server.url}/simple/my-spam/").data


def test_sigterm__download_in_flight__ends_well(tmp_path: Path) -> None:
    wheel = replace(SPAM, files={"my_spam.bin": os.urandom(20_000_000)}).write(tmp_path / "made")
    with index_server(tmp_path / "index", "--allow-anonymous-upload") as server:
        with upload_in_flight(server, wheel) as end:
            assert end() == 200
        page = urllib3.request("GET", f"{server.url}/simple/my-spam/?format=application/vnd.pypi.simple.v1+json").json()
        with connected(server) as connection:
            connection.request("GET", page["files"][0]["url"].removeprefix("../.."))
            with connection.getresponse() as answer:
                got = len(answer.read(1000))
                server.process.send_signal(signal.SIGTERM)
                wait_for(lambda: not takes_connections(server))
                while piece := answer.read(1_000_000):
                    got += len(piece)
        assert got == wheel.stat().st_size
        assert server.process.wait(timeout=10) == 0


def test_sigterm__upload_that_never_ends__is_cut_after_the_grace(tmp_path: Path) -> None:
    wheel = SPAM.write(tmp_path / "made")
    with (
        index_server(tmp_path / "index", "--allow-anonymous-upload", "--grace", "1s") as server,
        upload_in_flight(server, wheel),
    ):
        begun = time.monotonic()
        assert server.stop() == 0
        assert 0.9 < time.monotonic() - begun < 5


def test_sigterm__twice__ends_at_once(tmp_path: Path) -> None:
    wheel = SPAM.write(tmp_path / "made")
    with index_server(tmp_path / "index", "--allow-anonymous-upload") as server, upload_in_flight(server, wheel):
        server.process.send_signal(signal.SIGTERM)
        wait_for(lambda: not takes_connections(server))
        assert server.stop() == 128 + signal.SIGTERM


def test_sigterm__idle_connections__do_not_hold_it_up(tmp_path: Path) -> None:
    with index_server(tmp_path / "index") as server, connected(server) as connection:
        connection.request("GET", "/health")
        connection.getresponse().read()
        begun = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - begun < 3


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "there is no such file"),
        ("nonsense", "not a certificate and its key"),
    ],
)
def test_tls__unfit_files__are_told(tmp_path: Path, content: str | None, told: str) -> None:
    tls = Tls(certificate=tmp_path / "cert.pem", key=tmp_path / "key.pem")
    if content is not None:
        tls.certificate.write_text(content)
        tls.key.write_text(content)
    with pytest.raises(CertificateError, match=told):
        tls.context()


def test_tls__anothers_key__is_told(authority: trustme.CA, tmp_path: Path) -> None:
    tls = issue(authority, tmp_path)
    authority.issue_cert("other").private_key_pem.write_to_path(str(tls.key))
    with pytest.raises(CertificateError, match="key values mismatch"):
        tls.context()


def test_tls__key_with_a_password__is_told(authority: trustme.CA, tmp_path: Path) -> None:
    tls = issue(authority, tmp_path)
    key = serialization.load_pem_private_key(tls.key.read_bytes(), None)
    tls.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    with pytest.raises(CertificateError, match="has a password"):
        tls.context()


def test_listening__certificate_without_its_key__is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="tls-key is missing"):
        Listening.of(ServeSettings.model_validate({"tls-cert": "cert.pem"}), base=tmp_path)


def test_systemd__is_told_of_the_start_and_of_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        with index_server(tmp_path / "index") as server:
            assert manager.recv(100) == b"READY=1"
            assert server.stop() == 0
        assert manager.recv(100) == b"STOPPING=1"


def test_mirror__a_moment_after_the_start__is_ready_to_ask(tmp_path: Path) -> None:
    with index_server(tmp_path / "index", mirror=True) as server:
        loaded = Path(f"/proc/{server.process.pid}/maps")
        assert "aiohttp" not in loaded.read_text()
        wait_for(lambda: "aiohttp" in loaded.read_text())
        assert server.stop() == 0


def test_check__settings_that_do_not_go_together__are_told(tmp_path: Path) -> None:
    (tmp_path / "wheelhouse.toml").write_text('[serve]\ntls-cert = "cert.pem"\ntls-key = "key.pem"\n')
    command = (sys.executable, "-m", "wheelhouse", "--registry", str(tmp_path), "serve", "--check")
    failed = run(*command)
    assert failed.returncode == CertificateError.exit_code
    assert f"{tmp_path}/cert.pem: there is no such file" in failed.stderr
    assert "Traceback" not in failed.stderr
    (tmp_path / "wheelhouse.toml").write_text("")
    assert run(*command).returncode == 0


def test_deploy__unit__is_one_that_systemd_reads(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("there is no systemd-analyze on this machine")
    text = (DEPLOY / "wheelhouse.service").read_text()
    unit = tmp_path / "wheelhouse.service"
    unit.write_text(text.replace("/opt/wheelhouse/bin/wheelhouse", sys.executable))
    verified = run(analyze, "verify", "--man=no", str(unit))
    assert (verified.returncode, verified.stderr) == (0, "")
    rated = run(analyze, "security", "--no-pager", "--offline=true", "--threshold=20", str(unit))
    assert rated.returncode == 0, rated.stdout  # 2.0 of 10: next to no rights


def test_deploy__unit__runs_as_the_user_that_is_made_for_it() -> None:
    unit, users = ((DEPLOY / f"wheelhouse.{kind}").read_text() for kind in ("service", "sysusers"))
    (made,) = [line.split()[1] for line in users.splitlines() if line.startswith("u ")]
    assert f"\nUser={made}\n" in unit
