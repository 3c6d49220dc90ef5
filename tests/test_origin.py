from __future__ import annotations

import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from fakes import a_job
from wheelhouse.origin import find_origin
from wheelhouse.process import Processes
from wheelhouse.requirements import Lock
from wheelhouse.requirements.lock import Pin

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from wheelhouse.record import Origin

GITHUB = {
    "GITHUB_ACTIONS": "true",
    "GITHUB_SERVER_URL": "https://github.com",
    "GITHUB_REPOSITORY": "acme/wheels",
    "GITHUB_WORKFLOW_REF": "acme/wheels/.github/workflows/wheels.yml@refs/heads/main",
    "GITHUB_RUN_ID": "7",
    "GITHUB_RUN_ATTEMPT": "2",
}


def origin(folder: Path, *, url: str | None = None, environment: Mapping[str, str] | None = None) -> Origin:
    job = a_job()
    job = replace(job, source=replace(job.source, url=url))
    pin = Pin(name="wheel", version="1", filename="w.whl", sha256="d" * 64, url="https://me:secret@files.example/w.whl")
    own = Pin(name="own", version="1", filename="o.whl", sha256="e" * 64, url="file:///home/me/o.whl")
    return find_origin(
        job,
        Lock(pins=(pin, own)),
        key="ab" * 32,
        recipe=folder,
        environment=environment or {},
        processes=Processes(),
    )


def git(folder: Path, *words: str) -> str:
    identity = ["-c", "user.name=me", "-c", "user.email=me@example.com", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", str(folder), *identity, *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """Give a recipe's folder in a repository with one commit."""
    folder = tmp_path / "repository" / "recipes" / "spam"
    folder.mkdir(parents=True)
    (folder / "recipe.toml").write_text("one")
    git(tmp_path / "repository", "init", "-q")
    git(folder, "add", "recipe.toml")
    git(folder, "commit", "-qm", "one")
    return folder


def test_find_origin__recipe_in_git__names_its_commit(recipe: Path) -> None:
    found = origin(recipe).recipe

    assert found is not None
    assert (found.commit, found.path, found.url, found.changed) == (
        git(recipe, "rev-parse", "HEAD"),
        "recipes/spam",
        None,
        False,
    )


def test_find_origin__recipe_with_changes__says_so(recipe: Path) -> None:
    (recipe.parent / "elsewhere").write_text("another recipe's own")
    before = origin(recipe).recipe
    (recipe / "recipe.toml").write_text("two")
    after = origin(recipe).recipe

    assert before is not None
    assert after is not None
    assert (before.changed, after.changed) == (False, True)


@pytest.mark.parametrize(
    ("remote", "url"),
    [
        ("https://me:secret@git.example/acme/wheels.git", "git+https://git.example/acme/wheels.git"),
        ("git@git.example:acme/wheels.git", "git+ssh://git.example/acme/wheels.git"),
        ("ssh://git@git.example/acme/wheels", "git+ssh://git.example/acme/wheels"),
        ("/srv/git/wheels", None),
        ("file:///srv/git/wheels", None),
    ],
)
def test_find_origin__remote__is_an_address_without_secrets(recipe: Path, remote: str, url: str | None) -> None:
    git(recipe, "remote", "add", "origin", remote)

    found = origin(recipe).recipe

    assert found is not None
    assert found.url == url


def test_find_origin__no_repository_or_no_folder__names_none(tmp_path: Path) -> None:
    assert origin(tmp_path).recipe is None
    assert origin(tmp_path / "nothing").recipe is None


def test_find_origin__addresses__are_those_that_others_can_reach(tmp_path: Path) -> None:
    found = origin(tmp_path, url="file:///home/me/spam.tar.gz")

    assert found.source.url is None
    assert [one.url for one in found.requirements] == ["https://files.example/w.whl", None]
    assert origin(tmp_path, url="https://me:pw@spam.example/x.tar.gz").source.url == "https://spam.example/x.tar.gz"


def test_find_origin__on_a_laptop__is_wheelhouse_and_the_key(tmp_path: Path) -> None:
    found = origin(tmp_path)

    assert found.builder.startswith("pkg:pypi/wheelhouse@")
    assert found.invocation == "ab" * 32


def test_find_origin__in_ci__is_the_workflow_and_the_run(tmp_path: Path) -> None:
    github = origin(tmp_path, environment=GITHUB)
    gitlab = origin(
        tmp_path,
        environment={
            "GITLAB_CI": "true",
            "CI_PROJECT_URL": "https://gitlab.example/acme/wheels",
            "CI_RUNNER_ID": "3",
            "CI_JOB_URL": "https://gitlab.example/acme/wheels/-/jobs/9",
        },
    )

    assert github.builder == f"https://github.com/{GITHUB['GITHUB_WORKFLOW_REF']}"
    assert github.invocation == "https://github.com/acme/wheels/actions/runs/7/attempts/2"
    assert gitlab.builder == "https://gitlab.example/acme/wheels/-/runners/3"
    assert gitlab.invocation == "https://gitlab.example/acme/wheels/-/jobs/9"
