"""A durable outbox: what `accept` returned is kept until `done`, through crashes and power cuts, and in order.

At least once: after a crash between a delivery and its `done` the item is handed out again, so deliveries have to bear
repetition; that bytes are named by their sha256 makes it easy.
"""

from __future__ import annotations

import errno
import json
import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, BinaryIO, Self, TypeAlias

from wheelhouse.errors import SpoolError, SpoolFullError
from wheelhouse.spool.backoff import Backoff
from wheelhouse.spool.disk import sync_folder
from wheelhouse.spool.files import Files
from wheelhouse.spool.item import Item, State, Stats
from wheelhouse.spool.journal import Journal
from wheelhouse.spool.leases import due, free_leases
from wheelhouse.spool.owner import Owner

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path
    from types import TracebackType

    from wheelhouse.spool.files import Arrived

    Row: TypeAlias = sqlite3.Row

LIMIT = 10_000_000_000
LEASE_SECONDS = 3600.0
#: What was set aside, or is delivered and about to be swept, waits again; what waits keeps its place and its patience.
_ACCEPT = """\
INSERT INTO item (sha256, size, target, name, order_key, fields, accepted, verdict, state)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'waiting')
ON CONFLICT (sha256, target, name) DO UPDATE SET
    fields = excluded.fields,
    verdict = excluded.verdict,
    attempts = iif(state = 'waiting', attempts, 0),
    not_before = iif(state = 'waiting', not_before, 0),
    state = 'waiting'
RETURNING id
"""
_HINT_FULL = (
    "deliver with `wheelhouse spool retry`, look at what was refused with `wheelhouse spool list`, or allow more"
)


class Spool:
    """One open spool. Safe for threads; other processes may have the same folder open. Not to be kept over a fork."""

    def __init__(
        self,
        folder: Path,
        *,
        limit_bytes: int = LIMIT,
        backoff: Backoff | None = None,
        lease_seconds: float = LEASE_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Open the spool in a folder, and make it where there is none. Raises SpoolError."""
        self.folder = folder.absolute()
        self.limit_bytes = limit_bytes
        self._backoff = backoff or Backoff()
        self._lease_seconds = lease_seconds
        self._clock = clock
        _make(self.folder)
        self.owner = Owner(self.folder / "owners")
        self.files = Files(self.folder, owner=self.owner.name)
        try:
            self.journal = Journal(self.folder)
        except BaseException:
            self.owner.close()
            raise
        self.tidy()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go. What was leased and is neither done nor put back may be taken by others at once."""
        self.journal.close()
        self.owner.close()

    def accept(
        self,
        source: Path | BinaryIO,
        *,
        target: str,
        name: str,
        order_key: str,
        fields: Mapping[str, str] | None = None,
        verdict: str | None = None,
        sha256: str | None = None,
    ) -> Item:
        """Take bytes for a target. When this returns, they are on the disk, and so is the promise.

        A file is linked where that is possible: from then on it must be replaced, not written to. The same bytes for
        the same target and name are one item; where they were set aside they wait again. Raises SpoolFullError where
        there is no room, and SpoolError where the bytes are not those of `sha256`: then nothing was accepted.
        `verdict` says why it could not be delivered at once.
        """
        with self._room():
            arrived = self.files.receive(source, check=self._check_size)
        try:
            if sha256 is not None and sha256 != arrived.sha256:
                raise SpoolError(f"{name} has changed: expected sha256 {sha256}, found {arrived.sha256}")
            with self._room(), self.journal.transaction(durable=True) as connection:
                self._check_total(connection, arrived)
                self.files.place(arrived)
                (identifier,) = connection.execute(
                    _ACCEPT,
                    (
                        arrived.sha256,
                        arrived.size,
                        target,
                        name,
                        order_key,
                        json.dumps(dict(fields or {})),
                        self._clock(),
                        verdict,
                    ),
                ).fetchone()
                return self._item(_row(connection, identifier))
        finally:
            self.files.drop(arrived)

    def lease(self, *, target: str | None = None) -> Item | None:
        """Return the oldest item that may be delivered now, and keep it from everyone else; None: there is none."""
        return next(iter(self.lease_many(most=1, target=target)), None)

    def lease_many(self, *, most: int, target: str | None = None, most_bytes: int | None = None) -> list[Item]:
        """Return the oldest items that may be delivered now, and keep them from everyone else.

        Of a target and order key they are the first that wait, all in order, and have to be delivered so, or together;
        nobody else is handed any of these until that is settled. Of more than `most_bytes` there is one at least.
        """
        now = self._clock()
        with self.journal.transaction(durable=False) as connection:
            free_leases(connection, now, self.owner)
            chosen = due(connection, now, target=target, most=most, most_bytes=most_bytes)
            until = now + self._lease_seconds
            connection.executemany(
                "UPDATE item SET owner = ?, leased_until = ? WHERE id = ?",
                [(self.owner.name, until, row["id"]) for row in chosen],
            )
            return [replace(self._item(row), leased_until=until) for row in chosen]

    def done(self, *items: Item) -> None:
        """Say that items were delivered. Their target is up, so what waits for the end of an outage is due now."""
        with self.journal.transaction(durable=True) as connection:
            for item in items:
                connection.execute("UPDATE item SET state = 'done', owner = NULL WHERE id = ?", (item.id,))
            for target in {item.target for item in items}:
                connection.execute(
                    "UPDATE item SET not_before = 0, outage = 0 WHERE target = ? AND outage = 1", (target,)
                )
        self.sweep()

    def retry_later(self, item: Item, verdict: str, *, outage: bool, wait: float = 0.0) -> float:
        """Put an item back after a failure that may pass; return the time of its next try.

        `outage`: the target as a whole is down, which the next success of any item ends. `wait` is what the target
        asked for, in seconds. Of no effect where the lease has passed to somebody else.
        """
        attempts = item.attempts + 1
        not_before = self._clock() + max(wait, self._backoff.seconds(attempts))
        with self.journal.transaction(durable=False) as connection:
            connection.execute(
                "UPDATE item SET attempts = ?, not_before = ?, outage = ?, verdict = ?, owner = NULL,"
                " leased_until = NULL WHERE id = ? AND owner = ? AND state = 'waiting'",
                (attempts, not_before, outage, verdict, item.id, self.owner.name),
            )
        return not_before

    def set_aside(self, item: Item, verdict: str) -> None:
        """Stop trying an item that was refused for good; those behind it go on."""
        with self.journal.transaction(durable=True) as connection:
            connection.execute(
                "UPDATE item SET state = 'set-aside', attempts = attempts + 1, verdict = ?, owner = NULL,"
                " leased_until = NULL WHERE id = ? AND state = 'waiting'",
                (verdict, item.id),
            )

    def hurry(self, target: str) -> None:
        """Make all that waits for a target due now."""
        with self.journal.transaction(durable=False) as connection:
            connection.execute("UPDATE item SET not_before = 0 WHERE target = ? AND state = 'waiting'", (target,))

    def revive(self, identifier: int) -> Item:
        """Let an item wait again that was set aside, and make it due now. Raises SpoolError where there is none."""
        with self.journal.transaction(durable=True) as connection:
            _row(connection, identifier)
            connection.execute("UPDATE item SET state = 'waiting', not_before = 0 WHERE id = ?", (identifier,))
            return self._item(_row(connection, identifier))

    def forget(self, identifier: int) -> Item:
        """Take an item out without delivering it. Raises SpoolError where there is none, or where it is being sent."""
        with self.journal.transaction(durable=True) as connection:
            free_leases(connection, self._clock(), self.owner)
            row = _row(connection, identifier)
            if row["owner"] is not None:
                raise SpoolError(f"item {identifier} is being delivered", hint="wait for that to end")
            connection.execute("UPDATE item SET state = 'done' WHERE id = ?", (identifier,))
            item = self._item(row)
        self.sweep()
        return item

    def item(self, identifier: int) -> Item:
        """Return an item. Raises SpoolError where there is none."""
        with self.journal.transaction(durable=False) as connection:
            return self._item(_row(connection, identifier))

    def items(self, *, target: str | None = None, order_key: str | None = None) -> list[Item]:
        """Return all that was promised and not delivered, oldest first; of one target or order key if asked."""
        with self.journal.transaction(durable=False) as connection:
            free_leases(connection, self._clock(), self.owner)
            rows = connection.execute(
                "SELECT * FROM item WHERE state != 'done' AND (:target IS NULL OR target = :target)"
                " AND (:order_key IS NULL OR order_key = :order_key) ORDER BY id",
                {"target": target, "order_key": order_key},
            ).fetchall()
        return [self._item(row) for row in rows]

    def count(self, target: str) -> int:
        """Return how many items wait for a target."""
        with self.journal.transaction(durable=False) as connection:
            (waiting,) = connection.execute(
                "SELECT count(*) FROM item WHERE state = 'waiting' AND target = ?", (target,)
            ).fetchone()
        return int(waiting)

    def stats(self) -> Stats:
        """Count what is there."""
        with self.journal.transaction(durable=False) as connection:
            free_leases(connection, self._clock(), self.owner)
            waiting, leased, aside, oldest = connection.execute(
                "SELECT coalesce(sum(state = 'waiting'), 0), coalesce(sum(owner IS NOT NULL), 0),"
                " coalesce(sum(state = 'set-aside'), 0), min(iif(state = 'waiting', accepted, NULL)) FROM item"
                " WHERE state != 'done'"
            ).fetchone()
            size = _total(connection)
        return Stats(waiting=waiting, leased=leased, aside=aside, size=size, limit=self.limit_bytes, oldest=oldest)

    @contextmanager
    def scratch(self) -> Iterator[BinaryIO]:
        """Open a new file, from where `accept` links; gone when the context ends, or at the next start after a crash.

        Raises SpoolFullError.
        """
        with self._room(), self.files.scratch() as file:
            yield file

    def sweep(self) -> None:
        """Remove the bytes and rows of what was delivered.

        The row goes last: after a crash in between, the next sweep finds it again.
        """
        with self.journal.transaction(durable=False) as connection:
            done = connection.execute("SELECT id, sha256 FROM item WHERE state = 'done'").fetchall()
            for row in done:
                if not connection.execute(
                    "SELECT 1 FROM item WHERE sha256 = ? AND state != 'done'", (row["sha256"],)
                ).fetchone():
                    self.files.remove(row["sha256"])
                connection.execute("DELETE FROM item WHERE id = ?", (row["id"],))

    def tidy(self) -> None:
        """Remove what processes that are no more had begun to receive. They had not accepted it."""
        dead = self.owner.dead()
        if dead:
            self.remove_orphans()
        for owner in dead:
            self.files.sweep(owner)
            self.owner.bury(owner)
        self.sweep()

    def remove_orphans(self) -> tuple[str, ...]:
        """Remove files of no item, and return their names: whoever brought them ended before it promised anything.

        Files get their names inside a transaction, so in one of ours none is under way.
        """
        with self.journal.transaction(durable=False) as connection:
            return self.files.keep_only({row[0] for row in connection.execute("SELECT sha256 FROM item")})

    @contextmanager
    def _room(self) -> Iterator[None]:
        """Say of a full disk what it means here."""
        try:
            yield
        except OSError as error:
            if error.errno in {errno.ENOSPC, errno.EDQUOT}:
                raise SpoolFullError("the disk has no room", where=str(self.folder), hint=_HINT_FULL) from error
            raise

    def _check_size(self, size: int) -> None:
        """Refuse early what cannot fit, before its bytes have filled the disk."""
        if size > self.limit_bytes:
            self._refuse(size, 0)

    def _check_total(self, connection: sqlite3.Connection, arrived: Arrived) -> None:
        there = _total(connection)
        known = connection.execute("SELECT 1 FROM item WHERE sha256 = ?", (arrived.sha256,)).fetchone()
        if known is None and there + arrived.size > self.limit_bytes:
            self._refuse(arrived.size, there)

    def _refuse(self, size: int, there: int) -> None:
        raise SpoolFullError(
            f"no room for {size:,} bytes: {there:,} of {self.limit_bytes:,} are taken",
            where=str(self.folder),
            hint=_HINT_FULL,
        )

    def _item(self, row: Row) -> Item:
        return Item(
            id=row["id"],
            sha256=row["sha256"],
            size=row["size"],
            path=self.files.path(row["sha256"]),
            target=row["target"],
            name=row["name"],
            order_key=row["order_key"],
            fields=json.loads(row["fields"]),
            accepted=row["accepted"],
            state=State(row["state"]),
            attempts=row["attempts"],
            not_before=row["not_before"],
            verdict=row["verdict"],
            leased_until=row["leased_until"],
        )


def _row(connection: sqlite3.Connection, identifier: int) -> Row:
    row: Row | None = connection.execute(
        "SELECT * FROM item WHERE id = ? AND state != 'done'", (identifier,)
    ).fetchone()
    if row is None:
        raise SpoolError(f"there is no item {identifier}", hint="`wheelhouse spool list` shows what there is")
    return row


def _total(connection: sqlite3.Connection) -> int:
    (size,) = connection.execute(
        "SELECT coalesce(sum(size), 0) FROM (SELECT DISTINCT sha256, size FROM item)"
    ).fetchone()
    return int(size)


def _make(folder: Path) -> None:
    """Make the folders, and bring their names to the disk: all the way up to what was there before.

    Raises SpoolError.
    """
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        (folder / "owners").mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise SpoolError("a file stands where the spool's folder should be", where=str(folder)) from error
    for path in (folder, *missing):
        sync_folder(path)
        sync_folder(path.parent)
