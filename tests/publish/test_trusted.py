"""Trusted publishing end to end: a local server stands for GitHub's request URL, a local issuer for GitHub's issuer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import pytest
import trustme
from uv import find_uv_bin

from fake_index import fake_index
from identities import local_issuer
from index_server import index_server, wheelhouse
from servers import Answer, serve
from small_wheels import SmallWheel
from wheelhouse.errors import TrustedPublishingError
from wheelhouse.publish import Destination
from wheelhouse.publish.login import find_login
from wheelhouse.publish.trusted import Renewed, TrustedPublishing
from wheelhouse.publish.twine_uploader import TwineUploader
from wheelhouse.wheel import sha256_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from identities import LocalIssuer
    from index_server import IndexServer

HOST = "127.0.0.1"
AUDIENCE = "/_/oidc/audience"
CONFIG = """\
[serve]
audience = "{audience}"

[[serve.trusted-publishers]]
issuer = "{issuer}"
projects = ["my-*"]
claims = {{ repository = "acme/spam" }}
"""


@contextmanager
def job(issuer: LocalIssuer, audience: str = HOST, **claims: str) -> Iterator[Mapping[str, str]]:
    """Give the environment of a job in GitHub Actions."""
    answer = Answer(body=json.dumps({"value": issuer.identity(aud=audience, **claims)}).encode())
    with serve({f"/token?{urlencode({'audience': audience})}": [answer]}) as server:
        yield {
            "GITHUB_ACTIONS": "true",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "of-the-runner",
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"{server.url}/token",
        }


def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    prefixes = ("UV_", "TWINE_", "WHEELHOUSE_", "GITHUB_", "ACTIONS_", "SSL_", "REQUESTS_", "CURL_")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}
    every = {**clean, "UV_NO_CONFIG": "1", "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring", **environment}
    return subprocess.run(words, capture_output=True, text=True, check=False, env=every, timeout=60)


@dataclass(frozen=True, kw_only=True)
class Setting:
    issuer: LocalIssuer
    server: IndexServer
    authority: Path

    def publish(self, folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        wheel = SmallWheel(name="my_spam", files={"my_spam.py": f"PLACE = '{folder}'\n"}, version=f"1.{len(words)}")
        (folder / "recipes").mkdir(exist_ok=True)
        command = (sys.executable, "-m", "wheelhouse", "--registry", str(folder), "publish", *words)
        address = f"{self.server.url}/legacy/"
        return run(
            *command, "--index-url", address, str(wheel.write(folder)), TWINE_CERT=str(self.authority), **environment
        )


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Setting]:
    """Give an index over TLS that trusts jobs of a local issuer."""
    folder, authority = tmp_path_factory.mktemp("index"), trustme.CA()
    certificate = authority.issue_cert(HOST)
    certificate.private_key_pem.write_to_path(str(folder / "key.pem"))
    certificate.cert_chain_pems[0].write_to_path(str(folder / "cert.pem"))
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    with ExitStack() as stack:
        issuer = stack.enter_context(local_issuer())
        (folder / "wheelhouse.toml").write_text(CONFIG.format(audience=HOST, issuer=issuer.url))
        tls = ("--tls-cert", str(folder / "cert.pem"), "--tls-key", str(folder / "key.pem"))
        server = stack.enter_context(index_server(folder, *tls))
        yield Setting(issuer=issuer, server=server, authority=folder / "ca.pem")


def test_uv_publish__in_a_job__needs_no_secret(setting: Setting, tmp_path: Path) -> None:
    wheel = SmallWheel(name="my_uv").write(tmp_path)
    with job(setting.issuer) as environment:
        words = ("publish", "--trusted-publishing", "always", "--publish-url", f"{setting.server.url}/legacy/")
        result = run(find_uv_bin(), *words, str(wheel), SSL_CERT_FILE=str(setting.authority), **environment)
    assert result.returncode == 0, result.stderr
    assert "my-uv" in wheelhouse(setting.server.registry, "index", "list")


@pytest.mark.parametrize("words", [(), ("--trusted-publishing", "always")])
def test_wheelhouse_publish__in_a_job__needs_no_secret(
    setting: Setting, tmp_path: Path, words: tuple[str, ...]
) -> None:
    with job(setting.issuer) as environment:
        result = setting.publish(tmp_path, *words, **environment)
    assert result.returncode == 0, result.stderr
    last = wheelhouse(setting.server.registry, "index", "audit", "--project", "my-spam", "--json").splitlines()[-1]
    event = json.loads(last)
    assert (event["action"], event["outcome"]) == ("upload", "done")
    assert event["who"] == f"{setting.issuer.url}:acme/spam"
    assert event["claims"]["job_workflow_ref"] == "acme/spam/.github/workflows/release.yml@refs/tags/v1"


def test_wheelhouse_publish__credentials_that_are_empty__are_none(setting: Setting, tmp_path: Path) -> None:
    with job(setting.issuer) as environment:
        result = setting.publish(tmp_path, "--no-spool", TWINE_USERNAME="", TWINE_PASSWORD="", **environment)
    assert result.returncode == 0, result.stderr


def test_wheelhouse_publish__job_that_is_not_trusted__says_what_it_is(setting: Setting, tmp_path: Path) -> None:
    with job(setting.issuer, repository="acme/ham") as environment:
        result = setting.publish(tmp_path, **environment)
    assert result.returncode == 28
    assert "does not trust this job: valid token, but no corresponding publisher" in result.stderr
    assert "repository=acme/ham" in result.stderr
    assert "[[serve.trusted-publishers]]" in result.stderr
    assert "Traceback" not in result.stderr


def test_wheelhouse_publish__always_without_identity__is_an_error(setting: Setting, tmp_path: Path) -> None:
    result = setting.publish(tmp_path, "--trusted-publishing", "always")
    assert result.returncode == 28
    assert "this job has no identity" in result.stderr


def test_wheelhouse_publish__never__is_anonymous(setting: Setting, tmp_path: Path) -> None:
    with job(setting.issuer) as environment:
        result = setting.publish(tmp_path, "--trusted-publishing", "never", **environment)
    assert result.returncode == 20
    assert "a token is needed" in result.stderr


@dataclass(frozen=True, kw_only=True)
class Asked:
    token: str | None
    paths: list[str]


def ask(
    answers: Mapping[str, Answer], *, needed: bool = False, path: str = "/legacy/", audience: str | None = None
) -> Asked:
    """Ask a made-up index for a token, with an identity from the environment."""
    with serve({path: [answer] for path, answer in answers.items()}) as server:
        publishing = TrustedPublishing(
            destination=Destination(url=f"{server.url}{path}"),
            environment={"WHEELHOUSE_ID_TOKEN": "a.b.c"},
            timeout=5.0,
            audience=audience,
        )
        return Asked(token=publishing.token(needed=needed), paths=server.asked)


def said(**values: object) -> Answer:
    return Answer(body=json.dumps(values).encode())


@pytest.mark.parametrize("answer", [Answer(status=404), Answer(status=403), Answer(body=b"hello"), said(audience=7)])
def test_token__index_that_does_no_trusted_publishing__gives_none(answer: Answer) -> None:
    assert ask({AUDIENCE: answer}).token is None
    with pytest.raises(TrustedPublishingError, match="does no trusted publishing"):
        ask({AUDIENCE: answer}, needed=True)


def test_token__index_that_is_down__is_for_the_upload_to_find_out() -> None:
    assert ask({AUDIENCE: Answer(status=503)}, needed=True).token is None
    assert ask({AUDIENCE: Answer(body=b"{}", cut=1)}, needed=True).token is None


@pytest.mark.parametrize("audience", ["pypi", "another.example", "", f"{HOST}.evil.example"])
def test_token__audience_of_another__is_not_asked_for(audience: str) -> None:
    with pytest.raises(TrustedPublishingError, match="is not its name"):
        ask({AUDIENCE: said(audience=audience)})


def test_token__redirect__is_not_followed() -> None:
    assert ask({AUDIENCE: Answer(status=302, headers={"Location": "/elsewhere"})}).paths == [AUDIENCE]


@pytest.mark.parametrize(
    ("path", "base"),
    [
        ("/legacy/", ""),
        ("/sub/path/legacy", "/sub/path"),
        ("/sub/_/stages/next/legacy/", "/sub"),
        ("/upload/", "/upload"),
    ],
)
def test_token__asked_for__beside_the_upload_address(path: str, base: str) -> None:
    assert ask({f"{base}{AUDIENCE}": said(audience=HOST)}, path=path).paths == [f"{base}{AUDIENCE}"]


def test_token__configured_audience__is_fine() -> None:
    assert ask({AUDIENCE: said(audience="acme")}, audience="acme").paths == [AUDIENCE]


def test_token__over_plain_http__is_not_asked_for() -> None:
    environment = {"WHEELHOUSE_ID_TOKEN": "a.b.c"}
    destination = Destination(url="http://wheels.example/legacy/")
    publishing = TrustedPublishing(destination=destination, environment=environment, timeout=1.0)
    assert publishing.token() is None


def test_token__gitlab_without_a_variable__says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITLAB_CI", "true")
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    with serve({AUDIENCE: [said(audience=HOST)]}) as server:
        destination = Destination(url=f"{server.url}/legacy/")
        publishing = TrustedPublishing(destination=destination, environment={"GITLAB_CI": "true"}, timeout=5.0)
        with pytest.raises(TrustedPublishingError, match="_ID_TOKEN not found"):
            publishing.token()


def test_renewed__token_that_grows_old__is_got_again() -> None:
    tokens, seconds = iter(["one", "two", None]), [0.0]
    renewed = Renewed(lambda: next(tokens), clock=lambda: seconds[0])
    got = []
    for now in (0.0, 599.0, 601.0, 1000.0, 1300.0):
        seconds[0] = now
        got.append(renewed())
    assert got == ["one", "one", "two", "two", "two"]


def test_renewed__second_identity_that_is_not_given__keeps_the_first() -> None:
    answers, seconds = ["one"], [0.0]

    def get() -> str:
        if not answers:
            raise TrustedPublishingError("already used")
        return answers.pop()

    renewed = Renewed(get, clock=lambda: seconds[0])
    assert renewed() == "one"
    seconds[0] = 700.0
    assert renewed() == "one"


def test_uploader__token__is_looked_up_for_each_upload(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
    wheel, tokens = SmallWheel().write(tmp_path), iter(["at-start", "one", "two"])
    with fake_index() as index:
        destination = Destination(url=index.url)
        login = find_login(destination, {}, lambda: next(tokens))
        with TwineUploader(destination, login, timeout=10.0) as uploader:
            for _ in range(2):
                uploader.upload(wheel, name=wheel.name, sha256=sha256_of(wheel))
    assert index.users == {"__token__:one", "__token__:two"}
