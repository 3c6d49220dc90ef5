"""registry.yml and wheels.yml as they are written, for a small registry: real builds, signed, published to a real index
that trusts who publishes. GitHub is stood in for by `actions_runner.py`, Sigstore by `sigstore_services.py`.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import certifi
import pytest
import requests
import trustme
from uv import find_uv_bin

import tiny
from actions_runner import Runner
from identities import local_issuer
from index_server import index_server
from index_server import wheelhouse as command
from servers import Answer, serve
from sigstore_services import stand_in_for_sigstore
from wheelhouse.target import native_arch
from workflow_setting import ROOT, environment_of_jobs, git, make_repository, output_of

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.slow, pytest.mark.network]

HOST = "127.0.0.1"
TARGET = f"cp{tiny.HERE.replace('.', '')}-manylinux_{native_arch()}"
SETTINGS = f"""\
[targets]
build = ["{TARGET}"]

[build]
builder = "host"
toolchain = "system"
"""
WORKFLOW = ".github/workflows/registry.yml"
INDEX = """\
[serve]
audience = "{host}"
anonymous-read = "everybody"
attestations = "verify"

[[serve.trusted-publishers]]
issuer = "{issuer}"
projects = ["ant", "bee", "cat"]
claims = {{ repository = "acme/wheels", ref = "refs/heads/main" }}

[[serve.trusted-publishers]]  # whose signatures are good
issuer = "github"
repository = "acme/wheels"
workflow = "registry.yml"
ref = "refs/heads/main"
projects = ["ant", "bee", "cat"]
"""
JOB = {
    "repository": "acme/wheels",
    "repository_visibility": "public",
    "ref": "refs/heads/main",
    "job_workflow_ref": "acme/wheels/.github/workflows/wheels.yml@refs/heads/main",
    "workflow_ref": "acme/wheels/.github/workflows/registry.yml@refs/heads/main",
}


def repository(folder: Path) -> Path:
    """Make a repository by `wheelhouse init --github`, of three recipes: one depends on another, one is broken."""
    tiny.write_registry(
        folder,
        tiny.Tiny(name="ant"),
        tiny.Tiny(name="bee", recipe='[depends]\nbuild = ["ant"]\n'),
        tiny.Tiny(name="cat", before="#include <no_such_header.h>"),
        settings=SETTINGS,
    )
    return make_repository(folder)


@dataclass(frozen=True, kw_only=True)
class Outcome:
    runner: Runner
    index: str
    registry: Path


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outcome]:
    folder = tmp_path_factory.mktemp("actions")
    (folder / "index").mkdir()
    authority = trustme.CA()
    certificate = authority.issue_cert(HOST)
    certificate.private_key_pem.write_to_path(str(folder / "key.pem"))
    certificate.cert_chain_pems[0].write_to_path(str(folder / "cert.pem"))
    # Whom this machine trusts already, for what the index of packages has; and our index.
    trusted = Path(os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("SSL_CERT_FILE") or certifi.where())
    (folder / "ca.pem").write_bytes(trusted.read_bytes() + b"\n" + authority.cert_pem.bytes())
    environment = environment_of_jobs(
        folder, **dict.fromkeys(("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "TWINE_CERT"), str(folder / "ca.pem"))
    )
    with ExitStack() as stack:
        issuer = stack.enter_context(local_issuer())
        (folder / "index/wheelhouse.toml").write_text(INDEX.format(host=HOST, issuer=issuer.url))
        tls = ("--tls-cert", str(folder / "cert.pem"), "--tls-key", str(folder / "key.pem"))
        trust = stack.enter_context(stand_in_for_sigstore()).trusting(folder / "trust")
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        for name, value in trust.items():
            patch.setenv(name, value)  # for the server
        server = stack.enter_context(index_server(folder / "index", *tls))
        given = {
            f"/token?{urlencode({'audience': audience})}": [
                Answer(body=json.dumps({"value": issuer.identity(**{**JOB, "aud": audience})}).encode())
                for _ in range(2)  # each is good for one token
            ]
            for audience in (HOST, "sigstore")
        }
        tokens = stack.enter_context(serve(given))
        runner = Runner(
            repository=repository(folder / "repository"),
            folder=folder,
            environment={**environment, **trust},
            identity={
                "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "of-the-runner",
                "ACTIONS_ID_TOKEN_REQUEST_URL": f"{tokens.url}/token",
            },
            github={
                "workflow": "Registry",
                "event_name": "push",
                "ref": "refs/heads/main",
                "run_id": "1",
                "event": {"before": "0" * 40, "repository": {"default_branch": "main"}},
            },
            variables={"WHEELHOUSE_INDEX_URL": f"{server.url}/legacy/"},
        )
        runner.run(WORKFLOW)
        yield Outcome(runner=runner, index=server.url, registry=server.registry)


def cell(stage: int) -> str:
    return f"stage-{stage}-manylinux_{native_arch()}-0"


def test_plan__is_shown_before_anything_is_built(outcome: Outcome) -> None:
    plan = outcome.runner.jobs["Plan"]
    assert plan.result == "success", plan.log
    assert "## Wheels: 3 planned" in plan.summary
    assert plan.outputs["stages"] == "2"


def test_cells__one_fails__its_artifact_has_what_it_did_build(outcome: Outcome) -> None:
    first = outcome.runner.jobs[cell(0)]
    assert first.result == "failure"
    assert "1 built, 1 failed" in first.summary
    assert r"no\_such\_header.h" in first.summary
    assert [path.name.split("-")[0] for path in wheels(outcome, 0)] == ["ant"]


def test_cells__later_stage__takes_over_what_was_built(outcome: Outcome) -> None:
    second = outcome.runner.jobs[cell(1)]
    assert second.result == "success", second.log
    (ant,) = wheels(outcome, 0)
    assert [path.name.split("-")[0] for path in wheels(outcome, 1)] == ["ant", "bee"]
    assert wheels(outcome, 1)[0].read_bytes() == ant.read_bytes()


def wheels(outcome: Outcome, stage: int) -> list[Path]:
    return sorted((outcome.runner.folder / "artifacts" / f"wheelhouse-{cell(stage)}" / "dist").glob("*.whl"))


def test_report__tells_of_every_job(outcome: Outcome) -> None:
    report = outcome.runner.jobs["Report"]
    assert report.result == "success", report.log
    assert "## Wheels: 2 built, 1 failed" in report.summary
    assert list((outcome.runner.folder / "cache").rglob("record.json"))


def test_publish__by_identity_alone__what_was_built(outcome: Outcome) -> None:
    publish = outcome.runner.jobs["Publish"]
    assert publish.result == "success", publish.log
    listed = command(outcome.registry, "index", "list")
    assert "ant" in listed
    assert "bee" in listed
    assert "cat" not in listed


def test_published_wheels__install_from_the_index(outcome: Outcome, tmp_path: Path) -> None:
    words = [find_uv_bin(), "pip", "install", "--python", sys.executable, "--target", str(tmp_path), "bee"]
    words += ["--default-index", f"{outcome.index}/simple/", "--no-cache"]
    trusting = {**os.environ, "SSL_CERT_FILE": str(outcome.runner.folder / "ca.pem")}
    subprocess.run(words, check=True, capture_output=True, env=trusting)
    program = f"import sys; sys.path[:0] = ['{tmp_path}']; import bee; print(bee.answer())"
    assert output_of(sys.executable, "-c", program) == "42"


def test_publish__signs_what_the_index_then_verifies(outcome: Outcome) -> None:
    assert "2 wheels attested by the identity of this job" in outcome.runner.jobs["Publish"].log
    (ant,) = wheels(outcome, 0)
    address = f"{outcome.index}/integrity/ant/1.0/{ant.name}/provenance"
    told = requests.get(address, timeout=10, verify=str(outcome.runner.folder / "ca.pem")).json()
    kinds = {
        json.loads(base64.b64decode(one["envelope"]["statement"]))["predicateType"]
        for bundle in told["attestation_bundles"]
        for one in bundle["attestations"]
    }
    assert kinds == {"https://docs.pypi.org/attestations/publish/v1", "https://slsa.dev/provenance/v1"}
    assert {bundle["publisher"]["workflow"] for bundle in told["attestation_bundles"]} == {"registry.yml"}


def test_failed_cell__run_again_alone__builds_only_what_is_left(outcome: Outcome) -> None:
    before = {wheel.name: wheel.read_bytes() for wheel in wheels(outcome, 0)}
    again = outcome.runner.again(cell(0))
    assert again.result == "failure"
    assert "1 built, 1 failed" in again.summary
    assert re.search(r"reused ant-1\.0-\S+ \(taken over", again.log), again.log
    assert before.items() <= {wheel.name: wheel.read_bytes() for wheel in wheels(outcome, 0)}.items()


def test_published_again__is_the_same_and_no_error(outcome: Outcome) -> None:
    again = outcome.runner.again("Publish")
    assert again.result == "success", again.log


def test_second_run__knows_how_long_the_jobs_took(outcome: Outcome, tmp_path: Path) -> None:
    head = git(outcome.runner.repository, "rev-parse", "HEAD")
    event = {"pull_request": {"base": {"sha": head}}, "repository": {"default_branch": "main"}}
    again = Runner(
        repository=outcome.runner.repository,
        folder=tmp_path,
        environment=outcome.runner.environment,
        identity={},
        github={
            **outcome.runner.github,
            "event_name": "pull_request",
            "ref": "refs/pull/1/merge",
            "event": event,
        },
        variables=outcome.runner.variables,
    )
    shutil.copytree(outcome.runner.folder / "cache", tmp_path / "cache")
    again.run(WORKFLOW)
    assert again.jobs["Plan"].outputs["stages"] == "0"
    assert list(again.jobs) == ["Plan"]
    assert again.jobs["Plan"].result == "success", again.jobs["Plan"].log


def test_own_wheel__has_the_workflows(tmp_path: Path) -> None:
    words = [find_uv_bin(), "build", "--wheel", "--out-dir", str(tmp_path), str(ROOT)]
    subprocess.run(words, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    inside = zipfile.ZipFile(wheel).namelist()
    assert "wheelhouse/bundled/.github/workflows/wheels-stage.yml" in inside
