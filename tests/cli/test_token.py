from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from wheelhouse.cli import cli
from wheelhouse.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    (tmp_path / "wheelhouse.toml").write_text("")
    (tmp_path / "recipes").mkdir()
    return tmp_path


def token(registry: Path, *words: str) -> Result:
    return CliRunner().invoke(cli, ["--registry", str(registry), "token", *words])


def test_token_create__prints_it_and_nothing_else(registry: Path) -> None:
    made = token(registry, "create", "ci", "--scope", "upload:acme-*")
    assert made.stdout.startswith("wh_")
    assert len(made.stdout.splitlines()) == 1
    assert "not shown again" in made.stderr


def test_token_list__shows_scopes_and_no_secret(registry: Path) -> None:
    secret = token(registry, "create", "ci", "--scope", "upload:Acme_*", "--scope", "read:*").stdout.strip()
    token(registry, "create", "for-ever", "--scope", "read:*", "--expires", "never")

    people, scripts = token(registry, "list").stdout, json.loads(token(registry, "list", "--json").stdout)

    assert "upload:acme-* read:*" in people
    assert [(found["name"], found["expires"] is None) for found in scripts] == [("ci", False), ("for-ever", True)]
    assert secret.split("_")[2] not in people
    assert "sha256" not in scripts[0]


def test_token_revoke__takes_it_away(registry: Path) -> None:
    token(registry, "create", "ci", "--scope", "read:*")
    assert token(registry, "revoke", "ci").exit_code == 0
    assert json.loads(token(registry, "list", "--json").stdout) == []
    assert isinstance(token(registry, "revoke", "ci").exception, UsageError)


@pytest.mark.parametrize("words", [["--expires", "soon"], ["--expires", "0d"], ["--scope", "fly:away"]])
def test_token_create__not_as_it_should_be__makes_none(registry: Path, words: list[str]) -> None:
    made = token(registry, "create", "ci", "--scope", "read:*", *words)
    assert isinstance(made.exception, UsageError)
    assert not (registry / ".wheelhouse" / "tokens.json").exists()


def test_token_create__json__has_all_that_is_known(registry: Path) -> None:
    made = json.loads(token(registry, "create", "ci", "--scope", "upload:acme-*", "--json").stdout)
    assert made["token"].startswith("wh_")
    assert (made["name"], made["scopes"], "sha256" in made) == ("ci", ["upload:acme-*"], False)


def test_token_changes__are_in_the_audit_log_without_the_secret(registry: Path) -> None:
    secret = token(registry, "create", "ci", "--scope", "upload:acme-*").stdout.strip()
    token(registry, "revoke", "ci")
    said = CliRunner().invoke(cli, ["--registry", str(registry), "index", "audit"]).stdout
    assert [line.split()[2:4] for line in said.splitlines()] == [["done", "create-token"], ["done", "revoke-token"]]
    assert "ci: upload:acme-*, expires 90d" in said
    assert secret.split("_")[2] not in said


def test_token__file_as_configured__by_toml_and_environment(registry: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (registry / "wheelhouse.toml").write_text('[serve]\ntokens = "shared/tokens.json"\n')
    token(registry, "create", "ci", "--scope", "read:*")
    assert (registry / "shared" / "tokens.json").is_file()
    monkeypatch.setenv("WHEELHOUSE_TOKENS", str(registry / "other.json"))
    assert json.loads(token(registry, "list", "--json").stdout) == []
