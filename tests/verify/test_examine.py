"""A sealed wheel with its bill of materials and provenance, and each with one thing that is not so."""

from __future__ import annotations

import base64
import json
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from check.wheel_factory import binary, compiled
from fakes import HASH, a_job, a_record
from signatures import StandInSigner
from wheelhouse.buildkey import build_key
from wheelhouse.check import find_grafted, read_contents
from wheelhouse.finding import errors
from wheelhouse.provenance import statement
from wheelhouse.record import Origin, Pinned, WheelFile
from wheelhouse.results import provenance_beside
from wheelhouse.sbom import PATH, make_sbom
from wheelhouse.seal import seal
from wheelhouse.verify import Claims, Code, claims_beside, verify_wheel
from wheelhouse.wheel import sha256_of

if TYPE_CHECKING:
    from pathlib import Path

INPUTS = {"source.sha256": HASH, "requirement.setuptools": f"80 sha256:{'d' * 64}"}
KEY = build_key(INPUTS)


def a_wheel(folder: Path, *, sbom: Any = None) -> Path:
    """Write a sealed wheel with a grafted library; `sbom` changes its bill of materials."""
    (folder / "raw").mkdir()
    raw = binary().with_paths({"spam.libs/libegg-0123abcd.so.1": compiled()}).write(folder / "raw")
    job = a_job()
    data = make_sbom(job, key=KEY, epoch=1_700_000_000, grafted=find_grafted(read_contents(raw)))
    if sbom is not None:
        data = json.dumps(sbom(json.loads(data))).encode()
    note = {"job": job.id, "source-sha256": HASH}
    added = {PATH: data}
    sealed = seal(raw, destination=folder, key=KEY, epoch=1_700_000_000, build_number=0, note=note, added=added)
    return sealed.path


def provenance(path: Path, **changes: Any) -> bytes:
    origin = Origin(
        source=Pinned(name="spam", version="1.0", sha256=HASH),
        requirements=(Pinned(name="setuptools", version="80", sha256="d" * 64),),
        builder="pkg:pypi/wheelhouse@0.1.0",
        invocation="1",
        wheelhouse="0.1.0",
    )
    known: dict[str, Any] = {
        "inputs": INPUTS,
        "origin": origin,
        "wheel": WheelFile(filename=path.name, sha256=sha256_of(path), size=1),
    }
    told = statement(a_record(a_job(), key=KEY).model_copy(update={**known, **changes}))
    assert told is not None
    return told.to_json()


def codes(wheel: Path, claims: Claims) -> list[str]:
    return [finding.code for finding in verify_wheel(wheel, sha256_of(wheel), claims)]


def test_verify_wheel__as_it_was_built__has_notes_alone(tmp_path: Path) -> None:
    wheel = a_wheel(tmp_path)

    found = verify_wheel(wheel, sha256_of(wheel), Claims(provenance=provenance(wheel)))

    assert [finding.code for finding in found] == [Code.SBOM.code, Code.PROVENANCE.code, Code.NOT_SIGNED.code]
    assert not errors(found)


def test_verify_wheel__of_somebody_else__misses_what_tells_of_it(tmp_path: Path) -> None:
    assert codes(binary().write(tmp_path), Claims()) == [Code.NO_PROVENANCE.code, Code.NOT_SIGNED.code]


def test_verify_wheel__changed_bytes__are_found_by_record(tmp_path: Path) -> None:
    wheel = a_wheel(tmp_path)
    changed = tmp_path / "changed" / wheel.name
    changed.parent.mkdir()
    with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(changed, "w") as new:
        for info in old.infolist():
            new.writestr(info, b"other" if info.filename.endswith("METADATA") else old.read(info))

    assert codes(changed, Claims(provenance=provenance(changed)))[0] == "WH212"


def renamed(document: Any) -> Any:
    document["metadata"]["component"]["name"] = "eggs"
    return document


def rehashed(document: Any) -> Any:
    document["components"][0]["hashes"][0]["content"] = "0" * 64
    return document


def shortened(document: Any) -> Any:
    document["components"] = []
    return document


def moved(document: Any) -> Any:
    document["components"][0]["evidence"]["occurrences"][0]["location"] = "spam.libs/libother.so"
    return document


@pytest.mark.parametrize("change", [renamed, rehashed, shortened, moved, lambda _: [], lambda _: {"metadata": [1]}])
def test_verify_wheel__bill_of_materials_of_another_wheel__is_an_error(change: Any, tmp_path: Path) -> None:
    wheel = a_wheel(tmp_path, sbom=change)

    assert Code.SBOM_CONTRADICTS.code in codes(wheel, Claims(provenance=provenance(wheel)))


@pytest.mark.parametrize(
    "changes",
    [
        {"key": "f" * 64},
        {"inputs": {**INPUTS, "tool.auditwheel": "6.8.2"}},
        {"inputs": {**INPUTS, "source.sha256": "e" * 64}, "key": build_key({**INPUTS, "source.sha256": "e" * 64})},
    ],
)
def test_verify_wheel__provenance_that_contradicts__is_an_error(changes: Any, tmp_path: Path) -> None:
    wheel = a_wheel(tmp_path)

    assert Code.PROVENANCE_CONTRADICTS.code in codes(wheel, Claims(provenance=provenance(wheel, **changes)))


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"\xff", b'{"_type": 1}'])
def test_verify_wheel__provenance_that_is_none__is_an_error(data: bytes, tmp_path: Path) -> None:
    assert Code.PROVENANCE_INVALID.code in codes(a_wheel(tmp_path), Claims(provenance=data))


def test_verify_wheel__provenance_of_other_bytes__is_an_error(tmp_path: Path) -> None:
    wheel = a_wheel(tmp_path)
    other = provenance(wheel, wheel=WheelFile(filename=wheel.name, sha256="0" * 64, size=1))

    assert Code.PROVENANCE_INVALID.code in codes(wheel, Claims(provenance=other))


def test_claims_beside__finds_provenance_and_attestations(tmp_path: Path) -> None:
    wheel = a_wheel(tmp_path)
    assert claims_beside(wheel) == Claims()
    place = provenance_beside(wheel)
    place.parent.mkdir()
    place.write_bytes(provenance(wheel))
    signed = StandInSigner().sign(provenance(wheel))
    wheel.with_name(f"{wheel.name}.provenance.attestation").write_text(json.dumps(signed))
    wheel.with_name(f"{wheel.name}.publish.attestation").write_text("[")

    claims = claims_beside(wheel)

    assert claims.provenance == provenance(wheel)
    assert claims.attestations == (signed, None)
    # The signed statement is read too; the signatures are a stand-in's and no attestation at all.
    assert codes(wheel, claims) == [
        Code.SBOM.code,
        *[Code.PROVENANCE.code] * 2,
        *[Code.SIGNATURE.code] * 2,
    ]


NAMES = ["_type", "subject", "name", "digest", "sha256", "predicateType", "predicate", "buildDefinition", "runDetails"]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    value=st.recursive(
        st.none() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=5),
        max_leaves=20,
    )
)
def test_verify_wheel__any_document_as_provenance__is_a_finding(value: Any, tmp_path: Path) -> None:
    wheel = binary().write(tmp_path)
    envelope = {"envelope": {"statement": base64.b64encode(json.dumps(value).encode()).decode(), "signature": "eA=="}}

    found = codes(wheel, Claims(provenance=json.dumps(value).encode(), attestations=(envelope, value)))

    assert Code.PROVENANCE_INVALID.code in found
