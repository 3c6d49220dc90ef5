"""A wheel in; all that the checks have to say of it out: in this process, with no network, running nothing of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from wheelhouse.check.abi3 import check_abi3
from wheelhouse.check.archive import Limits, judge, open_wheel, read_members, read_text
from wheelhouse.check.binaries import check_binaries
from wheelhouse.check.codes import Code, relaxed
from wheelhouse.check.contents import Contents
from wheelhouse.check.grafted import check_grafted, find_grafted
from wheelhouse.check.identity import check_identity
from wheelhouse.check.inside import check_inside, import_names
from wheelhouse.check.metadata import check_metadata
from wheelhouse.check.promise import check_promise
from wheelhouse.check.record import NAME, check_record, parse_record
from wheelhouse.wheel import WheelName

if TYPE_CHECKING:
    import zipfile
    from collections.abc import Iterable
    from pathlib import Path

    from wheelhouse.check.contents import Expectation
    from wheelhouse.finding import Finding
    from wheelhouse.record import Grafted

_ORDER = ("error", "warning", "note")


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """What was found in a wheel."""

    name: WheelName
    sha256: str
    """Of the file's bytes that were looked at, hex."""
    findings: tuple[Finding, ...]
    """Errors first, then warnings and notes; by code, then place."""
    grafted: tuple[Grafted, ...] = ()
    binaries: tuple[str, ...] = ()
    """Paths of the libraries, extension modules and programs inside."""
    imports: tuple[str, ...] = ()
    """What it lets one import, as far as its files tell."""
    unpacked: int = 0
    """Bytes."""


def examine(path: Path, expectation: Expectation | None = None, *, limits: Limits | None = None) -> Examination:
    """Check a wheel file. Without an expectation it is somebody else's, and some findings count less.

    Raises InvalidWheelError where the file is not there, is no zip archive, or is not named as a wheel; whatever else
    is wrong is a finding.
    """
    name = WheelName.parse(path.name)
    with open_wheel(path) as wheel:
        sha256 = wheel.sha256()
        findings = list(judge(wheel, limits or Limits()))
        if any(finding.code == Code.BOMB.code for finding in findings):
            return Examination(name=name, sha256=sha256, findings=_sorted(findings, expectation))
        contents = _read(wheel.archive, name, findings)
    grafted = find_grafted(contents)
    findings += check_identity(contents, expectation)
    findings += check_metadata(contents)
    findings += check_promise(contents, expectation.exclude if expectation else ())
    findings += check_binaries(contents, expectation)
    findings += check_abi3(contents)
    findings += check_grafted(grafted, expectation)
    findings += check_inside(contents)
    return Examination(
        name=name,
        sha256=sha256,
        findings=_sorted(findings, expectation),
        grafted=grafted,
        binaries=tuple(member.name for member, _ in contents.binaries),
        imports=import_names(contents),
        unpacked=sum(member.size for member in contents.members),
    )


def read_contents(path: Path) -> Contents:
    """Return what the checks look at, without checking.

    Raises InvalidWheelError.
    """
    with open_wheel(path) as wheel:
        return _read(wheel.archive, WheelName.parse(path.name), [])


def _read(archive: zipfile.ZipFile, name: WheelName, findings: list[Finding]) -> Contents:
    """Read all members, and add what was found on the way, RECORD's findings included."""
    names = frozenset(info.filename for info in archive.infolist() if not info.is_dir())
    dist_info = _dist_info(names)
    record_path = f"{dist_info or '*.dist-info'}/{NAME}"
    recorded = read_text(archive, record_path)
    record = parse_record(recorded, record_path)
    readings = []
    texts: dict[str, bytes] = {}
    prefix = f"{dist_info}/"
    known = {record_path: recorded} if recorded is not None else {}
    for reading in read_members(archive, record.algorithms, keep=prefix, known=known):
        findings += reading.findings
        readings.append(reading.member)
        if reading.data is not None and reading.member is not None:
            texts[reading.member.name.removeprefix(prefix)] = reading.data
    members = tuple(member for member in readings if member is not None)
    contents = Contents(name=name, members=members, dist_info=dist_info, texts=texts)
    if dist_info is not None:
        findings += check_record(record, contents, names)
    return contents


def _dist_info(names: Iterable[str]) -> str | None:
    """Return the one top-level `.dist-info` folder, if it is one."""
    folders = {folder for folder, slash, _ in (name.partition("/") for name in names) if slash}
    found = [folder for folder in folders if folder.endswith(".dist-info")]
    return found[0] if len(found) == 1 else None


def _sorted(findings: Iterable[Finding], expectation: Expectation | None) -> tuple[Finding, ...]:
    counted = findings if expectation is not None else (relaxed(finding) for finding in findings)
    return tuple(
        sorted(counted, key=lambda finding: (_ORDER.index(finding.severity), finding.code, finding.where or ""))
    )
