"""The index below a path of another host, behind a real nginx, for the clients that people use."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
import trustme
import urllib3
from uv import find_uv_bin

from index_server import index_server, wheelhouse
from proxies import DEPLOY, await_port, free_port, nginx
from small_wheels import SmallWheel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from index_server import IndexServer

SPAM = SmallWheel(name="my_spam", files={"my_spam.py": "ANSWER = 42\n"})
CUT_OFF = "proxy_pass http://127.0.0.1:8080/;"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    url: str
    """With a slash at its end."""
    ca: Path
    server: IndexServer

    def get(self, path: str, **headers: str) -> urllib3.BaseHTTPResponse:
        with urllib3.PoolManager(ca_certs=str(self.ca)) as client:
            return client.request("GET", f"{self.url}{path}", headers=headers, redirect=False)


@pytest.fixture(scope="module", params=["path kept", "path cut off"])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("place")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    made = authority.issue_cert("localhost")
    made.cert_chain_pems[0].write_to_path(str(folder / "cert.pem"))
    made.private_key_pem.write_to_path(str(folder / "key.pem"))
    port = free_port()
    url = f"https://localhost:{port}/sub/path/"
    with index_server(folder / "index", "--url", url, "--log-format", "json") as server:
        block = (DEPLOY / "nginx.conf").read_text()
        if request.param == "path cut off":
            block = block.replace(CUT_OFF.replace("/;", ";"), CUT_OFF)
        block = (
            block.replace("listen 443 ssl", f"listen 127.0.0.1:{port} ssl")
            .replace("wheels.example;", "localhost;", 1)
            .replace("/etc/ssl/wheels.example/fullchain.pem", str(folder / "cert.pem"))
            .replace("/etc/ssl/wheels.example/privkey.pem", str(folder / "key.pem"))
            .replace("location /pypi/", "location /sub/path/")
            .replace("http://127.0.0.1:8080", server.url)
        )
        with nginx(folder / "nginx", block):
            await_port(port)
            yield Place(url=url, ca=folder / "ca.pem", server=server)


@pytest.fixture(scope="module")
def token(place: Place) -> str:
    return wheelhouse(place.server.registry, "token", "create", "ci", "--scope", "upload:*", "--scope", "read:*")


@pytest.fixture(scope="module")
def published(place: Place, token: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    wheel = SPAM.write(tmp_path_factory.mktemp("made"))
    sent = run(
        *(sys.executable, "-m", "twine", "upload", "--repository-url", f"{place.url}legacy/", str(wheel)),
        TWINE_CERT=str(place.ca), TWINE_USERNAME="__token__", TWINE_PASSWORD=token,
    )  # fmt: skip
    assert sent.returncode == 0, sent.stdout + sent.stderr
    return wheel


def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    prefixes = ("UV_", "PIP_", "TWINE_", "SSL_", "REQUESTS_", "CURL_")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}
    return subprocess.run(words, capture_output=True, text=True, check=False, env={**clean, **environment})


def with_token(url: str, token: str) -> str:
    return url.replace("https://", f"https://__token__:{token}@")


def test_uv_publish__same_bytes_again(place: Place, token: str, published: Path) -> None:
    sent = run(
        *(find_uv_bin(), "publish", "--publish-url", f"{place.url}legacy/", str(published)),
        SSL_CERT_FILE=str(place.ca), UV_NO_CONFIG="1", UV_PUBLISH_TOKEN=token,
    )  # fmt: skip
    assert sent.returncode == 0, sent.stdout + sent.stderr


def test_pip__download(place: Place, token: str, published: Path, tmp_path: Path) -> None:
    got = run(
        *(sys.executable, "-m", "pip", "download", "--no-deps", "--no-cache-dir", "-d", str(tmp_path)),
        *("--cert", str(place.ca), "--index-url", with_token(f"{place.url}simple/", token), "My.Spam"),
        PIP_CONFIG_FILE=os.devnull,
    )  # fmt: skip
    assert got.returncode == 0, got.stdout + got.stderr
    assert (tmp_path / published.name).read_bytes() == published.read_bytes()


@pytest.mark.usefixtures("published")
def test_uv__install(place: Place, token: str, tmp_path: Path) -> None:
    got = run(
        *(find_uv_bin(), "pip", "install", "--no-cache", "--target", str(tmp_path / "uv")),
        *("--default-index", with_token(f"{place.url}simple/", token), "my-spam"),
        SSL_CERT_FILE=str(place.ca), UV_NO_CONFIG="1",
    )  # fmt: skip
    assert got.returncode == 0, got.stderr
    assert (tmp_path / "uv" / "my_spam.py").is_file()


@pytest.mark.usefixtures("published")
def test_pages__links__lead_to_the_public_address(place: Place, token: str) -> None:
    bearer = f"Bearer {token}"
    assert place.get("simple/My.Spam/", Authorization=bearer).headers["location"] == "../my-spam/"
    page = place.get("simple/my-spam/", Authorization=bearer).data.decode()
    assert re.findall(r'href="([^"#]+)', page)[0].startswith("../../files/")
    told = json.loads(place.get("pypi/my-spam/json", Authorization=bearer).data)
    link = told["urls"][0]["url"]
    assert link.startswith(f"{place.url}files/")
    assert place.get(link.removeprefix(place.url), Authorization=bearer).status == 200


@pytest.mark.usefixtures("published")
def test_json__host_of_a_stranger__is_not_in_it(place: Place, token: str) -> None:
    for headers in ({"Host": "evil.example"}, {"X-Forwarded-Host": "evil.example"}):
        got = place.get("pypi/my-spam/json", Authorization=f"Bearer {token}", **headers)
        assert b"evil.example" not in got.data


def test_read__through_the_proxy__is_not_local(place: Place) -> None:
    assert place.get("simple/").status == 401
    assert place.get("metrics").status == 401
    assert urllib3.request("GET", f"{place.server.url}/simple/").status == 200


def test_health__has_nginxs_request_id(place: Place) -> None:
    assert re.fullmatch(r"[0-9a-f]{32}", place.get("health").headers["x-request-id"])
