"""Records of builds to and from the index that wheels are published to: what a farm asks where its own were lost.

They go by way of the spool, as wheels do: what the index does not take now is delivered by the next build or
`wheelhouse spool retry`. An index keeps the newest record of a job, so one that comes late does no harm.
"""

from __future__ import annotations

import io
import os
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Self

import orjson

from wheelhouse.errors import IndexUnavailableError, NotAllowedError, NotOnIndexError, WheelhouseError
from wheelhouse.index.client import IndexClient
from wheelhouse.publish import Destination, Outcome, Reply, Sender, Verdict, deliver

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from wheelhouse.record import Record
    from wheelhouse.results import Results
    from wheelhouse.spool import Spool

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
        """Find out what is needed to ask the index that takes uploads, or records, at an address. Raises UsageError."""
        return cls(client=IndexClient.of(url.removesuffix(_PATH), os.environ), tell=tell)

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

    def upload(self, path: Path, *, name: str, sha256: str, attestations: str | None = None) -> Reply:  # noqa: ARG002 - a wheel's
        """Send what was made of a job's record; the name is the job's id."""
        try:
            self.client.ask("PUT", f"{_PATH}{name}", orjson.loads(path.read_bytes()))
        except IndexUnavailableError as error:
            return Reply(verdict=Verdict.OUTAGE, reason=str(error))
        except NotAllowedError as error:
            return Reply(verdict=Verdict.DENIED, reason=str(error))
        except WheelhouseError as error:
            return Reply(verdict=Verdict.REFUSED, reason=str(error))
        return Reply(verdict=Verdict.DELIVERED)

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


def takes_records(url: str) -> bool:
    """Say whether records go to an address, and not wheels."""
    return url.endswith(_PATH)


def send_record(records: IndexRecords, spool: Spool, results: Results, record: Record) -> Record:
    """Send a record with the end of its log, behind what waits; return it with what became of that, in its details."""
    try:
        log = results.log_path(record.job).read_text("utf-8", "replace")
    except OSError:
        log = ""
    told = {"record": record.model_dump(mode="json"), "log": log[-_LOG_CHARACTERS:]}
    destination = Destination(url=f"{records.client.root}{_PATH}")
    item = spool.accept(
        io.BytesIO(orjson.dumps(told)), target=destination.url, name=record.job, order_key=record.project
    )
    sent = deliver(Sender(destination=destination, uploader=records, spool=spool), jobs=1).sent
    own = next((one for one in sent if (one.filename, one.sha256) == (item.name, item.sha256)), None)
    if own is not None and own.outcome is Outcome.REFUSED:
        spool.forget(item.id)  # nobody will want it later: the record stays where it was made
    problem = own.reason if own is not None else item.verdict
    return record.model_copy(update={"details": {**record.details, "not recorded": problem}}) if problem else record
