"""The spool's table of contents: SQLite in WAL mode, one transaction a change.

A durable transaction is on the disk when it ends (synchronous=FULL). One that may be lost in a power cut without harm,
a lease say, spares itself the wait; it is never lost to `kill -9`, and never before an older one.
"""

from __future__ import annotations

import sqlite3
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from wheelhouse.errors import SpoolError, SpoolFullError
from wheelhouse.spool.disk import sync_folder
from wheelhouse.spool.owner import alone

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FORMAT = 1
_FILE = "journal.sqlite3"
_BUSY_SECONDS = 60.0
_SCHEMA = f"""\
CREATE TABLE IF NOT EXISTS item (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    sha256 TEXT NOT NULL,
    size INTEGER NOT NULL,
    target TEXT NOT NULL,
    name TEXT NOT NULL,
    order_key TEXT NOT NULL,
    fields TEXT NOT NULL,
    accepted REAL NOT NULL,
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    not_before REAL NOT NULL DEFAULT 0,
    outage INTEGER NOT NULL DEFAULT 0,
    verdict TEXT,
    owner TEXT,
    leased_until REAL,
    UNIQUE (sha256, target, name)
);
CREATE INDEX IF NOT EXISTS item_order ON item (state, target, order_key, id);
PRAGMA user_version = {FORMAT};
"""


class Journal:
    """Safe for several threads over one Journal, and for several processes with one each."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / _FILE
        self._lock = threading.Lock()
        try:
            with alone(folder):  # SQLite does not wait when two switch a new file to WAL mode at once
                self._connection = sqlite3.connect(
                    self._path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
                )
                self._connection.row_factory = sqlite3.Row
                try:
                    self._prepare()
                except BaseException:
                    self._connection.close()
                    raise
                sync_folder(folder)
        except sqlite3.Error as error:
            raise self._problem(error) from error

    @contextmanager
    def transaction(self, *, durable: bool) -> Iterator[sqlite3.Connection]:
        """Keep all others out, and end with all that was done or with nothing of it.

        Raises SpoolError; SpoolFullError where the disk has no room.
        """
        with self._lock:
            try:
                self._connection.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
                self._connection.execute("BEGIN IMMEDIATE")
                try:
                    yield self._connection
                    self._connection.execute("COMMIT")
                finally:
                    if self._connection.in_transaction:
                        self._connection.execute("ROLLBACK")
            except sqlite3.Error as error:
                raise self._problem(error) from error

    def changes(self) -> int:
        """Return a number that is another one once somebody else has changed something; our own changes leave it."""
        with self._lock:
            try:
                return int(self._connection.execute("PRAGMA data_version").fetchone()[0])
            except sqlite3.Error as error:
                raise self._problem(error) from error

    def faults(self) -> tuple[str, ...]:
        """Return what SQLite finds wrong with the file; nothing: it is sound."""
        with self._lock:
            try:
                said = [str(row[0]) for row in self._connection.execute("PRAGMA integrity_check")]
            except sqlite3.Error as error:
                said = [str(error)]
        return tuple(line for line in said if line != "ok")

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._connection.close()

    def _prepare(self) -> None:
        (found,) = self._connection.execute("PRAGMA user_version").fetchone()
        if found > FORMAT:
            raise SpoolError(
                f"this spool has format {found}, which is newer than {FORMAT}, the newest known here",
                where=str(self._path),
                hint="a newer wheelhouse wrote it: use that one",
            )
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.executescript(_SCHEMA)

    def _problem(self, error: sqlite3.Error) -> SpoolError:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL:
            return SpoolFullError("the disk has no room for the spool's journal", where=str(self._path))
        return SpoolError(
            f"the spool's journal cannot be used: {error}",
            where=str(self._path),
            hint="the files are in `files/` beside it; `wheelhouse spool fsck` says more",
        )
