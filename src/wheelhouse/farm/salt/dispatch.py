"""A plan and a fleet in, one record a job out: jobs go where they fit, and each ends, once, whatever dies meanwhile.

Nothing that Salt says is relied on. A call may reach nobody; a return may be lost with the master, come late or twice.
So each attempt has a ticket, under which its minion builds at most once and keeps the result, and minions are asked
for their tickets at every heartbeat. Whatever comes first, a return, a heartbeat's answer or the index's record,
settles the job; what comes after it is dropped.
"""

from __future__ import annotations

import hashlib
import time
from typing import TYPE_CHECKING, Any

from wheelhouse.errors import WheelhouseError
from wheelhouse.farm.ready import ReadyQueue
from wheelhouse.farm.salt.attempt import Attempt, Patience, Work, choose
from wheelhouse.farm.salt.bus import Call, Returned, Sent, Unsent
from wheelhouse.farm.salt.roster import Roster, kind_of
from wheelhouse.farm.salt.told import failed, read_outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from wheelhouse.farm.salt.attempt import Post
    from wheelhouse.farm.salt.bus import Bus, Message
    from wheelhouse.farm.salt.minion import Minion
    from wheelhouse.farm.salt.orders import Desk, Orders
    from wheelhouse.plan import Plan
    from wheelhouse.record import Record

_TICK = 1.0
#: A minion is given so long to say that it has ended a job (seconds).
_CANCEL = 20.0
#: How long a stopped run waits for its jobs to be ended.
_FAREWELL = 8.0


def dispatch(
    plan: Plan,
    minions: Sequence[Minion],
    *,
    bus: Bus,
    orders: Orders,
    desk: Desk,
    patience: Patience | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> dict[str, Record]:
    """Carry out every job of the plan that is to be built, and return the records of all that could be.

    KeyboardInterrupt ends what runs on the minions, and comes out again.
    """
    return _Dispatch(
        plan, minions, bus=bus, orders=orders, desk=desk, patience=patience or Patience(), clock=clock
    ).run()


class _Dispatch:
    def __init__(
        self,
        plan: Plan,
        minions: Sequence[Minion],
        *,
        bus: Bus,
        orders: Orders,
        desk: Desk,
        patience: Patience,
        clock: Callable[[], float],
    ) -> None:
        self._bus, self._orders, self._desk, self._patience, self._clock = bus, orders, desk, patience, clock
        self._queue = ReadyQueue(plan, reused=desk.reused, finished=desk.finished)
        now = clock()
        self._roster = Roster(minions, lost_after=patience.lost_after, clock=clock, tell=desk.tell)
        self._waiting: list[Work] = []
        self._tickets: dict[str, Attempt] = {}
        self._calls: dict[int, Attempt] = {}
        """Calls of `wheelhouse.build`."""
        self._beats: dict[int, tuple[str, ...]] = {}
        """Heartbeats, and whom they went to."""
        self._looks: set[int] = set()
        """Calls that look for minions."""
        self._next_beat = now + patience.heartbeat
        self._next_look = now + patience.discover
        self._silent_master = 0.0
        """Until when the master is left alone; 0: it answers."""

    def run(self) -> dict[str, Record]:
        try:
            while self._queue.left:
                self._assign()
                message = self._bus.receive(_TICK)
                while message is not None:
                    self._hear(message)
                    message = self._bus.receive(0)
                self._beat()
                self._judge()
        except BaseException:
            self._stop()
            raise
        return self._queue.records

    # Sending

    def _assign(self) -> None:
        while (entry := self._queue.take()) is not None:
            self._desk.begin(entry.job.id)
            self._waiting.append(Work(entry=entry, waiting=self._clock()))
        if self._clock() < self._silent_master:
            return
        for attempt in [attempt for attempt in self._tickets.values() if attempt.state == "unsent"]:
            self._send(attempt)
        running = sum(post.load for post in self._roster)
        room = (self._orders.width or len(self._waiting) + running) - running
        still: list[Work] = []
        full: set[object] = set()
        for work in self._waiting:
            kind = (kind_of(work), work.memory)
            post = choose(work, self._roster.fitting(work)) if room > 0 and kind not in full else None
            if post is None:
                full.add(kind)  # who has no room for one has none for the next of its kind
                still.append(work)
                continue
            room -= 1
            self._begin(work, post)
        self._waiting = still

    def _begin(self, work: Work, post: Post) -> None:
        job, now = work.entry.job, self._clock()
        try:
            bundle = self._orders.bundle(work.entry)
        except WheelhouseError as error:  # costs this job alone
            self._end(work, failed(work.entry, "recipe", str(error), mend=[error.hint] if error.hint else []), "")
            return
        digest = hashlib.sha256(job.id.encode()).hexdigest()[:16]
        attempt = Attempt(
            work=work,
            ticket=f"{self._orders.run}-{digest}.{len(work.attempts) + 1}",
            minion=post.minion.id,
            state="unsent",
            since=now,
            deadline=now + job.timeout + self._patience.grace,
            bundle=bundle,
        )
        work.waiting = None
        work.attempts.append(attempt)
        post.attempts.append(attempt)
        if post.load == 1:  # it was not asked while it had nothing to do
            post.heard, post.unanswered = now, 0
        self._tickets[attempt.ticket] = attempt
        self._send(attempt)
        self._desk.observer.stage(job.id, f"on {post.minion.id}")

    def _send(self, attempt: Attempt) -> None:
        entry, orders = attempt.work.entry, self._orders
        arguments = {
            "job": entry.job.id,
            "ticket": attempt.ticket,
            "bundle": attempt.bundle,
            "builder": entry.builder,
            "publish": orders.publish,
            "force": orders.force,
            "upgrade": orders.upgrade,
            "timeout": entry.job.timeout + self._patience.grace / 2,
        }
        attempt.state, attempt.since = "sent", self._clock()
        self._calls[self._call("wheelhouse.build", arguments, [attempt.minion])] = attempt

    def _call(self, function: str, arguments: Mapping[str, Any], to: Sequence[str]) -> int:
        return self._bus.send(Call(function=function, arguments=arguments, to=to))

    def _beat(self) -> None:
        """Ask the minions that have jobs how these do, and now and then who else is there."""
        now = self._clock()
        if now < max(self._next_beat, self._silent_master):
            return
        self._next_beat = now + self._patience.heartbeat
        asked = {
            post.minion.id: [attempt.ticket for attempt in post.attempts if attempt.state != "ended"]
            for post in self._roster
        }
        asked = {id_: tickets for id_, tickets in asked.items() if tickets}
        if asked:
            self._beats[self._call("wheelhouse.tickets", {"of": asked}, list(asked))] = tuple(asked)
        if now >= self._next_look:
            self._next_look = now + self._patience.discover
            call = Call(function="wheelhouse.capabilities", arguments={}, to=self._orders.expression, by="compound")
            self._looks.add(self._bus.send(call))

    # Hearing

    def _hear(self, message: Message) -> None:
        if isinstance(message, Unsent):
            self._unsent(message)
        elif isinstance(message, Sent):
            self._answered()
            self._roster.asked(self._beats.get(message.call, ()))
        else:
            self._returned(message)

    def _answered(self) -> None:
        """Note that the master is there. Who could not be heard while it was away was not silent."""
        if self._silent_master:
            self._silent_master = 0.0
            self._desk.tell("the Salt master is back")
            self._roster.master_is_back()

    def _unsent(self, message: Unsent) -> None:
        """Try again later, with the same ticket: the master may have sent it all the same."""
        if not self._silent_master:
            self._desk.tell(f"the Salt master does not answer: {message.why}")
        self._silent_master = self._clock() + self._patience.master
        self._beats.pop(message.call, None)
        attempt = self._calls.get(message.call)
        if attempt is not None and attempt.state == "sent":
            attempt.state = "unsent"

    def _returned(self, message: Returned) -> None:
        if message.call in self._looks:
            self._roster.join(message)
            return
        self._roster.heard(message.minion)
        attempt = self._calls.get(message.call)
        if attempt is not None:
            if isinstance(message.value, dict):
                self._learn(attempt, message.value)
            elif attempt.occupies:  # it raised, or there is no such function: no ticket was taken
                self._came_to_nothing(attempt, " ".join(str(message.value).split()))
        elif isinstance(message.value, dict):
            for ticket, told in message.value.items():
                if (asked := self._tickets.get(ticket)) is not None and isinstance(told, dict):
                    self._learn(asked, told)

    def _learn(self, attempt: Attempt, told: Mapping[str, Any]) -> None:
        """Take in what a minion's journal has of an attempt."""
        if attempt.state == "ended":
            return
        state = told.get("state")
        if state == "running":
            self._runs(attempt, str(told.get("said") or ""))
        elif state == "unknown":
            if attempt.state == "left":
                attempt.state = "ended"
            elif self._clock() - attempt.since > self._patience.heartbeat:  # what was sent has reached nobody
                self._send(attempt)
        elif state == "canceled" and attempt.state == "left":
            attempt.state = "ended"
        else:
            self._over(attempt, told)

    def _runs(self, attempt: Attempt, said: str) -> None:
        if attempt.state == "left":  # its minion was taken for dead, and its job may be elsewhere by now
            if attempt.work not in self._waiting:
                self._cancel([attempt])
                return
            self._waiting.remove(attempt.work)
            attempt.work.waiting = None
        if attempt.state != "canceling":
            attempt.state = "running"
            job = attempt.work.entry.job.id
            stage = said.removeprefix(f"{job}: ") if said.startswith(f"{job}: ") else ""
            if stage and len(stage.split()) == 1:
                self._desk.observer.stage(job, f"{stage} on {attempt.minion}")

    def _over(self, attempt: Attempt, told: Mapping[str, Any]) -> None:
        if attempt.state == "canceling" and told.get("state") == "canceled":
            told = {**told, "state": "timeout"}
        outcome = read_outcome(attempt.work.entry, told)
        if outcome.record is None:
            self._came_to_nothing(attempt, outcome.reason, outcome.log)
        else:
            self._settle(attempt, outcome.record, outcome.log)

    # Judging

    def _judge(self) -> None:
        """Find out what has taken too long."""
        if self._silent_master:
            return  # whose master is silent cannot be heard
        now = self._clock()
        for post, silent in self._roster.lost():
            for attempt in [attempt for attempt in post.attempts if attempt.occupies]:
                self._came_to_nothing(attempt, f"silent for {silent:.0f} s", left=True)
        for attempt in [attempt for attempt in self._tickets.values() if attempt.occupies]:
            if attempt.state == "canceling":
                if now - attempt.since > _CANCEL:
                    self._over(attempt, {"state": "timeout"})
            elif now > attempt.deadline:
                self._cancel([attempt])
                attempt.state, attempt.since = "canceling", now
        for work in [work for work in self._waiting if not self._roster.fitting(work)]:
            self._judge_waiting(work, now - (work.waiting or now))

    def _judge_waiting(self, work: Work, waited: float) -> None:
        if waited <= self._patience.absent:
            return
        told = "; ".join(work.failures) or "those that fit are gone"
        self._waiting.remove(work)
        self._give_up(work, f"no minion that fits has been there for {waited:.0f} s: {told}")

    def _came_to_nothing(self, attempt: Attempt, reason: str, log: str = "", *, left: bool = False) -> None:
        """Try elsewhere, unless the index has the record, or it was tried often enough."""
        work = attempt.work
        was_waiting = attempt.state == "left" and work in self._waiting
        if left and (record := self._recorded(work)) is not None:
            self._settle(attempt, record, log)
            return
        attempt.state = "left" if left else "ended"
        work.failures.append(f"{attempt.minion}: {reason}")
        if was_waiting or any(other.occupies for other in work.attempts):
            return
        untried = {post.minion.id for post in self._roster.fitting(work)} - {one.minion for one in work.attempts}
        again = left or bool(untried) or reason == "what ran it was killed"
        if len(work.attempts) >= self._patience.attempts or not again:
            record = self._recorded(work)
            if record is not None:
                self._settle(attempt, record, log)
            else:
                self._give_up(work, f"gave up after {len(work.attempts)} attempts: {'; '.join(work.failures)}", log)
            return
        work.waiting = self._clock()
        self._waiting.append(work)

    def _recorded(self, work: Work) -> Record | None:
        """Return the index's record of a job, if it is of an attempt of ours."""
        record = self._desk.recorded(work.entry.job.id)
        if record is not None and record.details.get("ticket") in {attempt.ticket for attempt in work.attempts}:
            return record
        return None

    def _give_up(self, work: Work, why: str, log: str = "") -> None:
        mend = ("`salt-run wheelhouse.status` shows the minions",)
        self._end(work, failed(work.entry, "minion", why, mend=mend), log)

    def _settle(self, attempt: Attempt, record: Record, log: str) -> None:
        work = attempt.work
        if work in self._waiting:
            self._waiting.remove(work)
        if record.status == "built":
            self._roster[attempt.minion].built.add(work.entry.job.id)
        told = {"minion": attempt.minion, "ticket": attempt.ticket}
        if work.failures:
            told["before"] = "; ".join(work.failures)
        attempt.state = "ended"
        self._end(work, record.model_copy(update={"details": {**record.details, **told}}), log)

    def _end(self, work: Work, record: Record, log: str) -> None:
        others = [attempt for attempt in work.attempts if attempt.state != "ended"]
        if others:
            self._cancel(others)
        for attempt in work.attempts:
            attempt.state = "ended"
            self._tickets.pop(attempt.ticket, None)
            self._roster[attempt.minion].attempts.remove(attempt)
        self._desk.keep(record, log)
        self._queue.settle(work.entry, record)

    def _cancel(self, attempts: Sequence[Attempt]) -> None:
        for minion in dict.fromkeys(attempt.minion for attempt in attempts):
            tickets = [attempt.ticket for attempt in attempts if attempt.minion == minion]
            self._call("wheelhouse.cancel", {"tickets": tickets}, [minion])

    def _stop(self) -> None:
        """End what runs on the minions, as far as that can be done at once."""
        running = [attempt for attempt in self._tickets.values() if attempt.state != "ended"]
        if not running:
            return
        self._cancel(running)
        waited = {attempt.minion for attempt in running if not self._roster[attempt.minion].away}
        end = time.monotonic() + _FAREWELL
        while waited and (left := end - time.monotonic()) > 0:
            message = self._bus.receive(min(left, _TICK))
            if isinstance(message, Returned) and message.call not in self._calls and message.call not in self._beats:
                waited.discard(message.minion)
