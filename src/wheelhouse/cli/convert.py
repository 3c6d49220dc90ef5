"""`wheelhouse convert`: eggs and projects without a recipe made into checked wheels."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wheelhouse.cli.session import pass_session
from wheelhouse.errors import CheckError, UsageError, WheelhouseError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wheelhouse.check import Examination
    from wheelhouse.cli.session import Session
    from wheelhouse.process import Processes
    from wheelhouse.target import BuildIdentifier


@click.command(
    epilog="""\b
Examples:
  wheelhouse convert Spam-1.0-py3.12-linux-x86_64.egg
  wheelhouse convert ./old-project --python 3.12
  wheelhouse convert --output wheels spam-1.0.tar.gz eggs/*.egg
"""
)
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path, exists=True))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("converted"),
    show_default=True,
    help="Folder for the wheels.",
)
@click.option("--python", help="Python to build projects for, e.g. 3.13. An egg says itself which. [default: our own]")
@click.option("--json", "as_json", is_flag=True, help="Print what was made as JSON.")
@pass_session
def convert(session: Session, *, files: tuple[Path, ...], output: Path, python: str | None, as_json: bool) -> None:
    """Make wheels of eggs (files or folders), of old Windows installers, and of projects with a setup.py.

    Binaries are repaired and tagged for what auditwheel proves. The results are checked: a wheel with an error is not
    left in the output folder, and the exit status is 9. What was given is not changed.
    """
    from wheelhouse.process import Processes  # noqa: PLC0415 - start-up time

    processes = Processes()
    reports: list[dict[str, Any]] = []
    failures: list[WheelhouseError] = []
    for file in files:
        try:
            with tempfile.TemporaryDirectory(prefix="wheelhouse-convert-") as work:
                wheel, examination = _convert(session, file, python=python, work=Path(work), processes=processes)
                report = _report(file, wheel, examination)
                reports.append(report)
                report["wheel"] = _keep(wheel, report, output)
        except WheelhouseError as error:
            if len(files) == 1:
                raise
            failures.append(error)
            session.talk.print(f"error: {error}", markup=False)
            continue
        if not as_json:
            _print(session, report)
    if as_json:
        session.json(reports)
    if failures:
        first = failures[0]
        raise type(first)(f"{len(failures)} of {len(files)} could not be converted", hint=first.hint)
    if bad := [report["source"] for report in reports if report["wheel"] is None]:
        raise CheckError(f"errors in what was made of {', '.join(bad)}", hint="the findings are above")


def _convert(
    session: Session, file: Path, *, python: str | None, work: Path, processes: Processes
) -> tuple[Path, Examination]:
    from wheelhouse.check import examine  # noqa: PLC0415 - start-up time
    from wheelhouse.egg import is_egg  # noqa: PLC0415 - likewise
    from wheelhouse.legacy import is_project  # noqa: PLC0415 - likewise

    if is_egg(file):
        wheel = _from_egg(file, work=work, processes=processes)
    elif is_project(file):
        wheel = _from_project(session, file, target=_target(python), work=work, processes=processes)
    elif file.suffix == ".whl":
        raise UsageError("is a wheel already", where=str(file), hint=f"`wheelhouse repair {file}` brings it up to date")
    else:
        raise UsageError(
            "is neither an egg nor a project",
            where=str(file),
            hint="give an .egg, a folder with setup.py or pyproject.toml, or an sdist (.tar.gz, .zip)",
        )
    return wheel, examine(wheel)


def _from_egg(file: Path, *, work: Path, processes: Processes) -> Path:
    from wheelhouse.egg import Tools, convert_egg  # noqa: PLC0415 - start-up time
    from wheelhouse.job import RepairSpec  # noqa: PLC0415 - likewise

    tools = Tools(processes=processes, environment=os.environ, work=work, repair=RepairSpec())
    return convert_egg(file.absolute(), destination=work / "wheel", tools=tools)


def _from_project(session: Session, file: Path, *, target: BuildIdentifier, work: Path, processes: Processes) -> Path:
    from wheelhouse.builders.host import HostBuilder  # noqa: PLC0415 - start-up time
    from wheelhouse.config import configured_index, index_url  # noqa: PLC0415 - likewise
    from wheelhouse.diagnose import diagnose, machine_lookup, read_log  # noqa: PLC0415 - likewise
    from wheelhouse.errors import BuildError  # noqa: PLC0415 - likewise
    from wheelhouse.joblog import JobLog  # noqa: PLC0415 - likewise
    from wheelhouse.legacy import LegacyBuild, build_project  # noqa: PLC0415 - likewise

    workspace = session.workspace
    setting = LegacyBuild(
        builder=HostBuilder(processes, workspace.config, os.environ, workspace.cache),
        workspace=workspace,
        processes=processes,
        index=lambda: index_url(workspace.config, os.environ),
        resolver_index=configured_index(workspace.config, os.environ),
        work=work,
        log=JobLog(work / "log.txt", job=file.name),
    )
    try:
        return build_project(file, target, setting)
    except BuildError as error:
        log = read_log(setting.log.path)
        cause = diagnose(log, job=None, error=error, lookup=machine_lookup(processes))
        if not session.quiet:
            session.talk.print(log[-_TAIL:], markup=False)
        mend = "; ".join(cause.mend) or None
        raise BuildError(cause.message, where=str(file), hint=mend) from error


#: Characters of a failed build's log that are shown.
_TAIL = 4000


def _target(python: str | None) -> BuildIdentifier:
    from wheelhouse.target import BuildIdentifier, native_arch, native_family  # noqa: PLC0415 - start-up time

    version = python or f"{sys.version_info.major}.{sys.version_info.minor}"
    return BuildIdentifier.parse(f"cp{version.replace('.', '')}-{native_family()}_{native_arch()}")


def _report(file: Path, wheel: Path, examination: Examination) -> dict[str, Any]:
    return {
        "source": os.fspath(file),
        "filename": wheel.name,
        "wheel": None,
        "platforms": sorted({tag.platform for tag in examination.name.tags}),
        "size": wheel.stat().st_size,
        "grafted": [library.model_dump(mode="json") for library in examination.grafted],
        "findings": [finding.to_json() for finding in examination.findings],
    }


def _keep(wheel: Path, report: Mapping[str, Any], output: Path) -> str | None:
    """Put a wheel without errors into the output folder, in one step; return its path there."""
    if any(finding["severity"] == "error" for finding in report["findings"]):
        return None
    output.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=output, prefix=f".{wheel.name}.")
    os.close(handle)
    try:
        shutil.copyfile(wheel, name)
        Path(name).chmod(0o644)
        return os.fspath(Path(name).replace(output / wheel.name))
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _print(session: Session, report: Mapping[str, Any]) -> None:
    if report["wheel"]:
        click.echo(report["wheel"])
    for library in report["grafted"]:
        session.talk.print(f"  grafted {library['name']} ({library['size']:,} bytes)", markup=False)
    for finding in report["findings"]:
        if finding["severity"] != "note":
            place = f"{finding['where']}: " if finding["where"] else ""
            session.talk.print(f"  {finding['code']} {finding['severity']}: {place}{finding['message']}", markup=False)
