from __future__ import annotations

import hashlib
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arrivals import sha256
from wheelhouse.errors import ShelfFullError
from wheelhouse.index.stores.shelf import Kept, Receiver, Shelf, ShelfStats, WrongBytesError

if TYPE_CHECKING:
    from wheelhouse.index.model import Sha256


class Clock:
    """Goes on by an hour at each look."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        self.now += 3600
        return self.now


def put(shelf: Shelf, data: bytes) -> Sha256:
    with shelf.receive(sha256(data), len(data)) as receiver:
        receiver.write(data)
        receiver.commit()
    return sha256(data)


def write_all(receiver: Receiver, data: bytes) -> None:
    receiver.write(data)
    receiver.commit()


def a_shelf(root: Path, budget: int | None = None) -> Shelf:
    return Shelf.open(root, budget=budget, clock=Clock())


def blobs(root: Path) -> dict[str, Path]:
    return {path.name.partition("-")[0]: path for path in root.glob("???/*")}


def test_receive__commit__is_there_under_its_hash(tmp_path: Path) -> None:
    shelf = a_shelf(tmp_path)
    with shelf.receive(sha256(b"spam")) as receiver:
        receiver.write(b"sp")
        assert receiver.path.read_bytes() == b"sp"
        receiver.write(b"am")
        assert shelf.path(sha256(b"spam")) is None
        placed = receiver.commit()

    assert placed == shelf.path(sha256(b"spam"))
    assert placed.read_bytes() == b"spam"
    assert shelf.stats() == ShelfStats(files=1, size=4, budget=None, evicted=0)
    assert list((tmp_path / "parts").iterdir()) == []


def test_receive__no_commit__leaves_nothing(tmp_path: Path) -> None:
    shelf = a_shelf(tmp_path)
    with shelf.receive(sha256(b"spam"), 4) as receiver:
        receiver.write(b"spam")

    assert shelf.path(sha256(b"spam")) is None
    assert list((tmp_path / "parts").iterdir()) == []


@pytest.mark.parametrize(("data", "size"), [(b"spat", 4), (b"spa", 4), (b"spam!", 4), (b"spat", None), (b"", None)])
def test_receive__other_bytes__are_refused_and_not_kept(tmp_path: Path, data: bytes, size: int | None) -> None:
    shelf = a_shelf(tmp_path)
    with shelf.receive(sha256(b"spam"), size) as receiver, pytest.raises(WrongBytesError):
        write_all(receiver, data)

    assert shelf.path(sha256(b"spam")) is None
    assert shelf.stats().files == 0
    assert list((tmp_path / "parts").iterdir()) == []


def test_receive__same_bytes_twice_at_once__are_kept_once(tmp_path: Path) -> None:
    shelf = a_shelf(tmp_path)
    with shelf.receive(sha256(b"spam")) as one, shelf.receive(sha256(b"spam")) as other:
        one.write(b"spam")
        other.write(b"spam")
        assert one.commit() == other.commit()

    assert shelf.stats() == ShelfStats(files=1, size=4, budget=None, evicted=0)


def test_adopt__same_disk__links(tmp_path: Path) -> None:
    shelf = a_shelf(tmp_path / "shelf")
    (tmp_path / "spam").write_bytes(b"spam")
    placed = shelf.adopt(tmp_path / "spam", sha256(b"spam"))
    assert placed.samefile(tmp_path / "spam")
    assert shelf.path(sha256(b"spam")) == placed


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="needs a second file system")  # noqa: S108 - to copy from
def test_adopt__other_disk__copies(tmp_path: Path) -> None:
    shelf = a_shelf(tmp_path / "shelf")
    with tempfile.NamedTemporaryFile(dir="/dev/shm") as source:
        source.write(b"spam")
        source.flush()
        placed = shelf.adopt(Path(source.name), sha256(b"spam"))
    assert placed.read_bytes() == b"spam"
    assert shelf.stats().files == 1


def test_path__file_cut_short__is_never_handed_out(tmp_path: Path) -> None:
    shelf = a_shelf(tmp_path)
    put(shelf, b"spam")
    blobs(tmp_path)[sha256(b"spam")].write_bytes(b"sp")

    assert shelf.path(sha256(b"spam")) is None
    put(shelf, b"spam")
    found = shelf.path(sha256(b"spam"))
    assert found is not None
    assert found.read_bytes() == b"spam"


def test_path__hits_within_a_minute__touch_once(tmp_path: Path) -> None:
    now = [1_800_000_000.0]
    shelf = Shelf.open(tmp_path, budget=None, clock=lambda: now[0])
    put(shelf, b"spam")
    path = blobs(tmp_path)[sha256(b"spam")]
    for seconds, noted in ((30, 0), (59, 0), (61, 61), (100, 61)):
        now[0] = 1_800_000_000.0 + seconds
        shelf.path(sha256(b"spam"))
        assert path.stat().st_atime == 1_800_000_000.0 + noted


def test_evict__full__the_least_recently_used_goes(tmp_path: Path) -> None:
    shelf = a_shelf(tmp_path, budget=250)
    old, used = put(shelf, b"a" * 100), put(shelf, b"b" * 100)
    shelf.path(old)
    assert shelf.has(used)  # which is not a use
    new = put(shelf, b"c" * 100)

    assert shelf.path(used) is None
    assert shelf.path(old)
    assert shelf.path(new)
    assert shelf.stats() == ShelfStats(files=2, size=200, budget=250, evicted=1)


def test_evict__file_being_read__is_read_to_its_end(tmp_path: Path) -> None:
    shelf = a_shelf(tmp_path, budget=250)
    path = shelf.path(put(shelf, b"a" * 200))
    assert path is not None
    with path.open("rb") as file:
        put(shelf, b"b" * 200)
        assert not path.exists()
        assert file.read() == b"a" * 200


def test_keep__full__spares_it_and_then_refuses(tmp_path: Path) -> None:
    shelf = a_shelf(tmp_path, budget=250)
    shelf.keep(sha256(b"a" * 100), "a-1.0.tar.gz")  # before it comes
    kept, loose = put(shelf, b"a" * 100), put(shelf, b"b" * 100)
    put(shelf, b"c" * 150)
    assert shelf.path(kept)
    assert shelf.path(loose) is None

    with pytest.raises(ShelfFullError, match="no room for 200 bytes"):
        put(shelf, b"d" * 200)
    assert shelf.stats().size == 250  # and nothing went for it
    shelf.release(kept)
    put(shelf, b"d" * 200)
    assert shelf.path(kept) is None


def test_kept__says_what_and_whether_it_is_there(tmp_path: Path) -> None:
    shelf = a_shelf(tmp_path)
    shelf.keep(put(shelf, b"spam"), "spam-1.0.tar.gz")
    shelf.keep(sha256(b"ham"), "ham-1.0.tar.gz")
    assert sorted(shelf.kept(), key=lambda kept: kept.name) == [
        Kept(sha256=sha256(b"ham"), name="ham-1.0.tar.gz", size=None),
        Kept(sha256=sha256(b"spam"), name="spam-1.0.tar.gz", size=4),
    ]


def test_remove__kept__goes_all_the_same(tmp_path: Path) -> None:
    shelf = a_shelf(tmp_path)
    shelf.keep(put(shelf, b"spam"), "spam-1.0.tar.gz")
    assert shelf.remove(sha256(b"spam"))
    assert not shelf.remove(sha256(b"spam"))
    assert list(shelf.kept()) == []
    assert shelf.stats().size == 0


def test_receive__larger_than_the_budget__is_refused_before_a_byte(tmp_path: Path) -> None:
    shelf = a_shelf(tmp_path, budget=250)
    small = put(shelf, b"spam")
    with pytest.raises(ShelfFullError), shelf.receive(sha256(b"x"), 251):
        pytest.fail("there is no use in receiving it")
    with pytest.raises(ShelfFullError):
        put(Shelf(root=tmp_path, budget=250), b"x" * 251)
    assert shelf.path(small)


def test_open__smaller_budget__is_kept_to_at_once(tmp_path: Path) -> None:
    shelf = a_shelf(tmp_path)
    for letter in b"abcd":
        put(shelf, bytes([letter]) * 100)
    shelf.keep(sha256(b"a" * 100), "a")

    assert a_shelf(tmp_path, budget=250).stats().size == 200
    assert set(blobs(tmp_path)) == {sha256(b"a" * 100), sha256(b"d" * 100)}
    assert a_shelf(tmp_path, budget=50).stats().size == 100  # what is kept stays


def test_open__account_lost_or_wrong__counts_anew(tmp_path: Path) -> None:
    put(a_shelf(tmp_path), b"spam")
    for text in ("", "nonsense", "[9,9000,1]", "null"):
        (tmp_path / "account").write_text(text)
        stats = a_shelf(tmp_path).stats()
        assert (stats.files, stats.size) == (1, 4)


def test_open__leftovers_of_others__go_and_those_at_work_stay(tmp_path: Path) -> None:
    shelf = a_shelf(tmp_path)
    (tmp_path / "parts" / "left").write_bytes(b"half")
    with shelf.receive(sha256(b"spam")) as receiver:
        receiver.write(b"spam")
        a_shelf(tmp_path)
        assert list((tmp_path / "parts").iterdir()) == [receiver.path]
        receiver.commit()
    assert shelf.path(sha256(b"spam"))


_SEEDS = st.lists(
    st.tuples(st.sampled_from(["put", "use", "keep", "release", "remove", "open"]), st.integers(0, 15)), max_size=40
)


@settings(max_examples=60, deadline=None)
@given(_SEEDS, st.integers(20, 120))
def test_budget__whatever_is_done__holds_and_the_count_is_true(steps: list[tuple[str, int]], budget: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        root, clock = Path(name), Clock()
        shelf = Shelf.open(root, budget=budget, clock=clock)
        datas = [bytes([number]) * (number * 2 + 1) for number in range(16)]
        kept: set[int] = set()
        there: dict[int, None] = {}  # the least recently used first
        for step, number in steps:
            digest, size = sha256(datas[number]), len(datas[number])
            if step == "put":
                loose = sum(len(datas[other]) for other in there if other not in kept)
                total = sum(len(datas[other]) for other in there)
                impossible = number not in there and total - loose + size > budget
                try:
                    put(shelf, datas[number])
                except ShelfFullError:
                    assert impossible or size > budget
                else:
                    assert not impossible
                    there = {other: None for other in there if other != number and shelf._find(sha256(datas[other]))}
                    there[number] = None
            elif step == "use":
                assert (shelf.path(digest) is not None) == (number in there)
                if number in there:
                    del there[number]
                    there[number] = None
            elif step == "keep":
                kept.add(number)
                shelf.keep(digest, str(number))
            elif step == "release":
                kept.discard(number)
                shelf.release(digest)
            elif step == "remove":
                assert shelf.remove(digest) == (number in there)
                kept.discard(number)
                there.pop(number, None)
            else:
                shelf = Shelf.open(root, budget=budget, clock=clock)

            found = blobs(root)
            assert set(found) == {sha256(datas[other]) for other in there}
            stats = shelf.stats()
            assert stats.size == sum(path.stat().st_size for path in found.values()) <= budget
            assert stats.files == len(found)
            assert {int(entry.name) for entry in shelf.kept()} == kept


def test_evict__order_of_use__decides_who_stays(tmp_path: Path) -> None:
    shelf = a_shelf(tmp_path, budget=1000)
    names = [put(shelf, bytes([number]) * 100) for number in range(10)]
    order = [3, 8, 0, 9, 5, 1, 7, 2, 6, 4]
    for number in order:
        shelf.path(names[number])
    put(shelf, b"x" * 500)
    stayed = {number for number in range(10) if names[number] in blobs(tmp_path)}
    assert stayed == set(order[-len(stayed) :])
    assert 4 <= len(stayed) <= 5


def test_shelf__many_threads_and_two_openings__keep_the_budget(tmp_path: Path) -> None:
    shelves = [Shelf.open(tmp_path, budget=5000) for _ in range(2)]

    def work(number: int) -> int:
        put(shelves[number % 2], number.to_bytes(4, "big") * 100)
        return shelves[0].stats().size

    with ThreadPoolExecutor(8) as pool:
        sizes = list(pool.map(work, range(120)))

    assert max(sizes) <= 5000
    found = blobs(tmp_path).values()
    assert shelves[0].stats().size == sum(path.stat().st_size for path in found)
    assert all(sha256(path.read_bytes()) == path.name.partition("-")[0] for path in found)


_WRITER = """
import hashlib, itertools, os, sys
from pathlib import Path
from wheelhouse.index.stores.shelf import Shelf
shelf = Shelf.open(Path(sys.argv[1]), budget=2_000_000)
print("at work", flush=True)
for number in itertools.count():
    data = os.urandom(50_000)
    with shelf.receive(hashlib.sha256(data).hexdigest(), len(data)) as receiver:
        receiver.write(data[:25_000])
        receiver.write(data[25_000:])
        receiver.commit()
"""


def test_receive__writer_killed__leaves_whole_files_and_no_parts(tmp_path: Path) -> None:
    for seconds in (0.05, 0.08, 0.11, 0.17, 0.2):
        with subprocess.Popen([sys.executable, "-c", _WRITER, str(tmp_path)], stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            time.sleep(seconds)
            writer.send_signal(signal.SIGKILL)

        shelf = Shelf.open(tmp_path, budget=2_000_000)

        assert list((tmp_path / "parts").iterdir()) == []
        found = blobs(tmp_path)
        assert found
        assert all(hashlib.sha256(path.read_bytes()).hexdigest() == digest for digest, path in found.items())
        assert shelf.stats().size == len(found) * 50_000 <= 2_000_000
