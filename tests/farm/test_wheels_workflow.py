"""wheels.yml as it is written, for a small registry: real builds, and a real index that trusts who publishes."""

from __future__ import annotations

import json
import os
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
import trustme
from uv import find_uv_bin

import tiny
from actions_runner import Runner
from identities import local_issuer
from index_server import index_server
from index_server import wheelhouse as command
from servers import Answer, serve
from wheelhouse.target import native_arch

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.slow, pytest.mark.network]

ROOT = Path(__file__).parents[2]
HOST = "127.0.0.1"
TARGET = f"cp{tiny.HERE.replace('.', '')}-manylinux_{native_arch()}"
SETTINGS = f"""\
[targets]
build = ["{TARGET}"]

[build]
builder = "host"
toolchain = "system"
"""
INDEX = """\
[serve]
audience = "{host}"
anonymous-read = "everybody"

[[serve.trusted-publishers]]
issuer = "{issuer}"
projects = ["ant", "bee", "cat"]
claims = {{ repository = "acme/wheels", ref = "refs/heads/main" }}
"""


def git(folder: Path, *words: str) -> str:
    settings = ("-c", "user.name=Test", "-c", "user.email=test@example.invalid", "-c", "init.defaultBranch=main")
    done = subprocess.run(["git", "-C", folder, *settings, *words], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def repository(folder: Path) -> Path:
    """Make a repository by `wheelhouse init --github`, of three recipes: one depends on another, one is broken."""
    tiny.write_registry(
        folder,
        tiny.Tiny(name="ant"),
        tiny.Tiny(name="bee", recipe='[depends]\nbuild = ["ant"]\n'),
        tiny.Tiny(name="cat", before="#include <no_such_header.h>"),
        settings=SETTINGS,
    )
    command(folder, "init", str(folder), "--github")
    (folder / ".gitignore").write_text("/dist/\n/.wheelhouse/\n")
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "Begin")
    return folder


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
    tools, kept = folder / "bin", {key: value for key, value in os.environ.items() if not key.startswith("GITHUB_")}
    environment = {
        **kept,
        "PATH": os.pathsep.join([str(tools), str(Path(find_uv_bin()).parent), os.environ["PATH"]]),
        "UV_TOOL_DIR": str(folder / "tools"),
        "UV_TOOL_BIN_DIR": str(tools),
        "UV_PYTHON": sys.executable,
        "UV_CACHE_DIR": os.environ.get("UV_CACHE_DIR") or command_output(find_uv_bin(), "cache", "dir"),
        "WHEELHOUSE_CACHE": str(folder / "downloads"),
        **dict.fromkeys(("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "TWINE_CERT"), str(folder / "ca.pem")),
        "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
    }
    with ExitStack() as stack:
        issuer = stack.enter_context(local_issuer())
        (folder / "index/wheelhouse.toml").write_text(INDEX.format(host=HOST, issuer=issuer.url))
        tls = ("--tls-cert", str(folder / "cert.pem"), "--tls-key", str(folder / "key.pem"))
        server = stack.enter_context(index_server(folder / "index", *tls))
        identity = issuer.identity(aud=HOST, repository="acme/wheels", ref="refs/heads/main")
        answer = Answer(body=json.dumps({"value": identity}).encode())
        tokens = stack.enter_context(serve({f"/token?{urlencode({'audience': HOST})}": [answer]}))
        runner = Runner(
            repository=repository(folder / "repository"),
            folder=folder,
            environment=environment,
            identity={
                "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "of-the-runner",
                "ACTIONS_ID_TOKEN_REQUEST_URL": f"{tokens.url}/token",
            },
            github={
                "workflow": "Registry",
                "event_name": "push",
                "ref": "refs/heads/main",
                "run_id": "1",
                "event": {"repository": {"default_branch": "main"}},
            },
        )
        inputs = {"wheelhouse": str(ROOT), "changed-since": "0" * 40, "index-url": f"{server.url}/legacy/"}
        runner.run(".github/workflows/wheels.yml", **inputs)
        yield Outcome(runner=runner, index=server.url, registry=server.registry)


def command_output(*words: str) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()


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
    assert command_output(sys.executable, "-c", program) == "42"


def test_second_run__knows_how_long_the_jobs_took(outcome: Outcome, tmp_path: Path) -> None:
    again = Runner(
        repository=outcome.runner.repository,
        folder=tmp_path,
        environment=outcome.runner.environment,
        identity={},
        github={**outcome.runner.github, "event_name": "pull_request", "ref": "refs/pull/1/merge"},
    )
    shutil.copytree(outcome.runner.folder / "cache", tmp_path / "cache")
    head = git(outcome.runner.repository, "rev-parse", "HEAD")
    again.run(
        ".github/workflows/wheels.yml", **{"wheelhouse": str(ROOT), "changed-since": head, "index-url": outcome.index}
    )
    assert again.jobs["Plan"].outputs["stages"] == "0"
    assert list(again.jobs) == ["Plan"]
    assert again.jobs["Plan"].result == "success", again.jobs["Plan"].log


def test_own_wheel__has_the_workflows(tmp_path: Path) -> None:
    words = [find_uv_bin(), "build", "--wheel", "--out-dir", str(tmp_path), str(ROOT)]
    subprocess.run(words, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    inside = zipfile.ZipFile(wheel).namelist()
    assert "wheelhouse/bundled/.github/workflows/wheels-stage.yml" in inside
