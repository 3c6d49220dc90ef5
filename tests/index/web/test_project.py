from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from packaging.utils import NormalizedName

from wheelhouse.errors import NotOnIndexError
from wheelhouse.index.model import File, Manifest, Sha256
from wheelhouse.index.web.grid import make_grid
from wheelhouse.index.web.project import (
    FileView,
    Installing,
    ProjectView,
    VersionView,
    find_version,
    installing,
    newest_version,
    show_project,
)

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
DIGEST = "ab" * 32


def a_file(version: str, **more: Any) -> File:
    return File(
        filename=f"spam-{version}.tar.gz", version=version, sha256=Sha256(DIGEST), size=7, upload_time=NOON, **more
    )


def a_manifest(*files: File, **more: Any) -> Manifest:
    return Manifest(name=NormalizedName("spam"), files=files, **more)


def test_show_project__of_a_version__shows_its_files_and_all_versions() -> None:
    old = a_file("1.0", yanked="has holes", requires_python=">=3.9", hashes={"md5": "00"}, provenance=DIGEST)
    manifest = a_manifest(old, a_file("2.0"), a_file("3.0rc1"))

    assert show_project(manifest, "1.0") == ProjectView(
        name="spam",
        version="1.0",
        newest=False,
        status="active",
        status_reason="",
        policy="private",
        yanked=True,
        yank_reason="has holes",
        requires_python=">=3.9",
        files=(
            FileView(
                filename="spam-1.0.tar.gz",
                path=f"files/ab/{DIGEST}/spam-1.0.tar.gz",
                size=7,
                uploaded=NOON,
                requires_python=">=3.9",
                hashes=(("sha256", DIGEST), ("md5", "00")),
                metadata=False,
                provenance=True,
                yanked=True,
                yank_reason="has holes",
            ),
        ),
        versions=tuple(
            VersionView(
                version=version,
                path=version,
                published=NOON,
                files=1,
                yanked=version == "1.0",
                prerelease=version == "3.0rc1",
            )
            for version in ("3.0rc1", "2.0", "1.0")
        ),
        grid=make_grid([]),
    )


def test_newest_version__is_what_an_installer_takes() -> None:
    assert newest_version(a_manifest(a_file("1.0"), a_file("2.0", yanked=True), a_file("3.0rc1"))) == "1.0"
    assert newest_version(a_manifest(a_file("odd"), a_file("1.0"))) == "1.0"
    assert newest_version(a_manifest()) is None


def test_show_project__in_quarantine__has_no_files() -> None:
    view = show_project(a_manifest(a_file("1.0"), status="quarantined", status_reason="malware"), None)
    assert (view.files, view.versions, view.status, view.status_reason) == ((), (), "quarantined", "malware")


@pytest.mark.parametrize(("asked", "version"), [("1.0", "1.0"), ("v1", "1.0"), ("1.0.0", "1.0"), ("odd", "odd")])
def test_find_version__any_spelling__is_the_one(asked: str, version: str) -> None:
    assert find_version(a_manifest(a_file("odd"), a_file("1.0")), asked) == version


@pytest.mark.parametrize("asked", ["2", "", "<b>", "x" * 10_000])
def test_find_version__that_is_not_there__is_said(asked: str) -> None:
    with pytest.raises(NotOnIndexError):
        find_version(a_manifest(a_file("1.0")), asked)


def test_installing__lines__name_this_index_and_quote_what_a_shell_would_read() -> None:
    root = "https://wheels.example/sub"
    assert installing("spam", "1.0", root=root, pinned=False) == Installing(
        root=root,
        pip=f"pip install --index-url {root}/simple/ spam",
        uv=f"uv pip install --default-index {root}/simple/ spam",
        poetry=f"poetry source add --priority=primary wheelhouse {root}/simple/\npoetry add --source wheelhouse spam",
    )
    assert installing("spam", "1!2.0", root=root, pinned=True).pip.endswith(" 'spam==1!2.0'")
    assert installing("spam", "1; rm", root=root, pinned=True).uv.endswith(" 'spam==1; rm'")
