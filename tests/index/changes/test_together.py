from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from packaging.utils import canonicalize_name

from arrivals import sha256
from wheelhouse.errors import FileExistsDifferentError, IndexRefusesError, NotOnIndexError
from wheelhouse.index.changes.repository import Added, NewFile, Repository, SameBytes
from wheelhouse.index.changes.together import add_together
from wheelhouse.index.model import FileName
from wheelhouse.index.stores.folder import FolderStore
from wheelhouse.index.stores.wrapped import WrappedStore

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from wheelhouse.index.model import Manifest, Sha256

SPAM, HAM, EGGS = map(canonicalize_name, ("spam", "ham", "eggs"))
NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Meddled(WrappedStore):
    """A store in which somebody else is faster."""

    meddle: Callable[[], Any]

    def write(self, blobs: Sequence[tuple[bytes, Sha256]], manifests: Sequence[Manifest]) -> Sequence[bool]:
        self.meddle()
        return self.inner.write(blobs, manifests)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(store=FolderStore.open(tmp_path / "store"), now=lambda: NOON)


def arrival(filename: str, data: bytes = b"spam") -> tuple[NewFile, bytes]:
    name = FileName.parse(filename)
    metadata = f"Name: {name.project}\n".encode()
    return NewFile(name=name, sha256=sha256(data), size=len(data), metadata=metadata), data


def wheels(project: str, count: int) -> list[tuple[NewFile, bytes]]:
    return [arrival(f"{project}-{number}-py3-none-any.whl", b"%d" % number) for number in range(count)]


def test_add__several_of_several_projects__all_are_published(repository: Repository) -> None:
    arrivals = [*wheels("spam", 20), *wheels("ham", 1), *wheels("eggs", 3)]
    ends = add_together(repository, arrivals)
    assert [type(end) for end in ends] == [Added] * len(arrivals)
    assert [end.file.filename for end in ends if isinstance(end, Added)] == [new.name.filename for new, _ in arrivals]
    assert {name: len(repository.project(name).files) for name in (SPAM, HAM, EGGS)} == {SPAM: 20, HAM: 1, EGGS: 3}
    files = [file for name in (SPAM, HAM, EGGS) for file in repository.project(name).files]
    assert all(repository.store.find_blob(blob) for file in files for blob in file.blobs)
    assert {file.upload_time for file in files} == {NOON}
    assert repository.project(SPAM).generation == 1


def test_add__nothing__is_nothing(repository: Repository) -> None:
    assert add_together(repository, []) == []


def test_add__same_again__changes_nothing(repository: Repository) -> None:
    arrivals = [*wheels("spam", 3), *wheels("ham", 2)]
    add_together(repository, arrivals)
    before = repository.project(SPAM)
    assert [type(end) for end in add_together(repository, [*arrivals, *wheels("eggs", 1)])] == [*[SameBytes] * 5, Added]
    assert repository.project(SPAM) == before


def test_add__one_that_is_refused__is_in_nobodys_way(repository: Repository) -> None:
    add_together(repository, wheels("spam", 1))
    repository.set_policy(HAM, "private")
    repository.set_status(HAM, "archived")
    taken, fresh, archived = (
        arrival("spam-0-py3-none-any.whl", b"other"),
        arrival("spam-1-py3-none-any.whl"),
        arrival("ham-1-py3-none-any.whl", b"ham"),
    )
    ends = add_together(repository, [taken, fresh, archived])
    assert [type(end) for end in ends] == [FileExistsDifferentError, Added, IndexRefusesError]
    assert [file.filename for file in repository.project(SPAM).files] == [
        "spam-0-py3-none-any.whl",
        "spam-1-py3-none-any.whl",
    ]
    assert [repository.store.find_blob(new.sha256) for new, _ in (taken, archived)] == [None, None]


def test_add__somebody_is_faster_in_one_project__is_tried_again_there(repository: Repository) -> None:
    """The rival has brought one file with the same bytes, and one with others."""
    store = repository.store
    assert isinstance(store, FolderStore)

    def rival() -> None:
        add_together(repository, [arrival("spam-0-py3-none-any.whl", b"0"), arrival("spam-1-py3-none-any.whl", b"?")])

    meddled = Repository(store=Meddled(store, rival), now=lambda: NOON)
    ends = add_together(meddled, [*wheels("spam", 3), *wheels("ham", 1)])
    assert [type(end) for end in ends] == [SameBytes, FileExistsDifferentError, Added, Added]
    assert [file.sha256 for file in repository.project(SPAM).files] == [sha256(b"0"), sha256(b"?"), sha256(b"2")]
    assert repository.project(HAM).generation == 1


def test_add__to_a_stage__is_held_against_the_index(repository: Repository) -> None:
    add_together(repository, wheels("spam", 1))
    stage = Repository(store=repository.store.staged(canonicalize_name("s")), base=repository.store, now=lambda: NOON)
    other = arrival("spam-0-py3-none-any.whl", b"other")
    assert [type(end) for end in add_together(stage, [other, *wheels("ham", 1)])] == [FileExistsDifferentError, Added]
    with pytest.raises(NotOnIndexError):
        repository.project(HAM)


def test_add__known__hears_of_each_manifest(repository: Repository) -> None:
    heard: list[tuple[str, int]] = []
    told = Repository(store=repository.store, known=lambda manifest: heard.append((manifest.name, manifest.generation)))
    add_together(told, [*wheels("spam", 2), *wheels("ham", 1)])
    add_together(told, [*wheels("spam", 2), *wheels("ham", 2)])
    assert sorted(heard) == [("ham", 1), ("ham", 2), ("spam", 1), ("spam", 1)]
