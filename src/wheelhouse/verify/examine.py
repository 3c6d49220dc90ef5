"""A wheel and what is told of it in, findings out: RECORD, bill of materials, provenance, signatures."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from wheelhouse.buildkey import FORMAT, build_key
from wheelhouse.check import examine, find_grafted, read_contents
from wheelhouse.finding import errors
from wheelhouse.provenance import BUILD_TYPE, PREDICATE, read_statement
from wheelhouse.sbom import PATH, occurrences
from wheelhouse.seal import SEAL_NAME
from wheelhouse.verify.codes import Code
from wheelhouse.verify.identity import check_signatures, statements

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from wheelhouse.check.contents import Contents
    from wheelhouse.finding import Finding
    from wheelhouse.provenance import Statement
    from wheelhouse.verify.claims import Claims
    from wheelhouse.verify.identity import Identity

#: What of the checks speaks of the bytes: the archive, RECORD and its hashes.
_INTEGRITY = ("WH10", "WH110", "WH210", "WH211", "WH212", "WH213", "WH214")
_SHOWN = 16


def verify_wheel(path: Path, sha256: str, claims: Claims, *, expected: Identity | None = None) -> tuple[Finding, ...]:
    """Hold a wheel against its own RECORD, its bill of materials, and what is told of it. Raises InvalidWheelError.

    `sha256` is the wheel's. `expected` is who has to have signed; None: nobody in particular.
    """
    findings = [one for one in examine(path).findings if one.code.startswith(_INTEGRITY)]
    if not errors(findings):
        contents = read_contents(path)
        note = _json(contents.texts.get(SEAL_NAME, b"{}"))
        findings += _sbom(contents, note)
        findings += _provenance(path, sha256, claims, note)
    findings += check_signatures(claims.attestations, filename=path.name, sha256=sha256, expected=expected)
    return (*claims.findings, *findings)


def provenances(claims: Claims) -> Iterator[Statement]:
    """Yield what is told of where a wheel comes from, signed statements first; what cannot be read is passed over."""
    for data in _told(claims):
        with suppress(ValueError):
            yield read_statement(data)


def _told(claims: Claims) -> list[bytes]:
    signed = [data for data in statements(claims.attestations) if _json(data).get("predicateType") == PREDICATE]
    return [*signed, *([claims.provenance] if claims.provenance is not None else [])]


def _sbom(contents: Contents, note: Mapping[str, Any]) -> Iterator[Finding]:
    """Hold the bill of materials against what is in the wheel."""
    where = contents.under_dist_info(PATH)
    data = contents.texts.get(PATH)
    grafted = find_grafted(contents)
    if data is None:
        if note or grafted:
            yield Code.NO_SBOM.finding("the wheel does not list what is in it", hint="PEP 770; auditwheel's has gaps")
        return
    document = _json(data)
    listed = occurrences(document)
    package = _table(_table(document, "metadata"), "component")
    if (package.get("name"), package.get("version")) != (contents.name.project, str(contents.name.version)):
        yield Code.SBOM_CONTRADICTS.finding(
            f"it is of {package.get('name')} {package.get('version')}, another package", where=where
        )
    own = {library.path: library for library in grafted}
    for path in sorted(own.keys() - listed.keys()):
        yield Code.SBOM_CONTRADICTS.finding("is in the wheel and not in its bill of materials", where=path)
    for path in sorted(listed.keys() - own.keys()):
        yield Code.SBOM_CONTRADICTS.finding("is in the bill of materials and not in the wheel", where=path)
    for path in sorted(listed.keys() & own.keys()):
        hashes = listed[path].get("hashes")
        said = {one.get("content") for one in hashes if isinstance(one, dict)} if isinstance(hashes, list) else set()
        if own[path].sha256 not in said:
            yield Code.SBOM_CONTRADICTS.finding("has another hash than in the bill of materials", where=path)
    known = sum(library.purl is not None for library in grafted)
    yield Code.SBOM.finding(f"{len(grafted)} grafted libraries, {known} of them with their package", where=where)


def _provenance(path: Path, sha256: str, claims: Claims, note: Mapping[str, Any]) -> Iterator[Finding]:
    """Hold the provenance against the wheel, and against itself."""
    told = _told(claims)
    if not told:
        yield Code.NO_PROVENANCE.finding(
            "nothing tells where it comes from", hint="it lies in dist/.provenance, or is on the index that has it"
        )
    for data in told:
        try:
            statement = read_statement(data)
        except ValueError:
            yield Code.PROVENANCE_INVALID.finding("it is no in-toto statement with SLSA's provenance (v1)")
            continue
        if not statement.is_of(path.name, sha256):
            yield Code.PROVENANCE_INVALID.finding("it is of another file, or of other bytes")
            continue
        wrong = list(_contradictions(statement, note)) if statement.definition.build_type == BUILD_TYPE else []
        yield from wrong
        if not wrong:
            yield Code.PROVENANCE.finding(_summary(statement))


def _contradictions(statement: Statement, note: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield what of our own provenance cannot be so: the key is a digest of all inputs, and is in the wheel too."""
    key, inputs = statement.internal("key"), statement.internal("inputs")
    if key != note.get("key"):
        yield Code.PROVENANCE_CONTRADICTS.finding(f"it is of build key {key}, and the wheel has {note.get('key')}")
    if not isinstance(inputs, dict):
        yield Code.PROVENANCE_CONTRADICTS.finding("it has no inputs")
        return
    if statement.internal("keyFormat") == FORMAT and build_key(inputs) != key:
        yield Code.PROVENANCE_CONTRADICTS.finding("its inputs do not give its build key")
    expected = {"source": {str(inputs.get("source.sha256"))}, "patch": set(), "build-requirement": set()}
    for name, value in inputs.items():
        if name.startswith("source.patch."):
            expected["patch"].add(str(value))
        if name.startswith("requirement."):
            expected["build-requirement"].add(str(value).rpartition("sha256:")[2])
    for role, digests in expected.items():
        if set(statement.digests(role)) != digests:
            yield Code.PROVENANCE_CONTRADICTS.finding(f"what it lists as {role} is not what its inputs say")


def _summary(statement: Statement) -> str:
    source, recipe = statement.digests("source"), statement.digests("recipe")
    parts = [f"built by {statement.predicate.run_details.builder.id}"]
    if source:
        parts.append(f"from a source with sha256 {source[0][:_SHOWN]}…")
    if recipe:
        parts.append(f"by the recipe of commit {recipe[0][:_SHOWN]}")
    if requirements := statement.digests("build-requirement"):
        parts.append(f"with {len(requirements)} build requirements")
    return ", ".join(parts)


def _table(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = document.get(name)
    return value if isinstance(value, dict) else {}


def _json(data: bytes) -> dict[str, Any]:
    """Return a document; an empty one where it is none."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
