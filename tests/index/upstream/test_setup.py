from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pydantic
import pytest

from wheelhouse.config import Config, Workspace
from wheelhouse.errors import UsageError
from wheelhouse.index.upstream.setup import mirror_setup

HERE = Path("/somewhere")


def workspace(**mirror: Any) -> Workspace:
    config = Config.model_validate({"mirror": {name.replace("_", "-"): value for name, value in mirror.items()}})
    return Workspace(
        registry=HERE / "recipes", dist=HERE / "dist", state=HERE / ".wheelhouse", cache=HERE / "cache", config=config
    )


def urls(made: Workspace, **environment: str) -> list[str]:
    setup = mirror_setup(made, made.config.mirror, environment)
    assert setup is not None
    return [upstream.url for upstream in setup.upstreams()]


def test_setup__by_default__mirrors_the_configured_index_else_the_default_one() -> None:
    assert urls(workspace(), UV_DEFAULT_INDEX="https://wheels.example/simple") == ["https://wheels.example/simple/"]
    (default,) = urls(workspace())
    assert default.startswith("https://")


def test_setup__configured_index_is_this_one__mirrors_the_default_one() -> None:
    assert urls(workspace(), PIP_INDEX_URL="http://localhost:8080/simple/") == urls(workspace())


def test_setup__upstream_is_this_one__is_refused() -> None:
    made = workspace(upstreams=["http://127.0.0.1:8080/simple/"])
    with pytest.raises(UsageError, match="itself"):
        mirror_setup(made, made.config.mirror, {})


def test_setup__not_enabled__is_none() -> None:
    made = workspace(enabled=False, upstreams=["nonsense"])
    assert mirror_setup(made, made.config.mirror, {}) is None


def test_setup__upstream_without_sense__shows_no_password() -> None:
    made = workspace(upstreams=["ftp://me:secret@wheels.example/"])
    with pytest.raises(UsageError) as caught:
        mirror_setup(made, made.config.mirror, {})
    assert "secret" not in str(caught.value)


def test_setup__rules__are_of_normalised_names() -> None:
    made = workspace(
        min_age="14d",
        min_age_of={"Acme_*": "0s"},
        deny=["Evil.Thing"],
        policy={"Psycopg2": "overlay"},
        budget_megabytes=5,
    )
    setup = mirror_setup(made, made.config.mirror, {})
    assert setup is not None
    assert setup.rules.min_age == timedelta(days=14)
    assert setup.rules.min_ages == {"acme-*": timedelta(0)}
    assert setup.rules.deny == ("evil-thing",)
    assert setup.rules.policies == {"psycopg2": "overlay"}
    assert (setup.budget, setup.folder) == (5_000_000, HERE / ".wheelhouse/mirror")


@pytest.mark.parametrize(
    "mirror",
    [
        {"min-age": "14"},
        {"min-age": 14},
        {"min-age": "-1d"},
        {"deny": ["a/b"]},
        {"policy": {"x": "public"}},
        {"policy": {"-": "private"}},
        {"offline": "yes"},
        {"budget-megabytes": 0},
        {"upstream": []},
    ],
)
def test_config__without_sense__is_refused(mirror: dict[str, object]) -> None:
    with pytest.raises(pydantic.ValidationError):
        Config.model_validate({"mirror": mirror})
