"""`wheelhouse check`: findings on any wheels, ours or not."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wheelhouse.cli.files import wheel_files
from wheelhouse.cli.session import pass_session
from wheelhouse.errors import CheckError, InvalidWheelError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from wheelhouse.check import Examination
    from wheelhouse.cli.session import Session
    from wheelhouse.cli.trying import Trials
    from wheelhouse.finding import Finding, Severity
    from wheelhouse.job import Job
    from wheelhouse.trial import TrialResult
    from wheelhouse.wheel import WheelName

#: By severity.
_STYLES = {"error": "red", "warning": "yellow", "note": "cyan"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Checked:
    """One wheel and what was found."""

    path: Path
    findings: tuple[Finding, ...] = ()
    examination: Examination | None = None
    job: Job | None = None
    """The recipe's job that it was held against."""
    trial: TrialResult | None = None
    refused: InvalidWheelError | None = None
    """It is no wheel at all."""

    def count(self, severity: Severity) -> int:
        """Return how many findings are of a severity."""
        return sum(finding.severity is severity for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        """Return what `--json` prints of it."""
        examination = self.examination
        return {
            "wheel": str(self.path),
            "recipe": None if self.job is None else self.job.id,
            "findings": [finding.to_json() for finding in self.findings],
            "grafted": [library.model_dump(mode="json") for library in examination.grafted] if examination else [],
            "binaries": list(examination.binaries) if examination else [],
            "executed": self.trial is not None and self.trial.executed,
            "environment": self.trial.environment if self.trial is not None else None,
            "error": None if self.refused is None else str(self.refused),
        }


@click.command(
    epilog="""\b
Examples:
  wheelhouse check dist/                                  # every wheel in a folder
  wheelhouse check --strict --json dist/*.whl
  wheelhouse check --recipe psycopg2 psycopg2-2.9.10-cp313-cp313-manylinux_2_34_x86_64.whl
  wheelhouse check --no-trial downloaded.whl              # look only, run nothing of it
"""
)
@click.argument("wheels", nargs=-1, required=True, metavar="WHEEL...", type=click.Path(path_type=Path, exists=True))
@click.option(
    "--recipe",
    metavar="NAME[==VERSION]",
    help="Hold the wheels against this recipe. [default: for wheels that wheelhouse built, their own]",
)
@click.option("--strict", is_flag=True, help="Count warnings as errors.")
@click.option("--trial/--no-trial", default=True, help="Install and import wheels that this machine can run.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@pass_session
def check(
    session: Session, *, wheels: tuple[Path, ...], recipe: str | None, strict: bool, trial: bool, as_json: bool
) -> None:
    """Check wheels: archive, RECORD, metadata, tags against binaries, grafted libraries, and an import.

    A wheel without errors is installed into a clean environment and imported, which runs its code. The codes of the
    findings are explained in docs/reference/findings.md. Exit status 9: an error was found.
    """
    from wheelhouse.cli.trying import Trials  # noqa: PLC0415 - start-up time

    checked: list[_Checked] = []
    with Trials(session) as trials:
        for path in wheel_files(wheels):
            result = _check(session, path, recipe, trials if trial else None)
            checked.append(result)
            if not as_json:
                _show(result)
    if as_json:
        session.json([result.to_json() for result in checked])
    _conclude(session, checked, strict=strict)


def _check(session: Session, path: Path, recipe: str | None, trials: Trials | None) -> _Checked:
    from wheelhouse.check import Expectation, examine  # noqa: PLC0415 - start-up time
    from wheelhouse.finding import errors  # noqa: PLC0415 - likewise
    from wheelhouse.trial.codes import EXTENSION_IDLE  # noqa: PLC0415 - likewise
    from wheelhouse.wheel import WheelName  # noqa: PLC0415 - likewise

    try:
        job = _job(session, path, WheelName.parse(path.name), recipe)
        examination = examine(path, None if job is None else Expectation.of(job))
    except InvalidWheelError as error:
        return _Checked(path=path, refused=error)
    tried = None
    if trials is not None and not errors(examination.findings):
        tried = trials.run(path, examination, job)
    said = tried.findings if tried is not None else ()
    if job is None:
        # Its imports were guessed: that they load no extension module says nothing of the wheel.
        said = tuple(finding for finding in said if finding.code != EXTENSION_IDLE)
    findings = (*examination.findings, *said)
    return _Checked(path=path, findings=findings, examination=examination, job=job, trial=tried)


def _job(session: Session, path: Path, name: WheelName, recipe: str | None) -> Job | None:
    """Return the recipe's job that gives such a wheel; None: the wheel is somebody else's."""
    from wheelhouse.check import fits  # noqa: PLC0415 - start-up time
    from wheelhouse.job import make_jobs  # noqa: PLC0415 - likewise
    from wheelhouse.seal import read_key  # noqa: PLC0415 - likewise
    from wheelhouse.target import known_identifiers  # noqa: PLC0415 - likewise

    project, _, version = (recipe or "").partition("==")
    if recipe is None:
        if read_key(path) is None or name.project not in session.registry.projects():
            return None
        project = name.project
    found = session.registry.recipe(project)
    if (
        (version and version != str(name.version))
        or name.version not in found.versions
        or name.project != found.project
    ):
        if recipe is None:
            return None
        raise UsageError(
            f"{name.filename} is not of recipe {recipe}",
            hint=f"it has {', '.join(f'{found.project} {known}' for known in found.versions)}",
        )
    targets = [target for target in known_identifiers().values() if fits(name, target)]
    jobs = make_jobs(found, name.version, targets, session.workspace.config)
    return jobs[0] if jobs else None


def _show(result: _Checked) -> None:
    """Print a wheel's findings as lines that a person and grep can read."""
    name = click.style(result.path.name, bold=True)
    if result.refused is not None:
        click.echo(f"{name}: {click.style('not a wheel', fg='red')}: {result.refused}")
        return
    if not result.findings:
        click.echo(f"{name}: {click.style('nothing to say', fg='green')}")
    for finding in result.findings:
        label = click.style(f"{finding.code} {finding.severity}", fg=_STYLES[finding.severity])
        place = f"{finding.where}: " if finding.where else ""
        click.echo(f"{name}: {label}: {place}{finding.message}")
        if finding.hint and finding.severity != "note":
            click.echo(f"  {click.style('hint:', fg='cyan')} {finding.hint}")


def _conclude(session: Session, checked: Sequence[_Checked], *, strict: bool) -> None:
    """Say what it came to. Raises CheckError, or InvalidWheelError where nothing else was wrong."""
    from wheelhouse.finding import Severity  # noqa: PLC0415 - start-up time

    session.say(", ".join(_totals(checked)))
    wrong = [
        result
        for result in checked
        if result.count(Severity.ERROR) or (strict and result.count(Severity.WARNING)) or result.refused
    ]
    if not wrong:
        return
    refused = [result.refused for result in wrong if result.refused is not None]
    if len(refused) == len(wrong):
        raise refused[0]
    raise CheckError(
        f"{len(wrong)} of {len(checked)} wheels did not pass"
        if len(checked) > 1
        else f"{wrong[0].path.name} did not pass",
        hint="docs/reference/findings.md explains the codes",
    )


def _totals(checked: Sequence[_Checked]) -> Iterator[str]:
    from wheelhouse.finding import Severity  # noqa: PLC0415 - start-up time

    yield f"{len(checked)} wheel{'s' if len(checked) != 1 else ''}"
    for severity in Severity:
        count = sum(result.count(severity) for result in checked)
        yield f"{count} {severity}{'s' if count != 1 else ''}"
    tried = sum(result.trial is not None and result.trial.executed for result in checked)
    yield f"{tried} imported"
