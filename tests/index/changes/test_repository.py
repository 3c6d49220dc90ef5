from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from packaging.utils import canonicalize_name
from packaging.version import Version

from arrivals import WHEEL, an_arrival, sha256
from wheelhouse.errors import FileExistsDifferentError, IndexRefusesError, NotOnIndexError, StoreUnavailableError
from wheelhouse.index.changes.repository import Added, Repository, SameBytes
from wheelhouse.index.stores.folder import FolderStore

if TYPE_CHECKING:
    from pathlib import Path

    from wheelhouse.index.model import Manifest
    from wheelhouse.index.stores.store import Store

SPAM = canonicalize_name("spam")
NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(store=FolderStore.open(tmp_path / "store"), now=lambda: NOON)


@dataclass(frozen=True)
class Meddled:
    """A store in which somebody else is faster, as often as wanted; all else is the true store's."""

    store: Store
    meddle: Any
    times: list[int]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)

    def swap_manifest(self, manifest: Manifest) -> bool:
        if self.times[0]:
            self.times[0] -= 1
            self.meddle()
        return self.store.swap_manifest(manifest)


def test_add__new_file__is_published(repository: Repository, tmp_path: Path) -> None:
    new, source = an_arrival(tmp_path)
    outcome = repository.add_file(new, source)
    file = repository.project(SPAM).file(WHEEL)
    assert file is not None
    assert outcome == Added(file=file)
    assert (file.size, file.sha256, file.upload_time, file.requires_python) == (4, sha256(b"spam"), NOON, ">=3.9")
    assert file.core_metadata == sha256(b"Name: spam\n")
    assert repository.project(SPAM).policy == "private"
    assert all(repository.store.find_blob(blob) for blob in file.blobs)
    assert repository.projects() == [SPAM]


def test_add__same_bytes_again__changes_nothing(repository: Repository, tmp_path: Path) -> None:
    new, source = an_arrival(tmp_path)
    first = repository.add_file(new, source)
    before = repository.project(SPAM)
    assert repository.add_file(new, source) == SameBytes(file=first.file)
    assert repository.project(SPAM) == before


@pytest.mark.parametrize(
    ("filename", "build_number"), [(WHEEL, 1), ("spam-1.0-4-py3-none-any.whl", 5), ("spam-1.0-4a-py3-none-any.whl", 5)]
)
def test_add__other_bytes__names_the_build_number(
    repository: Repository, tmp_path: Path, filename: str, build_number: int
) -> None:
    repository.add_file(*an_arrival(tmp_path, filename))
    with pytest.raises(FileExistsDifferentError) as caught:
        repository.add_file(*an_arrival(tmp_path, filename, b"other"))
    assert f"build-number = {build_number} " in str(caught.value.hint)
    assert repository.store.find_blob(sha256(b"other")) is None


def test_add__other_bytes_of_an_sdist__asks_for_a_version(repository: Repository, tmp_path: Path) -> None:
    repository.add_file(*an_arrival(tmp_path, "spam-1.0.tar.gz"))
    with pytest.raises(FileExistsDifferentError) as caught:
        repository.add_file(*an_arrival(tmp_path, "spam-1.0.tar.gz", b"other"))
    assert "new version" in str(caught.value.hint)


def test_add__other_spelling_of_the_name__is_the_same_file(repository: Repository, tmp_path: Path) -> None:
    repository.add_file(*an_arrival(tmp_path))
    assert isinstance(repository.add_file(*an_arrival(tmp_path, "Spam-1.0.0-py3-none-any.whl")), SameBytes)
    with pytest.raises(FileExistsDifferentError):
        repository.add_file(*an_arrival(tmp_path, "Spam-1.0.0-py3-none-any.whl", b"other"))


def test_add__deleted_name__takes_only_the_old_bytes(repository: Repository, tmp_path: Path) -> None:
    repository.add_file(*an_arrival(tmp_path))
    repository.delete(SPAM, WHEEL)
    assert repository.project(SPAM).files == ()
    with pytest.raises(FileExistsDifferentError):
        repository.add_file(*an_arrival(tmp_path, data=b"other"))
    with pytest.raises(FileExistsDifferentError):
        repository.add_file(*an_arrival(tmp_path, "Spam-1.0.0-py3-none-any.whl", b"other"))
    assert isinstance(repository.add_file(*an_arrival(tmp_path)), Added)


def test_add__bytes_lost_since__are_brought_back(repository: Repository, tmp_path: Path) -> None:
    new, source = an_arrival(tmp_path)
    repository.add_file(new, source)
    path = repository.store.local_path(new.sha256)
    assert path is not None
    path.unlink()
    repository.add_file(new, source)
    assert path.read_bytes() == b"spam"


def test_add_files__of_one_release__appear_at_once(repository: Repository, tmp_path: Path) -> None:
    names = [f"spam-1.0-cp3{minor}-cp3{minor}-linux_x86_64.whl" for minor in (11, 12, 13)]
    outcomes = repository.add_files([an_arrival(tmp_path, name, name.encode()) for name in names])
    assert [outcome.file.filename for outcome in outcomes] == names
    assert repository.project(SPAM).generation == 1
    assert len(repository.project(SPAM).files) == 3


def test_add_files__one_of_them_stands_against_it__none_appears(repository: Repository, tmp_path: Path) -> None:
    repository.add_file(*an_arrival(tmp_path))
    other = an_arrival(tmp_path, "spam-1.0.tar.gz", b"sdist")
    with pytest.raises(FileExistsDifferentError):
        repository.add_files([other, an_arrival(tmp_path, data=b"other")])
    assert len(repository.project(SPAM).files) == 1


def test_add_files__of_two_projects__are_refused(repository: Repository, tmp_path: Path) -> None:
    with pytest.raises(IndexRefusesError):
        repository.add_files([an_arrival(tmp_path), an_arrival(tmp_path, "ham-1.0.tar.gz")])
    assert repository.projects() == []


@pytest.mark.parametrize("again", [WHEEL, "Spam-1.0.0-py3-none-any.whl"])
def test_add_files__one_place_twice__is_refused(repository: Repository, tmp_path: Path, again: str) -> None:
    with pytest.raises(IndexRefusesError):
        repository.add_files([an_arrival(tmp_path), an_arrival(tmp_path, again, b"other")])


@pytest.mark.parametrize("status", ["archived", "quarantined"])
def test_add__project_is_closed__is_refused(repository: Repository, tmp_path: Path, status: Any) -> None:
    repository.add_file(*an_arrival(tmp_path))
    repository.set_status(SPAM, status, "why")
    with pytest.raises(IndexRefusesError):
        repository.add_file(*an_arrival(tmp_path, "spam-1.1.tar.gz"))
    repository.set_status(SPAM, "active")
    repository.add_file(*an_arrival(tmp_path, "spam-1.1.tar.gz"))


def test_yank__and_back__changes_the_mark_only(repository: Repository, tmp_path: Path) -> None:
    before = repository.add_file(*an_arrival(tmp_path)).file
    assert repository.yank(SPAM, WHEEL, "broken")[0].yanked == "broken"
    assert repository.yank(SPAM, WHEEL)[0].yanked is True
    generation = repository.project(SPAM).generation
    assert repository.yank(SPAM, WHEEL)[0].yanked is True
    assert repository.project(SPAM).generation == generation
    assert repository.unyank(SPAM, WHEEL) == [before]


def test_policy__of_a_project_without_files__is_kept(repository: Repository, tmp_path: Path) -> None:
    repository.set_policy(SPAM, "overlay")
    repository.add_file(*an_arrival(tmp_path))
    assert repository.project(SPAM).policy == "overlay"
    assert repository.set_policy(SPAM, "overlay").generation == 2


def test_change__of_what_is_not_there__says_so(repository: Repository, tmp_path: Path) -> None:
    for change in (repository.yank, repository.unyank, repository.delete):
        with pytest.raises(NotOnIndexError):
            change(SPAM, WHEEL)
    with pytest.raises(NotOnIndexError):
        repository.project(SPAM)
    with pytest.raises(NotOnIndexError):
        repository.set_status(SPAM, "archived")
    repository.add_file(*an_arrival(tmp_path))
    with pytest.raises(NotOnIndexError):
        repository.delete(SPAM, "spam-2.0.tar.gz")


def test_change__others_in_between__keeps_both(repository: Repository, tmp_path: Path) -> None:
    def meddle() -> None:
        repository.add_file(*an_arrival(tmp_path, f"spam-{times[0]}.tar.gz"))

    times = [3]
    meddled = Repository(store=Meddled(repository.store, meddle, times), pause=lambda _: None)
    meddled.add_file(*an_arrival(tmp_path))
    assert len(repository.project(SPAM).files) == 4


def test_change__always_others_in_between__gives_up(repository: Repository, tmp_path: Path) -> None:
    def meddle() -> None:
        repository.set_status(SPAM, "active", str(repository.project(SPAM).generation))

    repository.add_file(*an_arrival(tmp_path))
    meddled = Repository(store=Meddled(repository.store, meddle, [1000]), pause=lambda _: None)
    with pytest.raises(StoreUnavailableError, match="others"):
        meddled.yank(SPAM, WHEEL)


def test_add__same_name_other_bytes_in_between__is_a_conflict(repository: Repository, tmp_path: Path) -> None:
    def meddle() -> None:
        repository.add_file(*an_arrival(tmp_path, data=b"other"))

    meddled = Repository(store=Meddled(repository.store, meddle, [1]))
    with pytest.raises(FileExistsDifferentError):
        meddled.add_file(*an_arrival(tmp_path))


def test_add__many_at_once__all_are_there(store: Store, tmp_path: Path) -> None:
    repository = Repository(store=store)
    arrivals = [an_arrival(tmp_path, f"spam-{number}.tar.gz", b"%d" % number) for number in range(16)]
    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(lambda arrival: repository.add_file(*arrival), arrivals))
    assert all(isinstance(outcome, Added) for outcome in outcomes)
    manifest = repository.project(SPAM)
    assert [file.version for file in manifest.files] == [str(number) for number in range(16)]
    assert manifest.generation == 16


def test_release__yanked_and_deleted__in_one_step_with_all_its_files(store: Store, tmp_path: Path) -> None:
    repository = Repository(store=store)
    arrivals = [(WHEEL, b"1"), ("spam-1.0.tar.gz", b"2"), ("spam-2.0.tar.gz", b"3")]
    for name, data in arrivals:
        repository.add_file(*an_arrival(tmp_path, name, data))
    before = repository.project(SPAM).generation

    assert len(repository.yank(SPAM, Version("1.0.0"), "broken")) == 2
    assert [file.yanked for file in repository.project(SPAM).files] == ["broken", "broken", False]
    assert len(repository.delete(SPAM, Version("1"))) == 2
    left = repository.project(SPAM)
    assert ([file.filename for file in left.files], left.generation) == (["spam-2.0.tar.gz"], before + 2)
    assert sorted(left.deleted) == [WHEEL, "spam-1.0.tar.gz"]
    with pytest.raises(NotOnIndexError, match="no spam 1"):
        repository.yank(SPAM, Version("1"))


def test_delete__of_a_file_beside_one_that_came_back__leaves_that(store: Store, tmp_path: Path) -> None:
    repository = Repository(store=store)
    repository.add_file(*an_arrival(tmp_path, WHEEL, b"1"))
    repository.add_file(*an_arrival(tmp_path, "spam-1.0.tar.gz", b"2"))
    repository.delete(SPAM, WHEEL)
    repository.add_file(*an_arrival(tmp_path, WHEEL, b"1"))
    repository.delete(SPAM, "spam-1.0.tar.gz")
    assert [file.filename for file in repository.project(SPAM).files] == [WHEEL]
