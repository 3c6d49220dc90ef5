from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from packaging.utils import canonicalize_name

from wheelhouse.index.model import File, FileName, Manifest, Sha256
from wheelhouse.index.upstream.combine import Listing, View, combine
from wheelhouse.index.upstream.page import parse_page

if TYPE_CHECKING:
    from wheelhouse.index.model import Status

EGGS = canonicalize_name("eggs")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
ALL = View(now=NOW, min_age=timedelta(0))
OURS = Sha256("0" * 64)
THEIRS = "f" * 64


def own(*names: str, status: Status = "active") -> Manifest:
    files = [
        File(filename=name, version=str(FileName.parse(name).version), sha256=OURS, size=1, upload_time=NOW)
        for name in names
    ]
    return Manifest(name=EGGS, policy="overlay", status=status, files=tuple(files))


def listing(ours: Manifest | None, *names: str, view: View = ALL, status: str = "active", **said: object) -> Listing:
    files = [{"filename": name, "url": f"/f/{name}", "hashes": {"sha256": THEIRS}, "size": 3} for name in names]
    body = orjson.dumps(
        {"meta": {"api-version": "1.1"}, "name": "eggs", "files": files, "project-status": {"status": status}, **said}
    )
    url = "https://up.example/simple/"
    return combine(ours, parse_page(body, project=EGGS, url=f"{url}eggs/", upstream=url), view)


def page(made: Listing) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(made.pages.json.identity.data)
    return found


@pytest.mark.parametrize(
    "theirs", ["eggs-1.0-py3-none-any.whl", "Eggs-1.0-py3-none-any.whl", "eggs-1.0.0-py3-none-any.whl"]
)
def test_combine__ours_stands_for_theirs__however_it_is_spelled(theirs: str) -> None:
    made = listing(own("eggs-1.0-py3-none-any.whl"), theirs, "eggs-1.0-1-py3-none-any.whl")
    assert [file["filename"] for file in page(made)["files"]] == [
        "eggs-1.0-py3-none-any.whl",
        "eggs-1.0-1-py3-none-any.whl",
    ]
    assert made.theirs.keys() == {"eggs-1.0-1-py3-none-any.whl"}
    assert made.files.keys() == {"eggs-1.0-py3-none-any.whl"}


def test_combine__every_listed_file__can_be_had_and_no_other() -> None:
    made = listing(own("eggs-2.0.tar.gz"), "eggs-1.0.tar.gz", "eggs-2.0.tar.gz")
    names = {file["filename"] for file in page(made)["files"]}
    assert names == made.files.keys() | made.theirs.keys() == {file.filename for file in made.manifest().files}
    html = made.pages.html.identity.data.decode()
    assert all(f">{name}</a>" in html for name in names)


def test_combine__html_and_manifest__are_made_when_they_are_asked_for() -> None:
    made = listing(own("eggs-2.0.tar.gz"), "eggs-1.0-py3-none-any.whl", "eggs-1.0.tar.gz")
    assert not made.manifest.made
    assert made.pages.json.identity.data
    assert not made.manifest.made
    assert made.pages.html.identity.data.count(b"<a ") == 3
    assert made.manifest.made
    mine = made.manifest().file("eggs-2.0.tar.gz")
    assert mine is made.files["eggs-2.0.tar.gz"]
    theirs = made.manifest().file("eggs-1.0.tar.gz")
    assert theirs is not None
    assert (theirs.version, theirs.sha256, theirs.size) == ("1.0", THEIRS, 3)


def test_combine__versions__are_theirs_and_ours() -> None:
    made = listing(own("eggs-3.0.tar.gz"), "eggs-1.0.tar.gz", versions=["1.0", "0.5"])
    assert page(made)["versions"] == ["1.0", "0.5", "3.0"]


@pytest.mark.parametrize(
    ("ours", "theirs", "listed", "status"),
    [
        ("active", "active", 2, "active"),
        ("active", "archived", 2, "archived"),
        ("archived", "active", 2, "archived"),
        ("active", "quarantined", 1, "active"),
        ("quarantined", "active", 0, "quarantined"),
    ],
)
def test_combine__status(ours: Status, theirs: str, listed: int, status: str) -> None:
    made = listing(own("eggs-2.0.tar.gz", status=ours), "eggs-1.0.tar.gz", status=theirs)
    assert len(page(made)["files"]) == listed
    assert page(made)["project-status"]["status"] == status


def test_combine__theirs_quarantined__lists_nothing() -> None:
    made = listing(None, "eggs-1.0.tar.gz", status="quarantined")
    assert page(made)["files"] == []
    assert not made.theirs


def test_combine__only_what_is_here__where_nothing_else_can_be_had() -> None:
    view = View(now=NOW, min_age=timedelta(0), has=lambda sha256: sha256 != THEIRS)
    assert page(listing(own("eggs-2.0.tar.gz"), "eggs-1.0.tar.gz", view=view))["versions"] == ["2.0"]
