"""`wheelhouse build`: from recipes to checked wheels in `dist/`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wheelhouse.cli.selecting import Selected, make_builders, only_jobs, plan_for, refuse_what_is_impossible, selecting
from wheelhouse.cli.session import pass_session
from wheelhouse.cli.signals import stopping_on_signals
from wheelhouse.errors import CanceledError, JobsFailedError, NotReproducibleError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from wheelhouse.builders import Builder
    from wheelhouse.cli.session import Session
    from wheelhouse.job import BuilderName
    from wheelhouse.joblog import Observer
    from wheelhouse.pipeline import Pipeline
    from wheelhouse.plan import Plan, Planned
    from wheelhouse.process import Processes
    from wheelhouse.record import Record
    from wheelhouse.results import Results

#: Names the attempt of a farm that this build is; it goes into the record.
_TICKET = "WHEELHOUSE_TICKET"


@click.command(
    epilog="""\b
Examples:
  wheelhouse build markupsafe                                   # every Python that is here
  wheelhouse build psycopg2==2.9.10 --python 3.13 --arch aarch64
  wheelhouse build --all --jobs 4                               # the whole registry; what is done is reused
  wheelhouse build markupsafe --verify                          # build again, and compare the bytes
  wheelhouse build --job markupsafe-3.0.2-cp313-manylinux_x86_64
  wheelhouse build --matrix matrix.json --cell stage-0-manylinux_x86_64-0    # as GitHub Actions does
  wheelhouse build markupsafe --publish                         # and upload it, to [publish] url in wheelhouse.toml
  wheelhouse build --all --farm salt                            # on the minions of this Salt master, to that index
"""
)
@selecting
@click.option(
    "--job", "job_ids", multiple=True, metavar="ID", help="This job, by its id; or of what is named. Repeatable."
)
@click.option("--matrix", type=click.Path(path_type=Path, dir_okay=False, exists=True), help="File of `matrix --json`.")
@click.option(
    "--cell", metavar="NAME", help="With --matrix: the jobs of this cell, as a machine of GitHub's builds them."
)
@click.option("-j", "--jobs", type=click.IntRange(min=1), help="How many jobs at once. [default: processors, memory]")
@click.option("--verify", is_flag=True, help="Build every job once more and require the same bytes.")
@click.option(
    "--upgrade-requirements", is_flag=True, help="Take the newest build requirements, and system packages in images."
)
@click.option("--publish", "publishing", is_flag=True, help="Upload what was built or reused, as `publish` does.")
@click.option("--json", "as_json", is_flag=True, help="Print the records as JSON.")
@pass_session
def build(
    session: Session,
    /,
    *,
    job_ids: tuple[str, ...],
    matrix: Path | None,
    cell: str | None,
    jobs: int | None,
    verify: bool,
    upgrade_requirements: bool,
    publishing: bool,
    as_json: bool,
    **options: Any,
) -> int:
    """Build, repair, check and test the wheels of recipes, and put them into dist/.

    One job is one recipe version for one build identifier. A job that fails costs itself and what depends on it; the
    others are finished. Run again, only what is left is done. Exit status 3 says that jobs failed.
    """
    from wheelhouse.cli.display import closing_lines, closing_table  # noqa: PLC0415 - start-up time
    from wheelhouse.process import Processes  # noqa: PLC0415 - likewise
    from wheelhouse.results import Results  # noqa: PLC0415 - likewise
    from wheelhouse.workplace import sweep  # noqa: PLC0415 - likewise

    selected = Selected(**options)
    if selected.farm == "salt":
        from wheelhouse.cli import fleet  # noqa: PLC0415 - start-up time

        fleet.refuse_what_is_local(verify=verify, publishing=publishing, cell=cell)
        return fleet.build_on_fleet(
            session, selected, job_ids=job_ids, width=jobs, upgrade=upgrade_requirements, as_json=as_json
        )
    _refuse_to_publish_nowhere(session, publishing=publishing)
    if matrix is not None or cell is not None:
        selected, job_ids = _of_cell(selected, job_ids, matrix, cell)
    begun = datetime.now(UTC)
    processes = Processes()
    builders = make_builders(session, selected, processes, pull=cell is not None)
    results = Results(session.workspace)
    plan = plan_for(session, selected, builders=builders, results=results, job_ids=job_ids)
    plan = only_jobs(plan, job_ids)
    refuse_what_is_impossible(plan, selected)
    if upgrade_requirements:
        plan = plan.with_nothing_reused("build requirements are resolved anew")
    run = _Run(session=session, results=results, builders=builders, processes=processes, force=selected.force)
    sweep()
    idle = not plan.having("build") and not verify
    if idle:
        records = {entry.job.id: run.reused(entry) for entry in plan.having("reuse")}
    else:
        records = run.carry_out(plan, begun=begun, width=jobs, verify=verify, upgrade=upgrade_requirements)
    if as_json:
        records = _publish_quietly(session, records) if publishing else records
        session.json([record.model_dump(mode="json") for record in records.values()])
    if not idle:
        closing_table(session.talk, plan, records, begun=begun)
    elif not session.quiet:  # plainly: loading what draws tables would take as long as finding out that all is done
        click.echo("\n".join(closing_lines(plan, records, begun=begun)), err=True)
    if publishing and not as_json:
        _publish(session, records.values())
    failed = [record for record in records.values() if record.status == "failed"]
    if verify and any(record.cause and record.cause.kind == "not-reproducible" for record in failed):
        return NotReproducibleError.exit_code
    return JobsFailedError.exit_code if failed else 0


def _of_cell(
    selected: Selected, job_ids: Sequence[str], matrix: Path | None, cell: str | None
) -> tuple[Selected, tuple[str, ...]]:
    """Return the builder and the jobs that a cell of a matrix has. Raises UsageError, InvalidFileError."""
    from dataclasses import replace  # noqa: PLC0415 - start-up time

    from wheelhouse.farm.github import read_matrix  # noqa: PLC0415 - likewise

    if matrix is None or cell is None:
        raise UsageError("--matrix and --cell go together", hint="`wheelhouse matrix --json` writes the file")
    if job_ids or selected.packages or selected.everything:
        raise UsageError("a cell names its jobs itself", hint="leave packages, --all and --job out")
    made = read_matrix(matrix)
    return replace(selected, builder=selected.builder or made.builder), made.cell(cell).jobs


def _refuse_to_publish_nowhere(session: Session, *, publishing: bool) -> None:
    """Raise UsageError before anything is built, where it could not be published afterwards."""
    if not publishing:
        return
    from wheelhouse.publish import find_destination  # noqa: PLC0415 - start-up time

    settings = session.workspace.config.publish
    find_destination(index_url=None, repository=None, settings=settings, environment=os.environ)


def _publish(session: Session, records: Iterable[Record]) -> None:
    """Upload the wheels of these records. Raises PublishError, IndexUnavailableError."""
    from wheelhouse.cli.publish import publish  # noqa: PLC0415 - start-up time

    wheels = [session.workspace.dist / record.wheel.filename for record in records if record.wheel is not None]
    if wheels:
        click.get_current_context().invoke(publish, wheels=tuple(dict.fromkeys(wheels)))


def _publish_quietly(session: Session, records: Mapping[str, Record]) -> dict[str, Record]:
    """Upload the wheels of these records, and return the records with what became of each: in `details`.

    Where a farm has given a ticket, it goes into the records, and these to the index too.
    """
    from wheelhouse.cli.publish import send_quietly  # noqa: PLC0415 - start-up time

    dist = session.workspace.dist
    wheels = [dist / record.wheel.filename for record in records.values() if record.wheel]
    told = {one.filename: one.to_json() for one in send_quietly(session, tuple(dict.fromkeys(wheels)))}
    ticket = os.environ.get(_TICKET)
    own = {"ticket": ticket} if ticket else {}
    published = {
        id_: record.model_copy(
            update={
                "details": {
                    **record.details,
                    **own,
                    **({"published": told.get(record.wheel.filename)} if record.wheel is not None else {}),
                }
            }
        )
        for id_, record in records.items()
    }
    return _record_on_index(session, published) if ticket else published


def _record_on_index(session: Session, records: Mapping[str, Record]) -> dict[str, Record]:
    """Send records to the index that wheels go to, and return them."""
    from wheelhouse.cli.publish import open_spool  # noqa: PLC0415 - start-up time
    from wheelhouse.cli.recording import IndexRecords, send_record  # noqa: PLC0415 - likewise
    from wheelhouse.publish import find_destination  # noqa: PLC0415 - likewise
    from wheelhouse.results import Results  # noqa: PLC0415 - likewise

    settings, results = session.workspace.config.publish, Results(session.workspace)
    destination = find_destination(index_url=None, repository=None, settings=settings, environment=os.environ)
    with (
        IndexRecords.of(destination.url, tell=lambda text: click.echo(text, err=True)) as index,
        open_spool(session) as spool,
    ):
        return {id_: send_record(index, spool, results, record) for id_, record in records.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """One call of `build`."""

    session: Session
    results: Results
    builders: Mapping[BuilderName, Builder]
    processes: Processes
    force: bool

    def carry_out(
        self, plan: Plan, *, begun: datetime, width: int | None = None, verify: bool = False, upgrade: bool = False
    ) -> dict[str, Record]:
        """Build what is to be built; with `verify`, build it all once more."""
        from wheelhouse.cli.display import Display  # noqa: PLC0415 - start-up time
        from wheelhouse.facts import ASKED_FOR  # noqa: PLC0415 - likewise
        from wheelhouse.farm import local  # noqa: PLC0415 - likewise

        display = Display(self.session.talk, begun=begun)
        pipeline = make_pipeline(
            self.session,
            display,
            results=self.results,
            builders=self.builders,
            processes=self.processes,
            upgrade=upgrade,
            force=self.force,
        )
        chosen = width or self.session.workspace.config.build.jobs or local.default_width(plan.entries)

        def finished(entry: Planned, record: Record) -> None:
            display.ended(entry, record, self.results.log_path(entry.job.id))

        chosen_by_itself = {(entry.builder, entry.builder_reason): None for entry in plan.having("build")}
        for builder, reason in chosen_by_itself:
            if reason != ASKED_FOR:
                self.session.talk.print(f"{builder} builder: {reason}", style="dim", markup=False)
        with stopping_on_signals(), display.following(plan):
            try:
                records = local.run(
                    plan, pipeline.run, width=chosen, processes=self.processes, reused=self.reused, finished=finished
                )
                if verify:
                    records |= self._verify(plan, pipeline, records, chosen)
            except (KeyboardInterrupt, CanceledError):
                hint = "run the same command again: it does only what is left"
                raise CanceledError("stopped; what was finished is kept", hint=hint) from None
        return records

    def _verify(self, plan: Plan, pipeline: Pipeline, records: Mapping[str, Record], width: int) -> dict[str, Record]:
        from dataclasses import replace  # noqa: PLC0415 - start-up time

        from wheelhouse.farm import local  # noqa: PLC0415 - likewise
        from wheelhouse.plan import Plan  # noqa: PLC0415 - likewise

        again = Plan(
            tuple(
                replace(entry, action="build", depends=())
                for entry in plan.entries
                if entry.job.id in records and records[entry.job.id].status == "built"
            )
        )

        def worker(entry: Planned, _: Sequence[Record]) -> Record:
            ids = {e.job.id: e.depends for e in plan.entries}[entry.job.id]
            return pipeline.verify(entry, records[entry.job.id], [records[id_] for id_ in ids])

        def finished(entry: Planned, record: Record) -> None:
            same = "the same bytes again" if record.status == "built" else "OTHER BYTES"
            self.session.talk.print(f"verify {entry.job.id}: {same}", markup=False)

        return local.run(again, worker, width=width, processes=self.processes, reused=self.reused, finished=finished)

    def reused(self, entry: Planned) -> Record:
        """Return the record of a result that is there, and offer its wheel."""
        assert entry.key is not None  # noqa: S101 - only a known key is reused
        record = self.results.record(entry.key)
        assert record is not None  # noqa: S101 - the plan saw it
        self.results.offer(record)
        return record


def make_pipeline(
    session: Session,
    observer: Observer,
    *,
    results: Results,
    builders: Mapping[BuilderName, Builder],
    processes: Processes,
    upgrade: bool = False,
    force: bool = False,
) -> Pipeline:
    """Put together what builds jobs on this machine."""
    from wheelhouse import diagnose  # noqa: PLC0415 - start-up time
    from wheelhouse.cli.trying import surroundings  # noqa: PLC0415 - likewise
    from wheelhouse.config import configured_index, index_url  # noqa: PLC0415 - likewise
    from wheelhouse.pipeline import Pipeline  # noqa: PLC0415 - likewise

    workspace = session.workspace
    return Pipeline(
        workspace=workspace,
        results=results,
        builders=builders,
        surroundings=surroundings(workspace, processes),
        lookup=diagnose.machine_lookup(processes),
        processes=processes,
        observer=observer,
        index=lambda: index_url(workspace.config, os.environ),
        resolver_index=configured_index(workspace.config, os.environ),
        upgrade=upgrade,
        force=force,
        environment=os.environ,
    )


def build_once(session: Session, selected: Selected) -> tuple[Record, ...]:
    """Build what is selected, one job after another, for a command that goes on by what came of it.

    Raises what `build` raises.
    """
    from wheelhouse.process import Processes  # noqa: PLC0415 - start-up time
    from wheelhouse.results import Results  # noqa: PLC0415 - likewise
    from wheelhouse.workplace import sweep  # noqa: PLC0415 - likewise

    processes = Processes()
    builders = make_builders(session, selected, processes)
    results = Results(session.workspace)
    plan = plan_for(session, selected, builders=builders, results=results)
    refuse_what_is_impossible(plan, selected)
    sweep()
    run = _Run(session=session, results=results, builders=builders, processes=processes, force=selected.force)
    return tuple(run.carry_out(plan, begun=datetime.now(UTC), width=1).values())
