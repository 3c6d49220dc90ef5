"""`wheelhouse repair`: existing wheels brought up to the standard of ours."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wheelhouse.cli.session import pass_session
from wheelhouse.errors import CheckError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wheelhouse.check import Examination
    from wheelhouse.cli.session import Session
    from wheelhouse.job import RepairSpec
    from wheelhouse.process import Processes


@click.command(
    epilog="""\b
Examples:
  wheelhouse repair spam-1.0-cp313-cp313-linux_x86_64.whl
  wheelhouse repair --output fixed --exclude libcuda.so.1 *.whl
"""
)
@click.argument(
    "wheels", nargs=-1, required=True, metavar="WHEEL...", type=click.Path(path_type=Path, exists=True, dir_okay=False)
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("repaired"),
    show_default=True,
    help="Folder for the repaired wheels.",
)
@click.option("--exclude", multiple=True, metavar="LIB", help="Library to leave out, e.g. libcuda.so.1. Repeatable.")
@click.option("--strip/--no-strip", default=True, show_default=True, help="Remove symbols from binaries.")
@click.option("--json", "as_json", is_flag=True, help="Print what was made as JSON.")
@pass_session
def repair(
    session: Session, *, wheels: tuple[Path, ...], output: Path, exclude: tuple[str, ...], strip: bool, as_json: bool
) -> None:
    """Graft the libraries that wheels need, strip them, remove the builder's paths, and tag what auditwheel proves.

    The wheels given are not changed. The results are checked; exit status 9 if a check finds an error.
    """
    from wheelhouse.job import RepairSpec  # noqa: PLC0415 - start-up time
    from wheelhouse.process import Processes  # noqa: PLC0415 - likewise

    for wheel in wheels:
        if wheel.absolute().parent.resolve() == output.absolute().resolve():
            raise UsageError(f"{wheel} lies in the output folder {output}", hint="choose another folder with --output")
    spec, processes = RepairSpec(exclude=exclude, strip=strip), Processes()
    reports = []
    failed: list[str] = []
    for wheel in wheels:
        path, examination = _repair(wheel, output=output, spec=spec, processes=processes)
        report = _report(wheel, path, examination)
        reports.append(report)
        if any(finding["severity"] == "error" for finding in report["findings"]):
            failed.append(path.name)
        if not as_json:
            _print(session, report)
    if as_json:
        session.json(reports)
    if failed:
        raise CheckError(f"errors in {', '.join(failed)}", hint=f"the findings are above; the wheels are in {output}")


def _repair(wheel: Path, *, output: Path, spec: RepairSpec, processes: Processes) -> tuple[Path, Examination]:
    from wheelhouse.check import examine  # noqa: PLC0415 - start-up time
    from wheelhouse.repair import newest_member, repair_wheel, wheel_arch  # noqa: PLC0415 - likewise
    from wheelhouse.wheel import WheelName  # noqa: PLC0415 - likewise

    # The wheel's own time unless told otherwise: the same wheel repaired again gives the same bytes.
    environment = {"SOURCE_DATE_EPOCH": str(newest_member(wheel)), **os.environ}
    arch = wheel_arch(WheelName.parse(wheel.name))
    path = repair_wheel(
        wheel.absolute(),
        destination=output.absolute(),
        spec=spec,
        arch=arch,
        log=None,
        processes=processes,
        env=environment,
    )
    return output / path.name, examine(path)


def _report(wheel: Path, path: Path, examination: Examination) -> dict[str, Any]:
    return {
        "wheel": os.fspath(wheel),
        "repaired": os.fspath(path),
        "platforms": sorted({tag.platform for tag in examination.name.tags}),
        "size": path.stat().st_size,
        "grafted": [library.model_dump(mode="json") for library in examination.grafted],
        "findings": [finding.to_json() for finding in examination.findings],
    }


def _print(session: Session, report: Mapping[str, Any]) -> None:
    click.echo(report["repaired"])
    click.echo(f"  platform  {', '.join(report['platforms'])}")
    for library in report["grafted"]:
        click.echo(f"  grafted   {library['name']}  {_kilobytes(library['size'])}")
    if not report["grafted"]:
        click.echo("  grafted   nothing")
    for finding in report["findings"]:
        if finding["severity"] != "note":
            place = f"{finding['where']}: " if finding["where"] else ""
            session.talk.print(f"  {finding['code']} {finding['severity']}: {place}{finding['message']}", markup=False)


def _kilobytes(size: int) -> str:
    return f"{size / 1000:,.0f} kB"
