"""What every store promises, held against a folder and a real S3-compatible server."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from packaging.utils import canonicalize_name

from arrivals import sha256
from wheelhouse.errors import NotOnIndexError, StoreDamagedError, StoreUnavailableError, UsageError
from wheelhouse.index.model import Manifest
from wheelhouse.index.stores.folder import FolderStore
from wheelhouse.index.stores.opening import open_store
from wheelhouse.index.stores.store import CHUNK
from wheelhouse.spool.disk import MANY

if TYPE_CHECKING:
    from wheelhouse.index.stores.store import Store

SPAM, HAM = canonicalize_name("spam"), canonicalize_name("ham")
DATA = bytes(range(256)) * 20
DIGEST = sha256(DATA)
LATER = timedelta(minutes=1)


def now() -> datetime:
    return datetime.now(tz=UTC)


def scratch_files(tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "store").rglob("*") if path.is_file() and path.parent.name == "scratch"]


def test_blob__put_from_a_path__is_there(store: Store, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(DATA)
    store.put_file(source, DIGEST)
    assert b"".join(store.open_range(DIGEST)) == DATA
    assert source.read_bytes() == DATA
    found = store.find_blob(DIGEST)
    assert found is not None
    assert (found.sha256, found.size) == (DIGEST, len(DATA))
    assert abs(found.modified - now()) < LATER
    assert [blob.sha256 for blob in store.blobs()] == [DIGEST]
    assert scratch_files(tmp_path) == []


def test_blob__put_from_scratch__outlives_it(store: Store, tmp_path: Path) -> None:
    with store.scratch() as file:
        file.write(DATA)
        file.flush()
        store.put_file(Path(file.name), DIGEST)
    assert b"".join(store.open_range(DIGEST)) == DATA
    assert scratch_files(tmp_path) == []
    assert not Path(file.name).exists()


def test_scratch__context_fails__leaves_nothing(store: Store, tmp_path: Path) -> None:
    with suppress(ZeroDivisionError), store.scratch() as file:
        file.write(DATA)
        _ = 1 / 0
    assert scratch_files(tmp_path) == []
    assert list(store.blobs()) == []


def test_blob__put_twice__is_there_once(store: Store) -> None:
    store.put_bytes(DATA, DIGEST)
    store.put_bytes(DATA, DIGEST)
    assert [blob.sha256 for blob in store.blobs()] == [DIGEST]


@pytest.mark.parametrize("count", [0, 1, MANY - 1, 3 * MANY])
def test_blobs__put_together__are_all_there(store: Store, tmp_path: Path, count: int) -> None:
    blobs = [(data, sha256(data)) for data in (b"%d" % number for number in range(count))]
    assert list(store.write(blobs, [])) == []
    assert list(store.write(blobs, [])) == []
    assert {blob.sha256 for blob in store.blobs()} == {digest for _, digest in blobs}
    assert all(b"".join(store.open_range(digest)) == data for data, digest in blobs)
    assert scratch_files(tmp_path) == []


def test_blobs__same_bytes_twice__are_there_once(store: Store, tmp_path: Path) -> None:
    store.write([(DATA, DIGEST)] * (MANY + 1), [])
    assert [blob.sha256 for blob in store.blobs()] == [DIGEST]
    assert scratch_files(tmp_path) == []


def test_blob__larger_than_a_piece__comes_whole(store: Store) -> None:
    data = b"0123456789abcdef" * (CHUNK // 16) + b"end"
    store.put_bytes(data, sha256(data))
    assert b"".join(store.open_range(sha256(data))) == data
    assert b"".join(store.open_range(sha256(data), CHUNK - 1)) == b"fend"


@pytest.mark.parametrize(
    ("start", "end"), [(0, None), (0, 5), (3, 3), (5, 3), (256, 300), (len(DATA) - 1, None), (len(DATA) - 1, 10**9)]
)
def test_range__of_a_blob__is_that_slice(store: Store, start: int, end: int | None) -> None:
    store.put_bytes(DATA, DIGEST)
    assert b"".join(store.open_range(DIGEST, start, end)) == DATA[start:end]


def test_blob__that_is_not_there__is_said_to_be_missing(store: Store) -> None:
    assert store.find_blob(DIGEST) is None
    assert store.local_path(DIGEST) is None
    with pytest.raises(NotOnIndexError):
        list(store.open_range(DIGEST))


def test_remove__put_lately__stays(store: Store) -> None:
    store.put_bytes(DATA, DIGEST)
    assert not store.remove_blob(DIGEST, put_before=now() - LATER)
    assert store.find_blob(DIGEST)


def test_remove__put_before__goes(store: Store) -> None:
    store.put_bytes(DATA, DIGEST)
    assert store.remove_blob(DIGEST, put_before=now() + LATER)
    assert store.find_blob(DIGEST) is None
    assert not store.remove_blob(DIGEST, put_before=now() + LATER)


def test_manifest__first_generation__is_taken_once(store: Store) -> None:
    assert store.read_manifest(SPAM) is None
    assert store.mark(SPAM) is None
    manifest = Manifest(name=SPAM)
    assert store.swap_manifest(manifest)
    assert not store.swap_manifest(manifest)
    assert store.read_manifest(SPAM) == manifest


def test_manifests__swapped_together__each_by_its_own_generation(store: Store, tmp_path: Path) -> None:
    manifests = [Manifest(name=canonicalize_name(f"spam{number}")) for number in range(MANY)]
    taken = manifests[1:3]
    assert all(map(store.swap_manifest, taken))
    assert list(store.write([], manifests)) == [manifest not in taken for manifest in manifests]
    assert (
        list(store.write([(DATA, DIGEST)], [manifest.changed(policy="mirror") for manifest in manifests]))
        == [True] * MANY
    )
    assert {manifest.name: store.read_manifest(manifest.name) for manifest in manifests} == {
        manifest.name: manifest.changed(policy="mirror") for manifest in manifests
    }
    assert list(store.write([], [])) == []
    assert scratch_files(tmp_path) == []


def test_manifest__generation_that_does_not_follow__is_refused(store: Store) -> None:
    first = Manifest(name=SPAM)
    second = first.changed(policy="overlay")
    assert not store.swap_manifest(second)
    assert store.swap_manifest(first)
    assert not store.swap_manifest(second.changed(policy="mirror"))
    assert store.swap_manifest(second)
    assert store.read_manifest(SPAM) == second


def test_manifest__twenty_writers_of_one_generation__one_is_first(store: Store) -> None:
    store.swap_manifest(Manifest(name=SPAM))
    rivals = [Manifest(name=SPAM).changed(status_reason=str(number)) for number in range(20)]
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(store.swap_manifest, rivals))
    assert taken.count(True) == 1
    assert store.read_manifest(SPAM) == rivals[taken.index(True)]


def test_projects__changed__have_another_mark(store: Store) -> None:
    store.swap_manifest(Manifest(name=SPAM))
    store.swap_manifest(Manifest(name=HAM))
    before = store.projects()
    assert set(before) == {SPAM, HAM}
    store.swap_manifest(Manifest(name=SPAM).changed())
    after = store.projects()
    assert after[HAM] == before[HAM] == store.mark(HAM)
    assert after[SPAM] == store.mark(SPAM) != before[SPAM]


def test_names__are_those_of_the_projects(store: Store) -> None:
    assert store.names() == set()
    store.swap_manifest(Manifest(name=SPAM))
    store.swap_manifest(Manifest(name=canonicalize_name("spam-egg")))
    assert store.names() == store.projects().keys() == {SPAM, "spam-egg"}


def test_names__of_a_folder__are_manifests_only(tmp_path: Path) -> None:
    store = FolderStore.open(tmp_path)
    store.swap_manifest(Manifest(name=SPAM))
    for other in ("Ham.json", "-ham.json", "ham.json.new", ".ham.json", "ham", "ham\n.json", "ham json"):
        (tmp_path / "projects" / other).touch()
    assert store.names() == store.projects().keys() == {SPAM}


def test_mark__project_whose_name_begins_with_another__is_its_own(store: Store) -> None:
    store.swap_manifest(Manifest(name=canonicalize_name("spam-egg")))
    assert store.mark(SPAM) is None


def test_tidy__superseded_generations__leave_the_newest(store: Store) -> None:
    newest = Manifest(name=SPAM)
    for _ in range(3):
        assert store.swap_manifest(newest)
        newest = newest.changed()
    store.tidy(put_before=now() + LATER)
    assert store.swap_manifest(newest)
    assert store.read_manifest(SPAM) == newest


def test_open__neither_folder_nor_bucket__is_refused() -> None:
    with pytest.raises(UsageError):
        open_store("ftp://example.org/wheels")


def test_folder__scratch_of_a_dead_process__is_gone_after_the_next_start(tmp_path: Path) -> None:
    store = FolderStore.open(tmp_path / "store")
    dead = tmp_path / "store" / "scratch" / "dead"
    dead.write_bytes(DATA)
    with store.scratch() as alive:
        FolderStore.open(tmp_path / "store")
        assert [str(path) for path in scratch_files(tmp_path)] == [alive.name]
        assert not dead.exists()


def test_folder__manifest_written__was_a_scratch_file_until_then(tmp_path: Path) -> None:
    store = FolderStore.open(tmp_path / "store")
    store.swap_manifest(Manifest(name=SPAM))
    assert os.listdir(tmp_path / "store" / "projects") == ["spam.json"]  # noqa: PTH208 - texts
    assert scratch_files(tmp_path) == []


def test_folder__blob_cut_short__is_mended_by_the_next_upload(tmp_path: Path) -> None:
    store = FolderStore.open(tmp_path / "store")
    store.put_bytes(DATA, DIGEST)
    path = store.local_path(DIGEST)
    assert path is not None
    path.write_bytes(DATA[:10])
    store.put_bytes(DATA, DIGEST)
    assert path.read_bytes() == DATA


@pytest.mark.parametrize("data", [b"", b"{", b'{"format": 1, "name": "ham"}'])
def test_folder__manifest_that_cannot_be_read__is_damage(tmp_path: Path, data: bytes) -> None:
    store = FolderStore.open(tmp_path / "store")
    (tmp_path / "store" / "projects" / "spam.json").write_bytes(data)
    with pytest.raises(StoreDamagedError):
        store.read_manifest(SPAM)


def test_folder__gone__is_unavailable(tmp_path: Path) -> None:
    store = FolderStore.open(tmp_path / "store")
    (tmp_path / "store").rename(tmp_path / "elsewhere")
    with pytest.raises(StoreUnavailableError):
        store.read_manifest(SPAM)
    with pytest.raises(StoreUnavailableError):
        store.put_bytes(DATA, DIGEST)
    with pytest.raises(StoreUnavailableError):
        store.find_blob(DIGEST)
    with pytest.raises(StoreUnavailableError):
        store.projects()


def test_folder__path_is_a_file__is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("")
    with pytest.raises(StoreUnavailableError):
        FolderStore.open(tmp_path / "store")


def test_stage__manifests__are_its_own_over_the_same_blobs(store: Store) -> None:
    stage = store.staged(HAM)
    store.put_bytes(DATA, DIGEST)
    assert stage.swap_manifest(Manifest(name=SPAM))
    assert not stage.swap_manifest(Manifest(name=SPAM))
    assert stage.swap_manifest(Manifest(name=SPAM, generation=2, status="archived"))

    assert (list(store.projects()), store.read_manifest(SPAM), store.mark(SPAM)) == ([], None, None)
    assert (list(stage.projects()), stage.read_manifest(SPAM)) == (
        [SPAM],
        Manifest(name=SPAM, generation=2, status="archived"),
    )
    assert stage.find_blob(DIGEST) is not None
    assert list(store.stages()) == [HAM]
    assert store.staged(SPAM).projects() == {}


def test_stage__manifest_removed__only_if_it_is_the_newest_and_old(store: Store) -> None:
    stage = store.staged(HAM)
    first, second = Manifest(name=SPAM), Manifest(name=SPAM, generation=2)
    stage.swap_manifest(first)
    stage.swap_manifest(second)
    later = now() + LATER

    assert not stage.remove_manifest(first, written_before=later)
    assert not stage.remove_manifest(second, written_before=now() - LATER)
    assert stage.remove_manifest(second, written_before=later)
    assert not stage.remove_manifest(second, written_before=later)
    assert (stage.read_manifest(SPAM), list(store.stages())) == (None, [])
    assert stage.swap_manifest(first)


def test_stage__superseded_and_empty__are_tidied(store: Store, tmp_path: Path) -> None:
    stage = store.staged(HAM)
    stage.swap_manifest(Manifest(name=SPAM))
    stage.swap_manifest(Manifest(name=SPAM, generation=2))
    store.tidy(put_before=now() + LATER)
    assert stage.read_manifest(SPAM) == Manifest(name=SPAM, generation=2)

    stage.remove_manifest(Manifest(name=SPAM, generation=2), written_before=now() + LATER)
    store.tidy(put_before=now() + LATER)
    assert not [path for path in tmp_path.rglob("ham") if path.parent.name == "stages"]


def test_claim__of_many_at_once__one_gets_it(store: Store) -> None:
    until = now() + LATER
    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(lambda _: store.claim("gc", until=until), range(8)))
    assert sorted(got) == [*[False] * 7, True]
    assert store.claim("gc", until=until + LATER)
    assert store.claim("identity-ab12", until=until)


def test_claim__that_is_over__is_tidied_away(store: Store) -> None:
    over, until = now() - LATER, now() + LATER
    assert store.claim("old", until=over)
    assert store.claim("new", until=until)
    store.tidy(put_before=now())
    assert store.claim("old", until=over)
    assert not store.claim("new", until=until)
    assert store.projects() == {}
    assert list(store.blobs()) == []
