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
