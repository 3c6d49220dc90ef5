"""Records of builds to and from the index that wheels are published to: what a farm asks where its own were lost."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Self

from wheelhouse.errors import NotOnIndexError, WheelhouseError
from wheelhouse.index.client import IndexClient

if TYPE_CHECKING:
    from collections.abc import Callable

    from wheelhouse.record import Record
    from wheelhouse.results import Results

_PATH = "/_/records/"
_LOG_CHARACTERS = 64 * 1024


@dataclass(slots=True, kw_only=True)
class IndexRecords:
    """What an index has of what was built where. One that keeps no records has none. Used in a `with`."""

    client: IndexClient
    tell: Callable[[str], None]
    """Hears why the index cannot be asked, once."""
    _listed: dict[str, datetime] | None = field(default=None, init=False)

    @classmethod
    def of(cls, url: str, tell: Callable[[str], None]) -> Self:
        """Find out what is needed to ask the index that takes uploads at an address. Raises UsageError."""
        return cls(client=IndexClient.of(url, os.environ), tell=tell)

    def __enter__(self) -> Self:
        self.client.__enter__()
        return self

    def __exit__(self, *ignored: object) -> None:
        self.client.__exit__(*ignored)

    def newer(self, job: str, than: datetime | None) -> Record | None:
        """Return the record of a job (an id) if it is newer than one that is known. Asks for it only then."""
        began = self._list().get(job)
        if began is None or (than is not None and began <= than):
            return None
        return self.find(job)

    def find(self, job: str) -> Record | None:
        """Return the record of a job as it is now; None: there is none, or no answer."""
        from wheelhouse.record import Record  # noqa: PLC0415 - start-up time

        try:
            return Record.model_validate(self.client.ask("GET", f"{_PATH}{job}"))
        except (WheelhouseError, ValueError):
            return None

    def keep(self, record: Record, log: str) -> str:
        """Send a record and the end of its log; return why that failed, or nothing."""
        told = {"record": record.model_dump(mode="json"), "log": log[-_LOG_CHARACTERS:]}
        try:
            self.client.ask("PUT", f"{_PATH}{record.job}", told)
        except WheelhouseError as error:
            return str(error)
        return ""

    def _list(self) -> dict[str, datetime]:
        if self._listed is None:
            try:
                known = self.client.ask("GET", _PATH).get("records", {})
                self._listed = {job: datetime.fromisoformat(began) for job, began in known.items()}
            except NotOnIndexError:
                self._listed = {}
            except (WheelhouseError, ValueError, AttributeError) as error:
                self.tell(f"the index does not say what was built before: {error}")
                self._listed = {}
        return self._listed


def send_record(records: IndexRecords, results: Results, record: Record) -> Record:
    """Send a record with its log, and return it; its details say where that failed."""
    try:
        log = results.log_path(record.job).read_text("utf-8", "replace")
    except OSError:
        log = ""
    problem = records.keep(record, log)
    return record.model_copy(update={"details": {**record.details, "not recorded": problem}}) if problem else record
