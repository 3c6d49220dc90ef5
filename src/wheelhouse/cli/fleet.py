"""`--farm salt`: what `build` and `plan` do where jobs go to the minions of a Salt master."""

from __future__ import annotations

import os
import secrets
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from wheelhouse.cli.selecting import jobs_by_id, jobs_for, only_jobs, refuse_what_is_impossible
from wheelhouse.cli.signals import stopping_on_signals
from wheelhouse.errors import CanceledError, JobsFailedError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from wheelhouse.cli.recording import IndexRecords
    from wheelhouse.cli.selecting import Selected
    from wheelhouse.cli.session import Session
    from wheelhouse.farm.salt.attempt import Patience
    from wheelhouse.farm.salt.bus import SaltBus
    from wheelhouse.farm.salt.discover import Found
    from wheelhouse.plan import Plan, Planned
    from wheelhouse.record import Record

_WHERE = "on this fleet"
_PLAN = "`wheelhouse plan --farm salt`"


def plan_for_fleet(session: Session, selected: Selected, job_ids: Sequence[str] = ()) -> Plan:
    """Return what `build --farm salt` would do. Raises MachineError where Salt or its minions are not there."""
    with _fleet(session, selected) as fleet:
        return fleet.plan(job_ids)


def build_on_fleet(
    session: Session, selected: Selected, *, job_ids: Sequence[str], width: int | None, upgrade: bool, as_json: bool
) -> int:
    """Build on minions and return the exit status. Wheels go from there to the index, records and logs come here."""
    from wheelhouse.cli.display import closing_table  # noqa: PLC0415 - start-up time

    begun = datetime.now(UTC)
    with _fleet(session, selected) as fleet:
        plan = only_jobs(fleet.plan(job_ids), job_ids)
        refuse_what_is_impossible(plan, selected)
        records = fleet.build(plan, begun=begun, width=width, upgrade=upgrade)
    if as_json:
        session.json([record.model_dump(mode="json") for record in records.values()])
    closing_table(session.talk, plan, records, begun=begun, where=_WHERE, ask=_PLAN)
    _tell_spooled(session, records)
    return JobsFailedError.exit_code if any(one.status == "failed" for one in records.values()) else 0


@contextmanager
def _fleet(session: Session, selected: Selected) -> Iterator[_Fleet]:
    """Reach Salt, the minions that build, and the index."""
    from wheelhouse.cli.recording import IndexRecords  # noqa: PLC0415 - start-up time
    from wheelhouse.farm.salt.bus import salt_bus  # noqa: PLC0415 - likewise
    from wheelhouse.farm.salt.discover import discover  # noqa: PLC0415 - likewise
    from wheelhouse.process import Processes  # noqa: PLC0415 - likewise
    from wheelhouse.publish import find_destination  # noqa: PLC0415 - likewise

    config, tell = session.workspace.config, partial(session.talk.print, markup=False)
    destination = find_destination(index_url=None, repository=None, settings=config.publish, environment=os.environ)
    log = session.workspace.state / "salt.txt"
    with (
        IndexRecords.of(destination.url, tell) as index,
        salt_bus(config.salt, processes=Processes(), log=log) as bus,
    ):
        found = discover(bus, config.salt.minions)
        for minion, reason in found.refused.items():
            tell(f"{minion} cannot be used: {reason}")
        yield _Fleet(session, selected, bus=bus, found=found, index=index, publish=destination.url)


class _Fleet:
    """A Salt master, its minions and the index, for one call of a command."""

    def __init__(
        self, session: Session, selected: Selected, *, bus: SaltBus, found: Found, index: IndexRecords, publish: str
    ) -> None:
        from wheelhouse.farm.salt.minion import FleetFacts  # noqa: PLC0415 - start-up time
        from wheelhouse.results import Results  # noqa: PLC0415 - likewise

        self._session, self._selected = session, selected
        self._bus, self._found, self._index, self._publish = bus, found, index, publish
        self._results = Results(session.workspace)
        self._facts = FleetFacts(
            minions=found.minions,
            refused=found.refused,
            setting=selected.builder or session.workspace.config.build.builder,
            results=self._results,
            recorded=index.newer,
        )

    def plan(self, job_ids: Sequence[str]) -> Plan:
        """Plan what was asked for, by what the minions can."""
        from wheelhouse.farm.salt.minion import machines  # noqa: PLC0415 - start-up time
        from wheelhouse.plan import make_plan  # noqa: PLC0415 - likewise

        selected, fleet = self._selected, machines(self._found.minions)
        if job_ids and not selected.packages and not selected.everything:
            jobs = jobs_by_id(self._session, job_ids, fleet)
        else:
            jobs = jobs_for(self._session, selected, fleet)
        return make_plan(jobs, self._facts, force=selected.force)

    def build(self, plan: Plan, *, begun: datetime, width: int | None, upgrade: bool) -> Mapping[str, Record]:
        """Send what is to be built to minions, and follow it."""
        from wheelhouse.cli.display import Display  # noqa: PLC0415 - start-up time
        from wheelhouse.farm.salt.bundle import Bundles  # noqa: PLC0415 - likewise
        from wheelhouse.farm.salt.dispatch import dispatch  # noqa: PLC0415 - likewise
        from wheelhouse.farm.salt.orders import Desk, Orders  # noqa: PLC0415 - likewise

        workspace = self._session.workspace
        display, bundles = Display(self._session.talk, begun=begun), Bundles(workspace)
        desk = Desk(
            observer=display,
            begin=self._results.begin,
            keep=self._keep,
            reused=self._reused,
            finished=lambda entry, record: display.ended(entry, record, self._results.log_path(entry.job.id)),
            recorded=self._index.find,
            tell=partial(self._session.talk.print, markup=False),
        )
        orders = Orders(
            run=f"run-{secrets.token_hex(6)}",
            expression=workspace.config.salt.minions,
            publish=self._publish,
            bundle=lambda entry: bundles.of(entry.job),
            force=self._selected.force,
            upgrade=upgrade,
            width=width or workspace.config.build.jobs or None,
        )
        with stopping_on_signals(), display.following(plan):
            try:
                return dispatch(
                    plan, self._found.minions, bus=self._bus, orders=orders, desk=desk, patience=self._patience()
                )
            except KeyboardInterrupt:
                hint = "run the same command again: it does only what is left"
                raise CanceledError("stopped, and the jobs on the minions with it", hint=hint) from None

    def _patience(self) -> Patience:
        from wheelhouse.farm.salt.attempt import Patience  # noqa: PLC0415 - start-up time

        settings = self._session.workspace.config.salt
        return Patience(
            heartbeat=settings.heartbeat,
            lost_after=settings.lost_after,
            absent=settings.absent,
            attempts=settings.attempts,
        )

    def _keep(self, record: Record, log: str) -> None:
        path = self._results.log_path(record.job)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(log, "utf-8")
        self._results.note(record)

    def _reused(self, entry: Planned) -> Record:
        record = self._facts.latest(entry.job)
        assert record is not None  # noqa: S101 - the plan saw it
        self._results.note(record)  # it may be the index's
        return record


def _tell_spooled(session: Session, records: Mapping[str, Record]) -> None:
    waiting = {
        str(record.details.get("minion"))
        for record in records.values()
        if isinstance(how := record.details.get("published"), dict) and how.get("outcome") == "spooled"
    }
    if waiting:
        session.talk.print(
            f"wheels wait on {', '.join(sorted(waiting))} for the index; "
            "the next job there delivers them, or `salt MINION wheelhouse.deliver`",
            markup=False,
        )


def refuse_what_is_local(*, verify: bool, publishing: bool, cell: str | None) -> None:
    """Raise UsageError for options that make no sense on a fleet."""
    if verify:
        raise UsageError("--verify builds on this machine", hint="leave --farm salt out, or --verify")
    if cell is not None:
        raise UsageError("a cell of a matrix is built on this machine", hint="leave --farm salt out")
    if publishing:
        raise UsageError("--farm salt publishes always: it is how wheels come back", hint="leave --publish out")
