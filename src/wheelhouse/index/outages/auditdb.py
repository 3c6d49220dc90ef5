"""An upload's audit event in; a document of a MongoDB's collection out, sooner or later, and once.

The event goes to the spool and from there to the database, so an upload never waits for that. A document's id is made
of the file's hash and name: what is delivered twice is there once.
"""

from __future__ import annotations

import io
import logging
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import orjson

from wheelhouse.errors import MachineError, SpoolError
from wheelhouse.index.access.audit import AuditAction, AuditOutcome
from wheelhouse.index.outages.replay import Replay
from wheelhouse.index.stores.guarded import Outage
from wheelhouse.spool import Backoff

if TYPE_CHECKING:
    from pymongo.collection import Collection

    from wheelhouse.index.access.audit import AuditEvent
    from wheelhouse.index.settings import AuditDatabaseSettings
    from wheelhouse.spool import Item, Spool

LOG = logging.getLogger("wheelhouse.audit")
TARGET = "audit"
COLLECTION = "uploads"
_BATCH = 500
_MILLISECONDS = 3000
"""After which a database counts as down."""
#: Between two questions to a database that is down.
RETRY = Backoff(first=0.2, most=5.0)
_RECORDED = {AuditOutcome.DONE, AuditOutcome.SAME}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorder:
    """Takes what was done, and sees to it that the database has it."""

    spool: Spool
    database: AuditDatabase
    replay: Replay

    def close(self) -> None:
        """End the replay; what waits is kept for the next start."""
        self.replay.close()
        self.database.close()

    def record(self, event: AuditEvent) -> None:
        """Take an upload's event, durably. Never raises SpoolError: that is told in the server's log."""
        if event.action is not AuditAction.UPLOAD or event.outcome not in _RECORDED:
            return
        document = {"_id": f"{event.sha256}:{event.filename}", **event.model_dump(mode="json", exclude_defaults=True)}
        try:
            self.spool.accept(
                io.BytesIO(orjson.dumps(document)), target=TARGET, name=f"{event.filename}", order_key=TARGET
            )
        except (SpoolError, OSError) as error:
            LOG.error("the upload of %s is not in the audit database: %s", event.filename, error)  # noqa: TRY400 - told whole
            return
        self.replay.wake()


class AuditDatabase:
    """Brings events from the spool to the database; what `replay` works with, and what it asks whether it is up."""

    def __init__(self, spool: Spool, settings: AuditDatabaseSettings) -> None:
        self.outage = Outage()
        self._spool = spool
        self._settings = settings

    @property
    def name(self) -> str:
        """What the log calls it."""
        return "the audit database"

    def waits(self) -> bool:
        """Say whether something waits."""
        return self._spool.count(TARGET) > 0

    def hurry(self) -> None:
        """Make what waits due now."""
        self._spool.hurry(TARGET)

    def probe(self) -> bool:
        """Ask the database whether it is there."""
        from pymongo.errors import PyMongoError  # noqa: PLC0415 - start-up time

        try:
            self._collection.database.command("ping")
        except PyMongoError as error:
            self.outage.begin(_first_line(error))
            return False
        self.outage.end()
        return True

    def deliver(self) -> int:
        """Bring what is due to the database, the oldest first; return how many items were settled."""
        from pymongo import UpdateOne  # noqa: PLC0415 - start-up time
        from pymongo.errors import PyMongoError  # noqa: PLC0415 - likewise

        items = self._spool.lease_many(target=TARGET, most=_BATCH)
        if not items:
            return 0
        documents = [(item, _document(item)) for item in items]
        try:
            changes = [
                UpdateOne({"_id": document["_id"]}, {"$setOnInsert": document}, upsert=True)
                for _, document in documents
                if document is not None
            ]
            if changes:
                self._collection.bulk_write(changes, ordered=False)
        except PyMongoError as error:
            down = not self.probe()
            for item in items:
                self._spool.retry_later(item, _first_line(error), outage=down)
            return 0
        for item, document in documents:
            if document is None:
                self._spool.set_aside(item, "its bytes in the spool are damaged")
        self._spool.done(*(item for item, document in documents if document is not None))
        return len(items)

    def close(self) -> None:
        """Hang up."""
        if "_collection" in self.__dict__:
            self._collection.database.client.close()

    @cached_property
    def _collection(self) -> Collection[dict[str, Any]]:
        """Connect at the first need: loading the driver takes its time."""
        from pymongo import MongoClient  # noqa: PLC0415 - start-up time

        settings = self._settings
        secret: dict[str, Any] = {"username": settings.user, "password": settings.password} if settings.user else {}
        client: MongoClient[dict[str, Any]] = MongoClient(
            settings.url,
            serverSelectionTimeoutMS=_MILLISECONDS,
            connectTimeoutMS=_MILLISECONDS,
            socketTimeoutMS=10 * _MILLISECONDS,
            journal=True,  # acknowledged is what outlives a crash of the database
            **secret,
        )
        return client[settings.database][COLLECTION]


def make_recorder(spool: Spool, settings: AuditDatabaseSettings) -> Recorder:
    """Put it together, and begin to deliver what waits. Raises MachineError where the driver is not installed."""
    if find_spec("pymongo") is None:
        raise MachineError(
            "the audit database needs pymongo, which is not installed", hint="pip install 'wheelhouse[audit]'"
        )
    database = AuditDatabase(spool, settings)
    recorder = Recorder(spool=spool, database=database, replay=Replay(database, database, backoff=RETRY))
    recorder.replay.wake()
    return recorder


def _document(item: Item) -> dict[str, Any] | None:
    """Read an item; None: it is damaged."""
    try:
        found = orjson.loads(item.path.read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and "_id" in found else None


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:300] if str(error) else type(error).__name__
