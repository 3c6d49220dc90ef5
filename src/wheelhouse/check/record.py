"""RECORD in, findings out: every file listed, every hash right, nothing listed that is not there (PEP 376, 427)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from installer.records import InvalidRecordEntry, RecordEntry, parse_record_file

from wheelhouse.check.codes import Code

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from wheelhouse.check.contents import Contents, Member
    from wheelhouse.finding import Finding

NAME = "RECORD"
#: Files that PEP 427 leaves out of RECORD: signatures of RECORD itself.
_SIGNATURES = ("RECORD.jws", "RECORD.p7s")
#: PEP 427: sha256 or better.
_STRONG = frozenset({"sha256", "sha384", "sha512", "sha3_256", "sha3_384", "sha3_512", "blake2b", "blake2s"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """RECORD as parsed."""

    entries: Mapping[str, RecordEntry]
    findings: tuple[Finding, ...]

    @property
    def algorithms(self) -> dict[str, str]:
        """The hash algorithm of each file that names a usable one."""
        return {
            path: entry.hash_.name
            for path, entry in self.entries.items()
            if entry.hash_ is not None
            and entry.hash_.name in hashlib.algorithms_guaranteed
            and _plain(entry.hash_.name)
        }


def _plain(algorithm: str) -> bool:
    """Say whether the algorithm's digest has one length: SHAKE's has not."""
    return not algorithm.startswith("shake")


def parse_record(data: bytes | None, where: str) -> Record:
    """Parse RECORD; None stands for a file that is not there."""
    if data is None:
        return Record(entries={}, findings=(Code.RECORD.finding("RECORD is missing", where=where),))
    entries: dict[str, RecordEntry] = {}
    findings: list[Finding] = []
    try:
        rows = list(parse_record_file(data.decode("utf-8").splitlines()))
    except (InvalidRecordEntry, ValueError) as error:
        return Record(entries={}, findings=(Code.RECORD.finding(f"cannot be parsed: {error}", where=where),))
    for path, digest, size in rows:
        if path in entries:
            findings.append(Code.RECORD.finding(f"lists `{path}` twice", where=where))
        try:
            entries[path] = RecordEntry.from_elements(path, digest, size)
        except InvalidRecordEntry as error:
            findings.append(Code.RECORD.finding(f"the entry of `{path}` is not valid: {error}", where=where))
            entries[path] = RecordEntry(path, None, None)
    return Record(entries=entries, findings=tuple(findings))


def check_record(record: Record, contents: Contents, names: frozenset[str]) -> Iterator[Finding]:
    """Hold RECORD against the members. `names` are all files of the archive, those that cannot be read too."""
    yield from record.findings
    own = contents.under_dist_info(NAME)
    exempt = {own, *(contents.under_dist_info(name) for name in _SIGNATURES)}
    if own not in record.entries and not record.entries:
        return  # not there, or not parsed: said already
    for name in sorted(names - exempt - record.entries.keys()):
        yield Code.NOT_RECORDED.finding("is not in RECORD", where=name, hint="installers leave such a file behind")
    for name in sorted(record.entries.keys() - names):
        yield Code.RECORDED_MISSING.finding("is in RECORD and not in the wheel", where=name)
    for member in contents.members:
        if member.name in record.entries and member.name not in exempt:
            yield from _compare(record.entries[member.name], member)


def _compare(entry: RecordEntry, member: Member) -> Iterator[Finding]:
    if entry.hash_ is None:
        yield Code.WEAK_HASH.finding("has no hash in RECORD", where=member.name)
        return
    if entry.hash_.name not in _STRONG:
        yield Code.WEAK_HASH.finding(
            f"has a {entry.hash_.name} hash in RECORD", where=member.name, hint="PEP 427: sha256 or better"
        )
    if entry.size is not None and entry.size != member.size:
        yield Code.HASH.finding(f"has {member.size} bytes, RECORD says {entry.size}", where=member.name)
    elif member.digests.get(entry.hash_.name, entry.hash_.value) != entry.hash_.value:
        yield Code.HASH.finding(f"does not match its {entry.hash_.name} in RECORD", where=member.name)
