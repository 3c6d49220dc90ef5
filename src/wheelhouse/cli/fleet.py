"""`--farm salt`: what `build` and `plan` do where jobs go to the minions of a Salt master."""

from __future__ import annotations

import os
import secrets
from contextlib import contextmanager
from typing import TYPE_CHECKING

from wheelhouse.cli.build import only_jobs, refuse_what_is_impossible, stopping_on_signals
from wheelhouse.cli.selecting import jobs_by_id, jobs_for
from wheelhouse.errors import CanceledError, JobsFailedError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from wheelhouse.cli.selecting import Selected
    from wheelhouse.cli.session import Session
    from wheelhouse.farm.salt.bus import SaltBus
    from wheelhouse.farm.salt.discover import Found
    from wheelhouse.plan import Plan, Planned
    from wheelhouse.record import Record

_WHERE = "on this fleet"
_PLAN = "`wheelhouse plan --farm salt`"


def plan_for_fleet(session: Session, selected: Selected, job_ids: Sequence[str] = ()) -> Plan:
    """Return what `build --farm salt` would do. Raises MachineError where Salt or its minions are not there."""
    with _fleet(session) as (_, found):
        return _plan(session, selected, found, job_ids)


def build_on_fleet(
    session: Session, selected: Selected, *, job_ids: Sequence[str], width: int | None, upgrade: bool, as_json: bool
) -> int:
    """Build on minions and return the exit status. Wheels go from there to the index, records and logs come here."""
    from wheelhouse.cli.display import closing_table  # noqa: PLC0415 - start-up time
    from wheelhouse.publish import find_destination  # noqa: PLC0415 - likewise

    destination = find_destination(
        index_url=None, repository=None, settings=session.workspace.config.publish, environment=os.environ
    )
    with _fleet(session) as (bus, found):
        plan = only_jobs(_plan(session, selected, found, job_ids), job_ids)
        refuse_what_is_impossible(plan, selected)
        records = _carry_out(
            session, selected, plan, found, bus=bus, publish=destination.url, width=width, upgrade=upgrade
        )
    if as_json:
        session.json([record.model_dump(mode="json") for record in records.values()])
    closing_table(session.talk, plan, records, where=_WHERE, ask=_PLAN)
    _tell_spooled(session, records)
    return JobsFailedError.exit_code if any(one.status == "failed" for one in records.values()) else 0


@contextmanager
def _fleet(session: Session) -> Iterator[tuple[SaltBus, Found]]:
    """Reach Salt, and the minions that build."""
    from wheelhouse.farm.salt.bus import salt_bus  # noqa: PLC0415 - start-up time
    from wheelhouse.farm.salt.discover import discover  # noqa: PLC0415 - likewise
    from wheelhouse.process import Processes  # noqa: PLC0415 - likewise

    settings = session.workspace.config.salt
    with salt_bus(settings, processes=Processes(), log=session.workspace.state / "salt.txt") as bus:
        found = discover(bus, settings.minions)
        for minion, reason in found.refused.items():
            session.talk.print(f"{minion} cannot be used: {reason}", markup=False)
        yield bus, found


def _plan(session: Session, selected: Selected, found: Found, job_ids: Sequence[str]) -> Plan:
    from wheelhouse.farm.salt.minion import FleetFacts, machines  # noqa: PLC0415 - start-up time
    from wheelhouse.plan import make_plan  # noqa: PLC0415 - likewise
    from wheelhouse.results import Results  # noqa: PLC0415 - likewise

    facts = FleetFacts(
        minions=found.minions,
        refused=found.refused,
        setting=selected.builder or session.workspace.config.build.builder,
        results=Results(session.workspace),
        recorded={},
    )
    fleet = machines(found.minions)
    if job_ids and not selected.packages and not selected.everything:
        jobs = jobs_by_id(session, job_ids, fleet)
    else:
        jobs = jobs_for(session, selected, fleet)
    return make_plan(jobs, facts, force=selected.force)


def _carry_out(
    session: Session,
    selected: Selected,
    plan: Plan,
    found: Found,
    *,
    bus: SaltBus,
    publish: str,
    width: int | None,
    upgrade: bool,
) -> Mapping[str, Record]:
    from wheelhouse.cli.display import Display  # noqa: PLC0415 - start-up time
    from wheelhouse.farm.salt.attempt import Patience  # noqa: PLC0415 - likewise
    from wheelhouse.farm.salt.bundle import Bundles  # noqa: PLC0415 - likewise
    from wheelhouse.farm.salt.dispatch import dispatch  # noqa: PLC0415 - likewise
    from wheelhouse.farm.salt.orders import Desk, Orders  # noqa: PLC0415 - likewise
    from wheelhouse.results import Results  # noqa: PLC0415 - likewise

    settings = session.workspace.config.salt
    results = Results(session.workspace)
    display = Display(session.talk)
    bundles = Bundles(session.workspace)

    def keep(record: Record, log: str) -> None:
        path = results.log_path(record.job)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(log, "utf-8")
        results.note(record)

    def reused(entry: Planned) -> Record:
        record = results.latest(entry.job.id)
        assert record is not None  # noqa: S101 - the plan saw it
        return record

    desk = Desk(
        observer=display,
        begin=results.begin,
        keep=keep,
        reused=reused,
        finished=lambda entry, record: display.ended(entry, record, results.log_path(entry.job.id)),
        recorded=lambda _: None,
        tell=lambda text: session.talk.print(text, markup=False),
    )
    orders = Orders(
        run=f"run-{secrets.token_hex(6)}",
        expression=settings.minions,
        publish=publish,
        bundle=lambda entry: bundles.of(entry.job),
        force=selected.force,
        upgrade=upgrade,
        width=width or session.workspace.config.build.jobs or None,
    )
    patience = Patience(
        heartbeat=settings.heartbeat,
        lost_after=settings.lost_after,
        absent=settings.absent,
        attempts=settings.attempts,
    )
    with stopping_on_signals(), display.following(plan):
        try:
            return dispatch(plan, found.minions, bus=bus, orders=orders, desk=desk, patience=patience)
        except KeyboardInterrupt:
            hint = "run the same command again: it does only what is left"
            raise CanceledError("stopped, and the jobs on the minions with it", hint=hint) from None


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
