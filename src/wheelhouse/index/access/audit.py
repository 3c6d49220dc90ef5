"""What was done on the index, or was tried, in; one line of JSON each out, on the disk before the answer is sent.

The log is a folder: `audit.jsonl`, and older files beside it that were set aside when they had become large. Lines are
only ever added. Several processes may write to one log. A disk that is full loses a line, which the server's own log
then has, and never an upload.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

import pydantic

from wheelhouse.index.access.failures import FailureLimit
from wheelhouse.spool.group_commit import GroupCommit
from wheelhouse.spool.owner import alone

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from packaging.utils import NormalizedName

LOG = logging.getLogger("wheelhouse.audit")
_FILE = "audit.jsonl"
_MEBIBYTE = 2**20
_LONGEST_REASON = 500


class AuditAction(StrEnum):
    """What can be done, or tried."""

    UPLOAD = "upload"
    YANK = "yank"
    UNYANK = "unyank"
    DELETE = "delete"
    STATUS = "status"
    POLICY = "policy"
    STAGE = "stage"
    PUBLISH_STAGE = "publish-stage"
    DROP_STAGE = "drop-stage"
    MINT_TOKEN = "mint-token"  # noqa: S105 - an action's name
    CREATE_TOKEN = "create-token"  # noqa: S105 - likewise
    REVOKE_TOKEN = "revoke-token"  # noqa: S105 - likewise


class AuditOutcome(StrEnum):
    """What came of it."""

    DONE = "done"
    SAME = "same"
    """It was so before."""
    DENIED = "denied"
    """The asker may not."""
    REFUSED = "refused"
    """Nobody may: a rule of the index stands against it."""
    FAILED = "failed"
    """It could not be done now."""


class AuditEvent(pydantic.BaseModel):
    """One line of the log."""

    model_config = pydantic.ConfigDict(frozen=True, extra="ignore")

    time: datetime
    """UTC."""
    action: AuditAction
    outcome: AuditOutcome
    project: str | None = None
    """Normalised."""
    filename: str | None = None
    sha256: str | None = None
    who: str
    """A token's name, or `anonymous-local`, `anonymous`, or `command-line`."""
    claims: Mapping[str, str] = pydantic.Field(default_factory=dict)
    """Of a trusted publisher: issuer, repository, workflow and so on."""
    address: str = ""
    """Of the other end of the connection: a proxy's, where there is one."""
    reason: str = ""
    """Why it was denied, refused or done."""
    request: str = ""
    """The request's id, which the server's log has too."""

    @pydantic.field_validator("reason")
    @classmethod
    def _bounded(cls, text: str) -> str:
        return text[:_LONGEST_REASON]


@dataclass(slots=True, kw_only=True)
class AuditLog:
    """A folder of lines. Safe with several threads and processes."""

    folder: Path
    most_bytes: int = 64 * _MEBIBYTE
    """Of one file, before the next is begun."""
    keep: int = 20
    """Older files; the oldest goes."""
    denied_by_address: FailureLimit = field(default_factory=FailureLimit)
    denied_by_all: FailureLimit = field(default_factory=lambda: FailureLimit(most=120, window=timedelta(minutes=1)))
    """Strangers can be denied as often as they like: they shall not fill the disk, or push out what was done."""
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)
    _waiting: deque[bytes] = field(default_factory=deque, init=False)
    """Lines that are in no file yet."""
    _commits: GroupCommit = field(default_factory=GroupCommit, init=False)

    def record(self, *events: AuditEvent) -> None:
        """Add lines, and return when all are on the disk. Never raises OSError: that is told in the server's log."""
        wanted = [each for each in events if each.outcome is not AuditOutcome.DENIED or self._wanted(each)]
        if wanted:
            lines = (each.model_dump_json(exclude_defaults=True).encode() + b"\n" for each in wanted)
            self._waiting.append(b"".join(lines))  # atomic; whoever writes next takes it along
            self._commits.commit(_FILE, self._write_waiting)

    def events(self, *, since: datetime | None = None, project: NormalizedName | None = None) -> Iterator[AuditEvent]:
        """Yield what the log has, the oldest first. A line that a power cut has torn is left out."""
        try:
            with alone(self.folder):
                files = [path.open("rb") for path in (*self._older(), self.folder / _FILE) if path.exists()]
        except FileNotFoundError:
            return
        for file in files:
            with file:
                for line in file:
                    event = _event(line)
                    if event is None or (since is not None and event.time < since):
                        continue
                    if project is None or event.project == project:
                        yield event

    def _wanted(self, event: AuditEvent) -> bool:
        with self._lock:
            limits = ((self.denied_by_address, event.address), (self.denied_by_all, ""))
            if any(limit.wait(key, event.time) is not None for limit, key in limits):
                return False
            for limit, key in limits:
                limit.add(key, event.time)
            return True

    def _write_waiting(self) -> None:
        """Bring the lines that wait to the disk, or to the server's log."""
        lines = b"".join(self._waiting.popleft() for _ in range(len(self._waiting)))
        if not lines:  # the run before took them
            return
        try:
            self._write(lines)
        except OSError as error:
            for told in lines.decode().splitlines():
                LOG.warning("the audit log cannot be written (%s): %s", error.strerror or error, told)

    def _write(self, lines: bytes) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with alone(self.folder):
            handle = self._open()
            try:
                size = os.fstat(handle).st_size
                if size and os.pread(handle, 1, size - 1) != b"\n":  # torn by a power cut
                    lines = b"\n" + lines
                if os.write(handle, lines) != len(lines):
                    os.ftruncate(handle, size)
                    raise OSError("the disk took a part of a line only")  # noqa: TRY301 - caught for the handle's sake
            except BaseException:
                os.close(handle)
                raise
        try:
            os.fsync(handle)  # with no lock held: other processes may write meanwhile
        finally:
            os.close(handle)

    def _open(self) -> int:
        path = self.folder / _FILE
        handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if os.fstat(handle).st_size < self.most_bytes:
            return handle
        os.close(handle)
        older = self._older()
        last = int(older[-1].stem.rpartition("-")[2]) if older else 0
        path.rename(self.folder / f"audit-{last + 1:06}.jsonl")
        for gone in older[: max(0, len(older) + 1 - self.keep)]:
            gone.unlink(missing_ok=True)
        return os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def _older(self) -> list[Path]:
        return sorted(self.folder.glob("audit-[0-9]*.jsonl"))


def _event(line: bytes) -> AuditEvent | None:
    try:
        return AuditEvent.model_validate_json(line)
    except pydantic.ValidationError:
        return None
