"""Salt as the dispatcher meets it, with a clock that jumps: a master, minions with journals, and what can go wrong."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from fakes import a_job, a_record
from wheelhouse.farm.salt.attempt import Patience
from wheelhouse.farm.salt.bus import Returned, Sent, Unsent
from wheelhouse.farm.salt.dispatch import dispatch
from wheelhouse.farm.salt.minion import FleetFacts, Minion
from wheelhouse.farm.salt.orders import Desk, Orders
from wheelhouse.joblog import Silent
from wheelhouse.plan import make_plan

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from wheelhouse.farm.salt.bus import Call, Message
    from wheelhouse.job import Job
    from wheelhouse.plan import Planned
    from wheelhouse.record import Record
    from wheelhouse.results import Results

X86 = "cp311-manylinux_x86_64"
ARM = "cp311-manylinux_aarch64"


def a_minion(id_: str = "m1", **changes: Any) -> Minion:
    given = {"id": id_, "arch": "x86_64", "libc_version": "2.36", "pythons": ("3.11",), "version": "0.1.0", "width": 2}
    return Minion.model_validate({**given, **changes})


@dataclass
class FakeMinion:
    minion: Minion
    dead: bool = False
    """It hears nothing and says nothing; what it runs has died with it."""
    cut: bool = False
    """It hears nothing and says nothing, and goes on."""
    loses_returns: bool = False
    returns_twice: bool = False
    raises: str = ""
    seconds: float = 10.0
    """How long a job takes."""
    journal: dict[str, dict[str, Any]] = field(default_factory=dict)
    began: list[str] = field(default_factory=list)
    """Jobs that were built, each time."""
    canceled: list[str] = field(default_factory=list)


@dataclass
class FakeSalt:
    """A bus. Time passes while somebody waits for a message."""

    minions: dict[str, FakeMinion]
    now: float = 0.0
    master_down: bool = False
    calls: list[Call] = field(default_factory=list)
    script: list[tuple[float, Callable[[], None]]] = field(default_factory=list)
    """What happens when."""
    _queue: list[tuple[float, Callable[[], Message | None]]] = field(default_factory=list)

    def send(self, call: Call) -> int:
        self.calls.append(call)
        number = len(self.calls)
        if self.master_down:
            self._soon(0.1, lambda: Unsent(call=number, why="no master"))
            return number
        names = tuple(self.minions) if isinstance(call.to, str) else tuple(call.to)
        self._soon(0.1, lambda: Sent(call=number, minions=names))
        for name in names:
            minion = self.minions[name]
            if not minion.dead and not minion.cut:
                self._soon(0.2, partial(self._carry_out, number, call, minion))
        return number

    def receive(self, timeout: float) -> Message | None:
        end = self.now + timeout
        while True:
            due = sorted((*self._queue, *self.script), key=lambda item: item[0])
            if not due or due[0][0] > end:
                self.now = end
                return None
            item = due[0]
            self.now = max(self.now, item[0])
            if item in self.script:
                self.script.remove(item)
                item[1]()
                continue
            self._queue.remove(item)
            message = item[1]()
            if message is not None:
                return message

    def _soon(self, seconds: float, make: Callable[[], Message | None]) -> None:
        self._queue.append((self.now + seconds, make))

    def _carry_out(self, number: int, call: Call, minion: FakeMinion) -> Message | None:
        name = minion.minion.id
        if minion.raises:
            return Returned(call=number, minion=name, code=1, value=minion.raises)
        if call.function == "wheelhouse.build":
            ticket = call.arguments["ticket"]
            if ticket not in minion.journal:
                minion.began.append(call.arguments["job"])
                minion.journal[ticket] = {
                    "state": "running",
                    "job": call.arguments["job"],
                    "ends": self.now + minion.seconds,
                }
            for _ in range(2 if minion.returns_twice else 1):
                self._soon(minion.seconds, lambda: self._return(number, ticket, minion))
            return None
        if call.function == "wheelhouse.cancel":
            states = {}
            for ticket in call.arguments["tickets"]:
                minion.canceled.append(ticket)
                if self.look(minion, ticket)["state"] in {"running", "unknown"}:
                    minion.journal[ticket] = {"state": "canceled", "job": None}
                states[ticket] = self.look(minion, ticket)["state"]
            return Returned(call=number, minion=name, code=0, value=states)
        if call.function == "wheelhouse.tickets":
            value: Any = {ticket: self.look(minion, ticket) for ticket in call.arguments["of"].get(name, ())}
        else:
            value = minion.minion.model_dump()
        return Returned(call=number, minion=name, code=0, value=value)

    def _return(self, number: int, ticket: str, minion: FakeMinion) -> Message | None:
        told = self.look(minion, ticket)
        if minion.dead or minion.cut or minion.loses_returns or self.master_down or told["state"] != "done":
            return None
        return Returned(call=number, minion=minion.minion.id, code=0, value=told)

    def look(self, minion: FakeMinion, ticket: str) -> dict[str, Any]:
        """Answer as the journal on a minion does."""
        told = minion.journal.get(ticket)
        if told is None:
            return {"ticket": ticket, "state": "unknown"}
        if told["state"] == "running" and self.now >= told["ends"]:
            record = a_record(_job(told["job"])).model_dump(mode="json")
            told |= {"state": "done", "status": 0, "output": [record], "log": "it went well"}
        return {"ticket": ticket, **told}


def _job(id_: str) -> Job:
    project, version, *target = id_.split("-")
    return a_job(project, version, "-".join(target))


@dataclass
class Outcome:
    records: Mapping[str, Record]
    finished: list[str]
    told: list[str]
    logs: dict[str, str]
    seconds: float


def facts(results: Results, minions: Sequence[Minion], **more: Any) -> FleetFacts:
    given: dict[str, Any] = {"refused": {}, "setting": "auto", "recorded": lambda job, than: None}
    return FleetFacts(minions=minions, results=results, **{**given, **more})


def run(
    salt: FakeSalt,
    jobs: Sequence[Job],
    results: Results,
    *,
    patience: Patience | None = None,
    recorded: Callable[[str], Record | None] = lambda job: None,
    width: int | None = None,
    bundle: Callable[[Planned], str] = lambda entry: "",
) -> Outcome:
    minions = [fake.minion for fake in salt.minions.values()]
    outcome = Outcome(records={}, finished=[], told=[], logs={}, seconds=0.0)
    desk = Desk(
        observer=Silent(),
        begin=lambda job: None,
        keep=lambda record, log: outcome.logs.__setitem__(record.job, log),
        reused=lambda entry: a_record(entry.job),
        finished=lambda entry, record: outcome.finished.append(entry.job.id),
        recorded=recorded,
        tell=outcome.told.append,
    )
    orders = Orders(run="run-1", expression="*", publish="https://index.example/", bundle=bundle, width=width)
    outcome.records = dispatch(
        make_plan(jobs, facts(results, minions)),
        minions,
        bus=salt,
        orders=orders,
        desk=desk,
        patience=patience or Patience(),
        clock=lambda: salt.now,
    )
    outcome.seconds = salt.now
    return outcome
