from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from uv import find_uv_bin

from arrivals import an_arrival
from fake_upstream import fake_upstream
from fleet import EGGS, SDIST, SPAM_AARCH64, SPAM_MUSL, world
from index_server import index_server
from small_wheels import SmallWheel
from wheelhouse.cli import run
from wheelhouse.index.changes.repository import Repository
from wheelhouse.index.stores.folder import FolderStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fake_upstream import FakeUpstream

AARCH64 = ("--python", "3.13", "--arch", "aarch64")


@pytest.fixture
def upstream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeUpstream]:
    """Give an index, which a workspace here mirrors."""
    monkeypatch.chdir(tmp_path)
    with fake_upstream(**world()) as made:
        (tmp_path / "wheelhouse.toml").write_text(f'[mirror]\nupstreams = ["{made.url}"]\n')
        (tmp_path / "recipes").mkdir()
        yield made


def as_json(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def installed(*words: str | Path) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("UV_", "PIP_"))}
    clean |= {"UV_NO_CONFIG": "1", "PIP_CONFIG_FILE": os.devnull}
    return subprocess.run(words, capture_output=True, text=True, check=False, env=clean)


def test_add__then_list_and_stats__tell_what_is_kept(
    upstream: FakeUpstream, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["mirror", "add", "acme-eggs", *AARCH64, "--libc", "glibc", "--libc", "musl", "--json"]) == 0
    told = as_json(capsys)
    assert [target["target"] for target in told["targets"]] == ["3.13 aarch64 glibc", "3.13 aarch64 musl"]
    names = {EGGS.filename, SPAM_AARCH64.filename, SPAM_MUSL.filename}
    assert {file["filename"] for file in told["files"]} == names
    assert {file["state"] for file in told["files"]} == {"fetched"}

    assert run(["mirror", "list", "--json"]) == 0
    assert {item["name"] for item in as_json(capsys)} == names
    assert run(["mirror", "list", "Acme.Spam"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    assert run(["mirror", "stats", "--json"]) == 0
    told = as_json(capsys)
    assert told["files"] == told["kept_files"]
    assert told["kept_missing"] == 0


def test_add__again__asks_for_no_file(upstream: FakeUpstream, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["mirror", "add", "acme-eggs", *AARCH64]) == 0
    asked = len([path for path in upstream.asked if path.startswith("/packages/")])
    capsys.readouterr()
    assert run(["mirror", "add", "acme-eggs", *AARCH64]) == 0
    assert "0 files fetched" in capsys.readouterr().err
    assert len([path for path in upstream.asked if path.startswith("/packages/")]) == asked


def test_add__one_of_two_cannot_be__fetches_the_other_and_fails(
    upstream: FakeUpstream, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["mirror", "add", "acme-eggs", "acme-nothing", *AARCH64]) == 18
    err = capsys.readouterr().err
    assert "3.13 aarch64 glibc: acme-nothing: " in err
    assert f"fetched  {EGGS.filename}" in err
    assert "hint: the lines above say why" in err


def test_add__private_dependency__is_never_asked_upstream(
    upstream: FakeUpstream, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = SmallWheel(name="acme_secret", metadata="Requires-Dist: acme-eggs\n")
    path = secret.write(tmp_path / "made")
    metadata = secret.members()[f"{secret.dist_info}/METADATA"]
    arrival, _ = an_arrival(tmp_path, secret.filename, path.read_bytes(), metadata)
    Repository(store=FolderStore.open(tmp_path / ".wheelhouse" / "index")).add_file(arrival, path)

    assert run(["mirror", "add", "acme-secret", *AARCH64, "--json"]) == 0

    states = {file["filename"]: file["state"] for file in as_json(capsys)["files"]}
    assert states == {secret.filename: "ours", EGGS.filename: "fetched", SPAM_AARCH64.filename: "fetched"}
    assert not [path for path in upstream.asked if "secret" in path]


def test_add__lock_and_sdists__fetches_both(
    upstream: FakeUpstream, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "requirements.txt").write_text("acme-spam\n")
    assert run(["mirror", "add", "-r", "requirements.txt", *AARCH64, "--sdists", "--json"]) == 0
    assert {file["filename"] for file in as_json(capsys)["files"]} == {SPAM_AARCH64.filename, SDIST}


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--index-url=http://elsewhere.example/"],
        ["acme @ http://elsewhere.example/acme.whl"],
        ["-e."],
        ["acme", "--python", "2.7"],
        ["acme", "--glibc", "new"],
        ["-r", "nowhere.txt"],
    ],
)
def test_add__not_to_be_carried_out__is_refused(upstream: FakeUpstream, words: list[str]) -> None:
    assert run(["mirror", "add", *words]) == 2
    assert upstream.asked == []


@pytest.mark.parametrize("text", ["enabled = false", "offline = true"])
def test_add__no_mirror_to_fetch_into__is_refused(tmp_path: Path, upstream: FakeUpstream, text: str) -> None:
    (tmp_path / "wheelhouse.toml").write_text(f'[mirror]\nupstreams = ["{upstream.url}"]\n{text}\n')
    assert run(["mirror", "add", "acme-eggs"]) == 2


def test_add__upstream_down__says_so(
    upstream: FakeUpstream, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    upstream.down = True
    assert run(["mirror", "add", "acme-eggs", *AARCH64]) == 18
    assert "503" in capsys.readouterr().err


def test_drop__project_version_or_all__removes_files(
    upstream: FakeUpstream, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["mirror", "add", "acme-eggs", *AARCH64]) == 0
    assert run(["mirror", "drop", "acme-spam>1"]) == 16
    assert run(["mirror", "drop", "acme-spam==1.0"]) == 0
    capsys.readouterr()
    assert run(["mirror", "list"]) == 0
    assert capsys.readouterr().out.startswith(EGGS.filename)
    assert run(["mirror", "drop"]) == run(["mirror", "drop", "acme-eggs", "--all"]) == 2
    assert run(["mirror", "drop", "--all"]) == 0
    capsys.readouterr()
    assert run(["mirror", "stats", "--json"]) == 0
    assert as_json(capsys)["bytes"] == 0


def test_list__nothing_was_ever_fetched__makes_no_folder(
    upstream: FakeUpstream, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["mirror", "list"]) == run(["mirror", "stats"]) == run(["mirror", "drop", "--all"]) == 0
    assert not (tmp_path / ".wheelhouse").exists()


def by_uv(root: str, folder: Path, python: str, arch: str, project: str) -> subprocess.CompletedProcess[str]:
    words = ("--python-version", python, "--python-platform", f"{arch}-manylinux_2_28", "--no-cache")
    uv = (find_uv_bin(), "pip", "install", "--default-index", root, "--target", folder / "uv")
    return installed(*uv, *words, project)


def by_pip(root: str, folder: Path, python: str, arch: str, project: str) -> subprocess.CompletedProcess[str]:
    words = ("--python-version", python, "--platform", f"manylinux_2_17_{arch}", "--only-binary", ":all:")
    pip = (sys.executable, "-m", "pip", "install", "--index-url", root, "--target", folder / "pip")
    return installed(*pip, *words, "--no-cache-dir", "--disable-pip-version-check", project)


@pytest.mark.slow
def test_offline_server__after_add__installs_with_uv_and_pip(upstream: FakeUpstream, tmp_path: Path) -> None:
    assert run(["mirror", "add", "acme-eggs", *AARCH64]) == 0
    upstream.down = True
    with index_server(tmp_path, "--offline", mirror=True) as server:
        for install in (by_uv, by_pip):
            result = install(f"{server.url}/simple/", tmp_path, "3.13", "aarch64", "acme-eggs")
            assert result.returncode == 0, result.stderr
            elsewhere = install(f"{server.url}/simple/", tmp_path / "other", "3.13", "x86_64", "acme-eggs")
            assert elsewhere.returncode != 0  # what was not fetched is not offered

    for tool in ("uv", "pip"):
        assert (tmp_path / tool / "acme_spam.py").read_text() == "ANSWER = 42\n"


@pytest.mark.slow
@pytest.mark.network
def test_offline_server__real_projects__installs_with_uv_and_pip(tmp_path: Path) -> None:
    (tmp_path / "recipes").mkdir()
    (tmp_path / "wheelhouse.toml").touch()
    words = ("--registry", str(tmp_path), "mirror", "add", "jinja2", *AARCH64)
    assert run([*words, "--python", "3.12", "--arch", "x86_64"]) == 0
    (tmp_path / "wheelhouse.toml").write_text("[mirror]\noffline = true\n")
    with index_server(tmp_path, mirror=True) as server:
        for python, arch in (("3.13", "aarch64"), ("3.12", "x86_64")):
            for install, tool in ((by_uv, "uv"), (by_pip, "pip")):
                folder = tmp_path / f"{python}-{arch}"
                result = install(f"{server.url}/simple/", folder, python, arch, "jinja2")
                assert result.returncode == 0, result.stderr
                [native] = (folder / tool / "markupsafe").glob("*.so")
                assert arch in native.name
