from __future__ import annotations

from pathlib import Path

import pytest

from wheelhouse.config import Config, Workspace
from wheelhouse.errors import UsageError
from wheelhouse.index.settings import Settings

HERE = Path("/somewhere")


def settings(**serve: object) -> Settings:
    config = Config.model_validate({"serve": {name.replace("_", "-"): value for name, value in serve.items()}})
    workspace = Workspace(
        registry=HERE / "recipes", dist=HERE / "dist", state=HERE / ".wheelhouse", cache=HERE / "cache", config=config
    )
    return Settings.of(workspace, config.serve)


@pytest.mark.parametrize(
    ("store", "place"),
    [
        ("", "/somewhere/.wheelhouse/index"),
        ("wheels", "/somewhere/wheels"),
        ("/srv/wheels", "/srv/wheels"),
        ("s3://wheels/here", "s3://wheels/here"),
    ],
)
def test_settings__store(store: str, place: str) -> None:
    assert settings(store=store).store == place


@pytest.mark.parametrize(
    ("read", "anybody", "here"), [("nobody", False, False), ("local", False, True), ("everybody", True, True)]
)
def test_settings__anonymous_read(read: str, anybody: bool, here: bool) -> None:  # noqa: FBT001 - of the table
    access = settings(anonymous_read=read).access
    assert (access.anonymous_read, access.anonymous_local_read) == (anybody, here)


def test_settings__by_default__uploads_need_a_token() -> None:
    assert not settings().access.anonymous_local_upload
    assert settings(anonymous_upload="local", max_upload=1).access.anonymous_local_upload
    assert settings(max_upload=1).max_upload == 2**20


def test_settings__trusted_publishers__have_to_know_whom_identities_are_for() -> None:
    publisher = {"issuer": "github", "repository": "acme/spam", "projects": ["spam"]}
    with pytest.raises(UsageError, match=r"serve\.audience"):
        settings(trusted_publishers=[publisher])
    by_url = settings(trusted_publishers=[publisher], url="https://Wheels.example/pypi/").trust
    by_name = settings(trusted_publishers=[publisher], url="https://wheels.example/", audience="acme").trust
    assert by_url is not None
    assert by_name is not None
    assert (by_url.audience, by_name.audience) == ("wheels.example", "acme")
    assert settings().trust is None
