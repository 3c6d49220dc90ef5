from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from wheelhouse.config import PublishSettings
from wheelhouse.errors import UsageError
from wheelhouse.publish import Destination, find_destination

if TYPE_CHECKING:
    from pathlib import Path

URL = "https://index.example/legacy/"


@pytest.fixture(autouse=True)
def pypirc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    path = tmp_path / ".pypirc"
    path.write_text(f"[distutils]\nindex-servers = inside\n\n[inside]\nrepository = {URL}\nusername = me\n")
    return path


def find(
    index_url: str | None = None,
    repository: str | None = None,
    environment: dict[str, str] | None = None,
    configured: dict[str, str] | None = None,
) -> Destination:
    return find_destination(
        index_url=index_url,
        repository=repository,
        settings=PublishSettings.model_validate(configured or {}),
        environment=environment or {},
    )


@pytest.mark.parametrize(
    ("index_url", "environment", "configured", "chosen"),
    [
        ("https://a.example/", {"TWINE_REPOSITORY_URL": "https://b.example/"}, "https://c.example/", "a"),
        (None, {"TWINE_REPOSITORY_URL": "https://b.example/"}, "https://c.example/", "b"),
        (None, {}, "https://c.example/", "c"),
    ],
)
def test_find_destination__options_then_environment_then_file(
    index_url: str | None, environment: dict[str, str], configured: str, chosen: str
) -> None:
    found = find(index_url, environment=environment, configured={"url": configured})

    assert found == Destination(url=f"https://{chosen}.example/")


@pytest.mark.parametrize("where", ["option", "environment", "file"])
def test_find_destination__name__is_looked_up_in_pypirc(where: str) -> None:
    found = find(
        repository="inside" if where == "option" else None,
        environment={"TWINE_REPOSITORY": "inside"} if where == "environment" else {},
        configured={"repository": "inside"} if where == "file" else {},
    )

    assert found == Destination(url=URL, repository="inside")


def test_find_destination__nothing_chosen__goes_nowhere() -> None:
    with pytest.raises(UsageError, match="no index to publish to"):
        find()


def test_find_destination__unknown_name() -> None:
    with pytest.raises(UsageError, match="Missing 'elsewhere' section"):
        find(repository="elsewhere")


@pytest.mark.parametrize("url", ["index.example/legacy", "ftp://index.example/", "https://", "dist"])
def test_find_destination__no_address(url: str) -> None:
    with pytest.raises(UsageError, match="is no address to upload to"):
        find(url)


@pytest.mark.parametrize("url", ["https://me:secret@index.example/", "ftp://me:secret@index.example/"])
def test_find_destination__credentials_in_the_address__are_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(UsageError) as error:
        find(url)

    assert "secret" not in str(error.value)
