"""Files by their sha256 under a budget of bytes: what a mirror has fetched, the least recently used gone first.

    abc/abc1…-4096   a file: its hash and its size. One of another size was cut short, and is never handed out
    kept/abc1…       that file is spared, whether it is there already or not; inside, what it is kept as
    parts/           files on their way; the lock on each tells that somebody is at work on it
    account          how many files and bytes there are, and were evicted: also the lock of every change

Nothing is flushed to the disk: this is a cache, and a power cut costs another fetch. Files get their names by one
rename, so a killed process leaves a part at most, which the next to open the shelf removes. Any number of processes may
share it. A file may be evicted while it is sent: whoever has it open goes on reading.

Where the disk fails, all methods raise OSError.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import secrets
import shutil
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wheelhouse.errors import ShelfFullError
from wheelhouse.index.model import Sha256
from wheelhouse.index.stores.shelf_account import KEPT, PREFIX, Account, read_count

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import BinaryIO

#: A hit is written down so often at most, in seconds: a file's time of access is the only note of its use.
_NOTED_AFTER = 60.0
#: Another file system; one without links; too many links.
_NO_LINKS = {errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK}


class WrongBytesError(Exception):
    """What was received is not what was asked for; nothing of it is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShelfStats:
    """What is on a shelf."""

    files: int
    size: int
    """Bytes."""
    budget: int | None
    """Bytes; None: as many as the disk has."""
    evicted: int
    """Files, since the shelf was made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A file that is spared."""

    sha256: Sha256
    name: str
    """What it is kept as."""
    size: int | None
    """Bytes; None: it is not there yet."""


class Receiver:
    """Takes a file's bytes as they come, and puts them on the shelf if they are the right ones."""

    def __init__(self, shelf: Shelf, file: BinaryIO, path: Path, sha256: Sha256, size: int | None) -> None:
        self._shelf = shelf
        self._file = file
        self._sha256 = sha256
        self._expected = size
        self._digest = hashlib.sha256()
        self.path = path
        """The growing file. Others may read along; what they read is verified only with `commit`."""
        self.size = 0
        """Bytes so far, all of them to be read from `path`."""

    def write(self, chunk: bytes) -> None:
        """Take some bytes. Raises WrongBytesError as soon as there are too many."""
        if self._expected is not None and self.size + len(chunk) > self._expected:
            raise WrongBytesError(f"more than the {self._expected} bytes that it should have")
        self._file.write(chunk)
        self._file.flush()
        self._digest.update(chunk)
        self.size += len(chunk)

    def commit(self) -> Path:
        """Put the file on the shelf and return where it is now. Raises WrongBytesError, ShelfFullError."""
        if self._expected is not None and self.size != self._expected:
            raise WrongBytesError(f"{self.size} bytes, where it should have {self._expected}")
        actual = self._digest.hexdigest()
        if actual != self._sha256:
            raise WrongBytesError(f"its sha256 is {actual}, and should be {self._sha256}")
        return self._shelf._place(self._sha256, self.size, self.path.rename)  # noqa: SLF001 - two halves of one thing


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """A folder of files by sha256."""

    root: Path
    budget: int | None
    """Bytes; None: no bound."""
    clock: Callable[[], float] = time.time

    @classmethod
    def open(cls, root: Path, *, budget: int | None, clock: Callable[[], float] = time.time) -> Shelf:
        """Open a shelf, make it where there is none, remove what was left half-written, and count what there is.

        A budget that is smaller than before is kept to at once.
        """
        shelf = cls(root=root, budget=budget, clock=clock)
        for folder in (shelf._parts, shelf._kept):
            folder.mkdir(parents=True, exist_ok=True)
        shelf._sweep()
        with Account.held(root) as account:
            account.recount()
            if budget is not None:
                account.shrink(budget)
        return shelf

    def path(self, sha256: Sha256) -> Path | None:
        """Return where a file is, and count that as a use of it; None: it is not here, or was cut short."""
        found = self._find(sha256)
        if found is None:
            return None
        path, stat = found
        now = self.clock()
        if now - stat.st_atime > _NOTED_AFTER:
            with suppress(OSError):  # evicted this moment, or a disk that can only be read
                os.utime(path, (now, stat.st_mtime))
        return path

    def has(self, sha256: Sha256) -> bool:
        """Say whether a file is here. Not a use of it."""
        return self._find(sha256) is not None

    def adopt(self, source: Path, sha256: Sha256) -> Path:
        """Put a file on the shelf that is somewhere else, by a link where that can be; return where it is now.

        That its bytes are this sha256 is the caller's word; they must not change any more. Raises ShelfFullError.
        """
        size = source.stat().st_size
        try:
            return self._place(sha256, size, lambda target: target.hardlink_to(source))
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
        with self._part() as (part, copy), source.open("rb") as file:
            shutil.copyfileobj(file, copy)
            copy.flush()
            return self._place(sha256, copy.tell(), part.rename)

    @contextmanager
    def receive(self, sha256: Sha256, size: int | None = None) -> Iterator[Receiver]:
        """Receive a file of this hash and, where that is known, size. What is not committed is gone at the end.

        Raises ShelfFullError at once where it could never be kept.
        """
        if size is not None and self.budget is not None and size > self.budget:
            raise self._full(size)
        with self._part() as (path, file):
            yield Receiver(self, file, path, sha256, size)

    def keep(self, sha256: Sha256, name: str) -> None:
        """Spare a file from eviction, now or once it comes; `name` says what it is kept as."""
        with self._part() as (part, file):
            file.write(name.encode())
            file.flush()
            part.replace(self._kept / sha256)

    def release(self, sha256: Sha256) -> None:
        """Spare a file no longer: it goes when its room is needed."""
        (self._kept / sha256).unlink(missing_ok=True)

    def kept(self) -> Iterator[Kept]:
        """Yield what is spared, in no order."""
        for path in self._kept.iterdir():
            with suppress(FileNotFoundError):  # released in between
                found = self._find(Sha256(path.name))
                size = found[1].st_size if found else None
                yield Kept(sha256=Sha256(path.name), name=path.read_text("utf-8"), size=size)

    def remove(self, sha256: Sha256) -> bool:
        """Remove a file, spared or not; say whether it was there."""
        self.release(sha256)
        with Account.held(self.root) as account:
            found = self._find(sha256)
            if found is None:
                return False
            found[0].unlink()
            account.add(files=-1, size=-found[1].st_size)
        return True

    def stats(self) -> ShelfStats:
        """Say what is on the shelf. Costs the reading of one small file."""
        count = read_count(self.root)
        return ShelfStats(files=count.files, size=count.size, budget=self.budget, evicted=count.evicted)

    @property
    def _parts(self) -> Path:
        return self.root / "parts"

    @property
    def _kept(self) -> Path:
        return self.root / KEPT

    def _find(self, sha256: Sha256) -> tuple[Path, os.stat_result] | None:
        """Return a file that is whole; what is not is removed."""
        folder = self.root / sha256[:PREFIX]
        try:
            names = os.listdir(folder)  # noqa: PTH208 - half the cost of iterdir, and this is on the way of each file
        except FileNotFoundError:
            return None
        for name in names:
            if name.startswith(sha256):
                path = folder / name
                with suppress(FileNotFoundError):
                    stat = path.stat()
                    if str(stat.st_size) == name[len(sha256) + 1 :]:
                        return path, stat
                    path.unlink()
        return None

    @contextmanager
    def _part(self) -> Iterator[tuple[Path, BinaryIO]]:
        """Open a new file on the shelf's own disk; gone at the end unless it was renamed."""
        path, file = self._new_part()
        try:
            with file:
                yield path, file
        finally:
            path.unlink(missing_ok=True)

    def _new_part(self) -> tuple[Path, BinaryIO]:
        while True:
            path = self._parts / secrets.token_hex(16)
            file = path.open("xb")
            fcntl.flock(file, fcntl.LOCK_EX)
            if os.fstat(file.fileno()).st_nlink:  # else a sweeping neighbour was faster than our lock
                return path, file
            file.close()

    def _place(self, sha256: Sha256, size: int, put: Callable[[Path], object]) -> Path:
        """Make room for a file, and give it its name."""
        target = self.root / sha256[:PREFIX] / f"{sha256}-{size}"
        with Account.held(self.root) as account:
            now = self.clock()
            found = self._find(sha256)
            if found is not None:
                os.utime(found[0], (now, found[1].st_mtime))
                return found[0]
            fits = self.budget is None or account.count.size + size <= self.budget
            if not fits and not account.make_room(size, self.budget or 0):
                raise self._full(size)
            target.parent.mkdir(exist_ok=True)
            account.add(files=1, size=size)
            try:
                put(target)
            except OSError:
                account.add(files=-1, size=-size)
                raise
            os.utime(target, (now, target.stat().st_mtime))
        return target

    def _full(self, size: int) -> ShelfFullError:
        return ShelfFullError(
            f"no room for {size:,} bytes: the budget is {self.budget:,}, and what is kept on purpose is not evicted",
            where=str(self.root),
            hint="raise the budget of the mirror, or let go of something with `wheelhouse mirror drop`",
        )

    def _sweep(self) -> None:
        for path in self._parts.iterdir():
            with suppress(FileNotFoundError, BlockingIOError), path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
