"""From a build to a verified signature: a job of CI signs, twine uploads, an index verifies, serves, and is asked.

Sigstore's servers alone are stood in for (`sigstore_services.py`); sigstore's client and verifier, twine, the index,
the commands and the wheel are real.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import pytest
import requests
from pypi_attestations import Provenance

import tiny
from identities import local_issuer
from index_server import index_server
from servers import Answer, serve
from sigstore_services import stand_in_for_sigstore
from wheelhouse.target import native_arch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.network]

TARGET = f"cp{tiny.HERE.replace('.', '')}-manylinux_{native_arch()}"
SETTINGS = f'[targets]\nbuild = ["{TARGET}"]\n\n[build]\nbuilder = "host"\ntoolchain = "system"\n'
INDEX = """\
[serve]
url = "http://127.0.0.1:{port}/"
attestations = "verify"
audience = "wheels.example"

[[serve.trusted-publishers]]
issuer = "github"
repository = "acme/wheels"
workflow = "registry.yml"
ref = "refs/heads/main"
projects = ["ant"]
"""
JOB = {
    "repository": "acme/wheels",
    "repository_visibility": "public",
    "ref": "refs/heads/main",
    "job_workflow_ref": "acme/wheels/.github/workflows/registry.yml@refs/heads/main",
    "sub": "repo:acme/wheels:ref:refs/heads/main",
}


@dataclass(frozen=True, kw_only=True)
class Setting:
    registry: Path
    index: str
    environment: dict[str, str]

    def run(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "wheelhouse", "--registry", str(self.registry), *words]
        return subprocess.run(
            command, check=False, capture_output=True, text=True, env={**self.environment, **environment}
        )

    @property
    def wheel(self) -> Path:
        (wheel,) = (self.registry / "dist").glob("*.whl")
        return wheel


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Setting]:
    folder = tmp_path_factory.mktemp("signed")
    registry = folder / "registry"
    tiny.write_registry(registry, tiny.Tiny(name="ant"), settings=SETTINGS)
    (folder / "index").mkdir()
    port = free_port()
    (folder / "index/wheelhouse.toml").write_text(INDEX.format(port=port))
    with ExitStack() as stack:
        sigstore = stack.enter_context(stand_in_for_sigstore())
        issuer = stack.enter_context(local_issuer())
        body = json.dumps({"value": issuer.identity(**{**JOB, "aud": "sigstore"})}).encode()
        tokens = stack.enter_context(serve({f"/token?{urlencode({'audience': 'sigstore'})}": [Answer(body=body)]}))
        trust = sigstore.trusting(folder / "trust")
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        for name, value in trust.items():
            patch.setenv(name, value)  # for the server
        server = stack.enter_context(index_server(folder / "index", "--allow-anonymous-upload", "--port", str(port)))
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("GITHUB_", "TWINE_"))}
        job = {
            "GITHUB_ACTIONS": "true",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "of-the-runner",
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"{tokens.url}/token",
            "WHEELHOUSE_TRUSTED_PUBLISHING": "never",
        }
        made = Setting(registry=registry, index=server.url, environment={**kept, **trust, **job})
        built = made.run("build", "ant")
        assert built.returncode == 0, built.stderr
        yield made


@pytest.fixture(scope="module")
def published(setting: Setting) -> subprocess.CompletedProcess[str]:
    return setting.run("publish", "--index-url", f"{setting.index}/legacy/", "--attestations", "--no-spool")


def test_publish__signs_and_the_index_verifies(published: subprocess.CompletedProcess[str], setting: Setting) -> None:
    assert published.returncode == 0, published.stderr
    assert "1 wheels attested by the identity of this job" in published.stderr
    names = {path.name.removeprefix(setting.wheel.name) for path in setting.wheel.parent.glob("*.attestation")}
    assert names == {".publish.attestation", ".provenance.attestation"}


@pytest.mark.usefixtures("published")
def test_integrity__has_both_attestations_and_who_signed(setting: Setting) -> None:
    answer = requests.get(f"{setting.index}/integrity/ant/1.0/{setting.wheel.name}/provenance", timeout=10)
    found = Provenance.model_validate_json(answer.content)
    publishers = {(bundle.publisher.kind, bundle.publisher.repository) for bundle in found.attestation_bundles}  # type: ignore[union-attr]
    assert publishers == {("GitHub", "acme/wheels")}
    kinds = [one.statement["predicateType"] for bundle in found.attestation_bundles for one in bundle.attestations]
    assert kinds == ["https://docs.pypi.org/attestations/publish/v1", "https://slsa.dev/provenance/v1"]


@pytest.mark.usefixtures("published")
def test_verify__asks_the_index_and_for_the_signer(setting: Setting, tmp_path: Path) -> None:
    alone = tmp_path / setting.wheel.name  # without what lies beside the built one
    alone.write_bytes(setting.wheel.read_bytes())
    words = ("verify", str(alone), "--index-url", f"{setting.index}/simple/")
    good = setting.run(*words, "--identity", "github:acme/wheels/registry.yml")
    assert good.returncode == 0, good.stdout + good.stderr
    assert good.stdout.count("signed by github:acme/wheels/registry.yml") == 2
    other = setting.run(*words, "--identity", "github:somebody/else")
    assert other.returncode == 31, other.stdout + other.stderr


@pytest.mark.usefixtures("published")
def test_verify__who_trusts_sigstore_alone__does_not_trust_a_stand_in(setting: Setting, tmp_path: Path) -> None:
    elsewhere = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "XDG_DATA_HOME": str(tmp_path / "data")}
    done = setting.run("verify", str(setting.wheel), "--identity", "github:acme/wheels", **elsewhere)
    assert done.returncode == 31, done.stdout + done.stderr


def test_publish__signed_by_another_workflow__is_refused(setting: Setting, tmp_path: Path) -> None:
    """The same wheel and the same authority; the index trusts jobs of one workflow."""
    with local_issuer() as issuer:
        claims = {**JOB, "job_workflow_ref": "acme/wheels/.github/workflows/other.yml@refs/heads/main"}
        body = json.dumps({"value": issuer.identity(**{**claims, "aud": "sigstore"})}).encode()
        copy = tmp_path / setting.wheel.name
        copy.write_bytes(setting.wheel.read_bytes())
        with serve({f"/token?{urlencode({'audience': 'sigstore'})}": [Answer(body=body)]}) as tokens:
            done = setting.run(
                *("publish", str(copy), "--index-url", f"{setting.index}/legacy/", "--attestations", "--no-spool"),
                ACTIONS_ID_TOKEN_REQUEST_URL=f"{tokens.url}/token",
            )
    assert done.returncode != 0
    assert "no trusted publisher of ant" in done.stdout + done.stderr
