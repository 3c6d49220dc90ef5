from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from packaging.utils import canonicalize_name

from identities import JOB
from wheelhouse.config import TrustedPublisher, load_config
from wheelhouse.errors import InvalidFileError
from wheelhouse.index.access.publishers import PRESETS, Publisher, name_of, told_claims
from wheelhouse.index.access.scopes import Action

if TYPE_CHECKING:
    from pathlib import Path

GITHUB = {"iss": PRESETS["github"], **JOB}
GITLAB = {
    "iss": PRESETS["gitlab"],
    "project_path": "acme/tools/spam",
    "ci_config_ref_uri": "gitlab.com/acme/tools/spam//.gitlab-ci.yml@refs/heads/main",
    "ref_path": "refs/heads/main",
    "environment": "release",
}


def fits(identity: dict[str, Any], issuer: str = "github", **keys: object) -> bool:
    table = TrustedPublisher.model_validate({"issuer": issuer, "projects": ["*"], **keys})
    return Publisher.of(table).fits(identity)


@pytest.mark.parametrize(
    "keys",
    [
        {"repository": "acme/spam"},
        {"repository": "Acme/Spam"},
        {"repository": "acme/*"},
        {"repository": "acme/spam", "workflow": "release.yml"},
        {"repository": "acme/*", "workflow": "release.yml", "environment": "PyPI", "ref": "refs/tags/*"},
        {"repository": "acme/spam", "claims": {"repository_owner_id": "42"}},
    ],
)
def test_github__its_own_job__fits(keys: dict[str, Any]) -> None:
    assert fits(GITHUB, **keys)


@pytest.mark.parametrize(
    ("keys", "claims"),
    [
        ({"repository": "acme/ham"}, {}),
        ({"repository": "acme/spa"}, {}),
        ({"repository": "acme/s.am"}, {}),
        ({"repository": "acme/spam"}, {"iss": PRESETS["gitlab"]}),
        ({"repository": "acme/spam", "workflow": "other.yml"}, {}),
        ({"repository": "acme/spam", "workflow": "release.y*"}, {}),
        ({"repository": "acme/spam", "environment": "test"}, {}),
        ({"repository": "acme/spam", "environment": "pypi"}, {"environment": None}),
        ({"repository": "acme/spam", "ref": "refs/heads/*"}, {}),
        ({"repository": "acme/spam", "ref": "refs/tags/*"}, {"ref": "evil\nrefs/tags/v1"}),
        ({"repository": "acme/spam", "claims": {"repository_owner_id": "43"}}, {}),
    ],
)
def test_github__another_job__does_not(keys: dict[str, Any], claims: dict[str, Any]) -> None:
    assert not fits({**GITHUB, **claims}, **keys)


@pytest.mark.parametrize(
    "ref",
    [
        "evil/spam/.github/workflows/release.yml@refs/tags/v1",
        "acme/spam/.github/workflows/release.yml",
        "acme/spam/.github/workflows/sub/release.yml@refs/tags/v1",
        "acme/spam/.github/workflows/x@release.yml",
        7,
    ],
)
def test_github__workflow_of_elsewhere__does_not(ref: object) -> None:
    assert not fits({**GITHUB, "job_workflow_ref": ref}, repository="acme/*", workflow="release.yml")


def test_gitlab__its_own_job__fits() -> None:
    keys: dict[str, Any] = {"repository": "acme/tools/spam", "workflow": ".gitlab-ci.yml", "environment": "release"}
    assert fits(GITLAB, "gitlab", **keys, ref="refs/heads/main")
    another: dict[str, Any] = {**keys, "workflow": "ci.yml"}
    assert not fits(GITLAB, "gitlab", **another)
    assert not fits(GITLAB, "gitlab", **keys, ref="refs/tags/*")


def test_other_issuer__goes_by_its_claims() -> None:
    job = {"iss": "https://ci.example", "org": 7, "protected": True}
    assert fits(job, "https://ci.example", claims={"org": "7", "protected": "true"})
    assert not fits(job, "https://ci.example", claims={"org": "77"})


def test_publisher__another_table__has_another_digest() -> None:
    tables: list[dict[str, Any]] = [{"projects": ["a"]}, {"projects": ["a*"]}, {"projects": ["a"], "ref": "x"}]
    every = [TrustedPublisher.model_validate({"issuer": "github", "repository": "a/b", **table}) for table in tables]
    assert len({Publisher.of(table).digest for table in every}) == 3


def test_publisher__scopes__are_those_of_its_projects_and_actions() -> None:
    table = TrustedPublisher.model_validate(
        {"issuer": "github", "repository": "a/b", "projects": ["Acme_*"], "actions": ["upload", "read"]}
    )
    scopes = Publisher.of(table).scopes
    assert any(scope.allows(Action.UPLOAD, canonicalize_name("acme-foo")) for scope in scopes)
    assert [str(scope) for scope in scopes] == ["upload:acme-*", "read:acme-*"]


def test_names__for_the_audit_log() -> None:
    assert name_of(GITHUB) == "github:acme/spam"
    assert name_of({"iss": "https://ci.example"}) == "https://ci.example:?"
    assert told_claims({"ref": "x" * 1000, "sha": ["x"]}, ()) == {"ref": "x" * 200}


@pytest.mark.parametrize(
    ("table", "key", "part"),
    [
        ('issuer = "github"\nprojects = ["a"]', "", "`repository` is missing"),
        ('issuer = "github"\nrepository = "*/*"\nprojects = ["a"]', "", "`repository` is missing"),
        ('issuer = "https://ci.example"\nprojects = ["a"]', "", "`claims` is missing"),
        ('issuer = "https://ci.example"\nprojects = ["a"]\nclaims = { sub = "*" }', "", "`claims` is missing"),
        ('issuer = "https://ci.example"\nprojects = ["a"]\nref = "x"', "", "`ref` is for github and gitlab"),
        ('issuer = "http://ci.example"\nprojects = ["a"]', ".issuer", "https address"),
        ('issuer = "github"\nrepository = "a/b"\nprojects = []', ".projects", "must not be empty"),
    ],
)
def test_config__publisher_that_says_too_little__is_refused(tmp_path: Path, table: str, key: str, part: str) -> None:
    path = tmp_path / "wheelhouse.toml"
    path.write_text(f"[[serve.trusted-publishers]]\n{table}\n")
    with pytest.raises(InvalidFileError) as caught:
        load_config(path)
    (problem,) = caught.value.problems
    assert problem.key == f"serve.trusted-publishers[0]{key}"
    assert part in problem.message
