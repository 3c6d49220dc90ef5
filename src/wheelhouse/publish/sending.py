"""Wheels, an uploader and a spool in; what became of each wheel out. Nothing that was accepted is lost.

`publish` takes wheels from outside, `insist` those that are not spooled; `deliver` takes what waits in the spool.
"""

from __future__ import annotations

import enum
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import count
from typing import TYPE_CHECKING, Any

from wheelhouse.publish.reply import Reply, Verdict
from wheelhouse.spool import Backoff, State
from wheelhouse.wheel import WheelName

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from wheelhouse.publish.destination import Destination
    from wheelhouse.publish.prepare import Publishable
    from wheelhouse.publish.reply import ManyUploader, Uploader
    from wheelhouse.spool import Item, Spool

#: The field of a spooled item that has its attestations.
_ATTESTATIONS = "attestations"
_HINTS = {
    Verdict.DENIED: "TWINE_USERNAME and TWINE_PASSWORD, a keyring or .pypirc have the credentials; do they allow this?",
    Verdict.OUTAGE: "try again later; without --no-spool it would be kept and delivered by the next run",
    Verdict.FAILED: "try again later; the index's own log may say more",
}


_LATER = "try again later, with the same wheels: what the index has by then is not sent again"
#: Between two tries of what is not spooled.
_AGAIN = Backoff(first=0.5, most=5.0)


class Outcome(enum.StrEnum):
    """What became of a wheel."""

    PUBLISHED = "published"
    """On the index, now or before, with these bytes."""
    PRESENT = "present"
    """The name was taken, and that was to be fine."""
    SPOOLED = "spooled"
    """Accepted, and not yet delivered."""
    REFUSED = "refused"
    """The index does not want it."""
    UNAVAILABLE = "unavailable"
    """The index took nothing, and nothing was to be spooled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """One wheel's fate."""

    filename: str
    sha256: str
    outcome: Outcome
    reason: str = ""
    hint: str | None = None
    """What somebody has to do."""

    @property
    def trouble(self) -> bool:
        """Whether it will not end well by itself."""
        return self.outcome in {Outcome.REFUSED, Outcome.UNAVAILABLE} or self.hint is not None

    def to_json(self) -> dict[str, Any]:
        """Return what `--json` prints of it."""
        return {
            "wheel": self.filename,
            "sha256": self.sha256,
            "outcome": str(self.outcome),
            "reason": self.reason,
            "hint": self.hint,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """What sending needs to know, whatever is sent."""

    destination: Destination
    uploader: Uploader
    spool: Spool | None
    """Where to keep what the index does not take now; None: nowhere."""
    skip_existing: bool = False
    """A name that is taken is fine."""
    many: ManyUploader | None = None
    """For an index that takes many files in one request."""
    tell: Callable[[Sent], None] = lambda sent: None  # noqa: ARG005 - says nothing
    """Hears of each wheel as it is settled, from any thread."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """What became of the items of a spool."""

    sent: tuple[Sent, ...]
    stopped: Reply | None = None
    """What the index said that made it useless to go on."""


def publish(sender: Sender, wheels: Sequence[Publishable], *, jobs: int = 4) -> list[Sent]:
    """Deliver what waits in the spool, then upload wheels, a few at once; return what became of all of them.

    That the index is down is met once, and everything after it is spooled. A wheel whose project has older ones in the
    spool goes behind them. Raises SpoolError, SpoolFullError.
    """
    before = deliver(sender, jobs=jobs)
    queue = _Queue(sender, before)
    with ThreadPoolExecutor(max_workers=jobs) as pool:
        try:
            parcels = list(_parcels(wheels, sender.many))
            ends = {one.filename: one for sent in pool.map(queue.send, parcels) for one in sent}
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    sent = [ends[wheel.name.filename] for wheel in wheels]
    given = {(one.sha256, one.filename) for one in sent}
    return [*(one for one in before.sent if (one.sha256, one.filename) not in given), *sent]


def insist(
    sender: Sender,
    wheels: Sequence[Publishable],
    *,
    seconds: float,
    jobs: int = 4,
    pause: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> list[Sent]:
    """Upload wheels for which nothing is spooled, again and again while the index cannot take them, for so long."""
    quiet = replace(sender, tell=lambda one: None if one.outcome is Outcome.UNAVAILABLE else sender.tell(one))
    until, left = clock() + seconds, list(wheels)
    ends: dict[str, Sent] = {}
    for tries in count(1):
        ends |= {one.filename: one for one in publish(quiet, left, jobs=jobs)}
        left = [wheel for wheel in left if ends[wheel.name.filename].outcome is Outcome.UNAVAILABLE]
        wait = _AGAIN.seconds(tries)
        if not left or clock() + wait > until:
            break
        pause(wait)
    for wheel in left:
        ends[wheel.name.filename] = replace(ends[wheel.name.filename], hint=_LATER)
        sender.tell(ends[wheel.name.filename])
    return [ends[wheel.name.filename] for wheel in wheels]


def deliver(sender: Sender, *, jobs: int = 4) -> Delivered:
    """Upload what waits in the spool for this destination, each item once, until the index takes no more.

    A few at once, but of a project one after the other, the oldest first.
    """
    spool = sender.spool
    if spool is None or not spool.count(sender.destination.url):
        return Delivered(sent=())
    spool.hurry(sender.destination.url)
    line = _Line(sender, spool)
    with ThreadPoolExecutor(max_workers=jobs) as pool:
        workers = [pool.submit(line.work) for _ in range(jobs)]
        try:
            for worker in workers:
                worker.result()
        except BaseException:
            line.stop.set()
            raise
    return Delivered(sent=tuple(line.sent), stopped=line.stopped)


class _Line:
    """What waits in the spool, and the workers that deliver it."""

    def __init__(self, sender: Sender, spool: Spool) -> None:
        self.stop = threading.Event()
        self.stopped: Reply | None = None
        self.sent: list[Sent] = []
        self._sender = sender
        self._spool = spool

    def work(self) -> None:
        """Deliver until nothing is free: what is behind another worker's item is that worker's to take."""
        sender, spool = self._sender, self._spool
        while not self.stop.is_set() and (item := spool.lease(target=sender.destination.url)) is not None:
            reply = sender.uploader.upload(
                item.path, name=item.name, sha256=item.sha256, attestations=item.fields.get(_ATTESTATIONS)
            )
            sent = _settle(sender, spool, item, reply)
            self.sent.append(sent)
            sender.tell(sent)
            if reply.verdict in {Verdict.OUTAGE, Verdict.DENIED}:
                self.stopped = reply
                self.stop.set()


class _Queue:
    """Wheels from outside. Knows what waits in the spool, and whether the index was found to be down."""

    def __init__(self, sender: Sender, before: Delivered) -> None:
        self._sender = sender
        self._settled = {
            (sent.sha256, sent.filename): sent for sent in before.sent if sent.outcome is not Outcome.SPOOLED
        }
        self._down = threading.Event()
        self._why = ""
        if before.stopped is not None and before.stopped.verdict is Verdict.OUTAGE:
            self._stop(before.stopped.reason)
        items = sender.spool.items() if sender.spool is not None else []
        here = [item for item in items if item.target == sender.destination.url]
        self._known = {(item.sha256, item.name): item for item in here}
        self._ahead = {item.order_key for item in here if item.state is State.WAITING}

    def send(self, wheels: Sequence[Publishable]) -> list[Sent]:
        """Settle wheels, those that the index has to be asked about in one request; return what became of each."""
        ends: dict[str, Sent] = {}
        asked: list[Publishable] = []
        for wheel in wheels:
            settled = self._settled.get((wheel.sha256, wheel.name.filename))
            if settled is not None:
                ends[wheel.name.filename] = settled
            elif wheel.name.project in self._ahead:
                self._end(ends, self._keep(wheel, "older wheels of its project wait before it", Verdict.OUTAGE))
            else:
                asked.append(wheel)
        for wheel, reply in self._ask(asked):
            self._end(ends, self._follow(wheel, reply))
        return [ends[wheel.name.filename] for wheel in wheels]

    def _end(self, ends: dict[str, Sent], sent: Sent) -> None:
        ends[sent.filename] = sent
        self._sender.tell(sent)

    def _ask(self, wheels: Sequence[Publishable]) -> Iterator[tuple[Publishable, Reply]]:
        """Upload wheels, unless the index was found to be down; yield each with the answer."""
        many = self._sender.many
        if many is not None and len(wheels) > 1 and not self._down.is_set():
            replies = many.upload_many(wheels)
            if replies is not None:
                yield from zip(wheels, replies, strict=True)
                return
        for wheel in wheels:
            yield (
                wheel,
                self._down_reply
                or self._sender.uploader.upload(
                    wheel.path, name=wheel.name.filename, sha256=wheel.sha256, attestations=_attestations(wheel)
                ),
            )

    @property
    def _down_reply(self) -> Reply | None:
        return Reply(verdict=Verdict.OUTAGE, reason=self._why) if self._down.is_set() else None

    def _stop(self, why: str) -> None:
        self._why = why
        self._down.set()

    def _follow(self, wheel: Publishable, reply: Reply) -> Sent:
        """Do what follows from an answer."""
        sender, filename = self._sender, wheel.name.filename
        if reply.verdict is Verdict.OUTAGE:
            self._stop(reply.reason)
        if reply.verdict in {Verdict.OUTAGE, Verdict.FAILED}:
            return self._keep(wheel, reply.reason, reply.verdict)
        known = self._known.get((wheel.sha256, filename))
        if reply.verdict is Verdict.DELIVERED and known is not None and sender.spool is not None:
            sender.spool.done(known)  # set aside before, and welcome now
        return _sent(filename, wheel.sha256, reply, skip_existing=sender.skip_existing)

    def _keep(self, wheel: Publishable, reason: str, verdict: Verdict) -> Sent:
        """Spool a wheel, or say that it could have been."""
        sender, filename = self._sender, wheel.name.filename
        if sender.spool is None:
            return Sent(
                filename=filename,
                sha256=wheel.sha256,
                outcome=Outcome.UNAVAILABLE,
                reason=reason,
                hint=_HINTS[verdict],
            )
        destination = sender.destination
        with wheel.path.open("rb") as stream:  # copied, not linked: a user may write over a file in dist/
            sender.spool.accept(
                stream,
                target=destination.url,
                name=filename,
                order_key=wheel.name.project,
                fields=_fields(destination, wheel),
                verdict=reason,
                sha256=wheel.sha256,
            )
        return Sent(filename=filename, sha256=wheel.sha256, outcome=Outcome.SPOOLED, reason=reason)


def _parcels(wheels: Sequence[Publishable], many: ManyUploader | None) -> Iterator[list[Publishable]]:
    """Yield wheels that go in one request, as many as fit; where the index takes no such requests, each by itself.

    The first has fewer, so that the index is at work while the second comes in.
    """
    parcel: list[Publishable] = []
    size = 0
    first = True
    for wheel in wheels:
        own = wheel.path.stat().st_size
        if many is None or own > many.most_bytes:
            yield [wheel]
            continue
        most = max(1, many.most_files // 3) if first else many.most_files
        if parcel and (len(parcel) == most or size + own > many.most_bytes):
            yield parcel
            parcel, size, first = [], 0, False
        parcel.append(wheel)
        size += own
    if parcel:
        yield parcel


def _fields(destination: Destination, wheel: Publishable) -> dict[str, str]:
    """Return what a delivery will have to know. Attestations too: nobody could sign then in this job's name."""
    attestations = _attestations(wheel)
    return {
        **({"repository": destination.repository} if destination.repository else {}),
        **({_ATTESTATIONS: attestations} if attestations else {}),
    }


def _attestations(wheel: Publishable) -> str | None:
    return json.dumps(wheel.attestations) if wheel.attestations else None


def _settle(sender: Sender, spool: Spool, item: Item, reply: Reply) -> Sent:
    """Bring what the index said of a spooled item into the spool."""
    sent = _sent(item.name, item.sha256, reply, skip_existing=sender.skip_existing)
    if sent.outcome in {Outcome.PUBLISHED, Outcome.PRESENT}:
        spool.done(item)
        return sent
    if reply.verdict in {Verdict.EXISTS, Verdict.REFUSED}:
        spool.set_aside(item, reply.reason)
        return sent
    spool.retry_later(item, reply.reason, outage=reply.verdict is Verdict.OUTAGE, wait=reply.wait)
    return Sent(
        filename=item.name, sha256=item.sha256, outcome=Outcome.SPOOLED, reason=reply.reason, hint=_denied(reply)
    )


def _denied(reply: Reply) -> str | None:
    return _HINTS[Verdict.DENIED] if reply.verdict is Verdict.DENIED else None


def _sent(filename: str, sha256: str, reply: Reply, *, skip_existing: bool) -> Sent:
    if reply.verdict is Verdict.DELIVERED:
        return Sent(filename=filename, sha256=sha256, outcome=Outcome.PUBLISHED)
    if reply.verdict is Verdict.EXISTS and skip_existing:
        return Sent(filename=filename, sha256=sha256, outcome=Outcome.PRESENT, reason=reply.reason)
    hint = _raise_build_number(filename) if reply.verdict is Verdict.EXISTS else _HINTS.get(reply.verdict)
    return Sent(filename=filename, sha256=sha256, outcome=Outcome.REFUSED, reason=reply.reason, hint=hint)


def _raise_build_number(filename: str) -> str:
    """Return what to do where a name is taken: published files never change."""
    build = WheelName.parse(filename).build
    number = build[0] if build else 0
    return (
        f"published files do not change: set `build-number = {number + 1}` in the recipe's version, and build again;"
        " if the very same wheel is there, --skip-existing passes over it"
    )
