"""Provenance: held against in-toto's and SLSA's own message types, and what pypi-attestations signs."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict
from hypothesis import given
from hypothesis import strategies as st
from in_toto_attestation.predicates.provenance.v1.provenance_pb2 import Provenance as SlsaProvenance
from in_toto_attestation.v1.resource_descriptor import ResourceDescriptor
from in_toto_attestation.v1.statement import Statement as InTotoStatement
from sigstore.dsse import Statement as DsseStatement
from sigstore.hashes import Hashed
from sigstore_models.common.v1 import HashAlgorithm

from fakes import HASH, a_job, a_record
from wheelhouse.buildkey import FORMAT, build_key
from wheelhouse.provenance import BUILD_TYPE, PREDICATE, read_statement, statement
from wheelhouse.record import Grafted, Origin, Pinned, Recipe, Record, WheelFile

INPUTS = {
    "source.sha256": HASH,
    "source.patch.0.0001-mend.patch": "c" * 64,
    "requirement.setuptools": f"80.1 sha256:{'d' * 64}",
    "image.digest": f"sha256:{'e' * 64}",
    "tool.auditwheel": "6.8.2",
}
SETUPTOOLS = Pinned(
    name="setuptools", version="80.1", sha256="d" * 64, url="https://files.example/setuptools-80.1-py3-none-any.whl"
)
ORIGIN = Origin(
    source=Pinned(name="spam", version="1.0", sha256=HASH, url="https://spam.example/spam-1.0.tar.gz"),
    patches=(Pinned(name="0001-mend.patch", sha256="c" * 64),),
    requirements=(SETUPTOOLS,),
    recipe=Recipe(commit="f" * 40, path="recipes/spam", url="git+https://git.example/wheels", changed=True),
    builder="https://github.com/acme/wheels/.github/workflows/wheels.yml@refs/heads/main",
    invocation="https://github.com/acme/wheels/actions/runs/1/attempts/1",
    wheelhouse="0.1.0",
)
LIBPQ = Grafted(
    name="libpq.so.5", path="spam.libs/libpq.so.5", size=1, purl="pkg:deb/debian/libpq5@15", sha256="9" * 64
)


def built(**changes: Any) -> Record:
    known: dict[str, Any] = {
        "inputs": INPUTS,
        "builder": "cibuildwheel",
        "epoch": 1_700_000_000,
        "details": {"image": "registry.example/manylinux:1"},
        "origin": ORIGIN,
        "grafted": (LIBPQ,),
        "wheel": WheelFile(filename="spam-1.0-py3-none-any.whl", sha256="a" * 64, size=1),
    }
    return a_record(a_job(), key=build_key(INPUTS)).model_copy(update={**known, **changes})


def table() -> dict[str, Any]:
    told = statement(built())
    assert told is not None
    found: dict[str, Any] = json.loads(told.to_json())
    return found


def test_statement__is_one_of_in_totos_with_slsas_predicate() -> None:
    found = table()

    InTotoStatement.copy_from_pb(ParseDict(found, InTotoStatement([], "", {}).pb)).validate()
    provenance = ParseDict(found["predicate"], SlsaProvenance())  # refuses what it does not know
    for one in provenance.build_definition.resolved_dependencies:
        ResourceDescriptor.copy_from_pb(one).validate()
    assert provenance.run_details.builder.id == ORIGIN.builder
    assert (found["_type"], found["predicateType"]) == ("https://in-toto.io/Statement/v1", PREDICATE)


def test_statement__can_be_signed_by_sigstore() -> None:
    told = statement(built())
    assert told is not None

    digest = Hashed(algorithm=HashAlgorithm.SHA2_256, digest=bytes.fromhex("a" * 64))

    assert DsseStatement(told.to_json())._matches_digest(digest)


def test_statement__says_all_that_went_in() -> None:
    found = table()

    definition = found["predicate"]["buildDefinition"]
    assert definition["buildType"] == BUILD_TYPE
    assert definition["externalParameters"]["target"] == "cp311-manylinux_x86_64"
    assert definition["internalParameters"] == {
        "key": build_key(INPUTS),
        "keyFormat": FORMAT,
        "inputs": INPUTS,
        "sourceDateEpoch": 1_700_000_000,
    }
    inside = {one["annotations"]["role"]: one for one in definition["resolvedDependencies"]}
    assert inside["source"]["digest"] == {"sha256": HASH}
    assert inside["source"]["downloadLocation"] == "https://spam.example/spam-1.0.tar.gz"
    assert inside["patch"] == {
        "name": "0001-mend.patch",
        "digest": {"sha256": "c" * 64},
        "annotations": {"role": "patch"},
    }
    assert inside["recipe"]["digest"] == {"gitCommit": "f" * 40}
    assert inside["recipe"]["annotations"]["uncommittedChanges"] is True
    assert (inside["image"]["name"], inside["image"]["digest"]) == (
        "registry.example/manylinux:1",
        {"sha256": "e" * 64},
    )
    assert inside["build-requirement"]["uri"] == "pkg:pypi/setuptools@80.1"
    assert (inside["grafted"]["uri"], inside["grafted"]["digest"]) == (LIBPQ.purl, {"sha256": "9" * 64})
    details = found["predicate"]["runDetails"]
    assert details["builder"]["id"] == ORIGIN.builder
    assert details["builder"]["version"] == {"wheelhouse": "0.1.0", "auditwheel": "6.8.2"}
    assert details["metadata"] == {
        "invocationId": ORIGIN.invocation,
        "startedOn": "2026-01-01T00:00:00Z",
        "finishedOn": "2026-01-01T00:00:01Z",
    }
    assert found["subject"] == [{"name": "spam-1.0-py3-none-any.whl", "digest": {"sha256": "a" * 64}}]


def test_statement__record__survives_being_written_and_read() -> None:
    record = built()

    assert statement(Record.model_validate_json(record.to_json())) == statement(record)


def test_statement__of_what_was_not_built_here__is_none() -> None:
    assert statement(built(origin=None)) is None
    assert statement(built(wheel=None)) is None


def test_read_statement__reads_what_was_written() -> None:
    told = statement(built())
    assert told is not None

    again = read_statement(told.to_json())

    assert again == told
    assert again.is_of("spam-1.0-py3-none-any.whl", "a" * 64)
    assert not again.is_of("spam-1.0-py3-none-any.whl", "b" * 64)
    assert not again.is_of("eggs-1.0-py3-none-any.whl", "a" * 64)
    assert again.digests("build-requirement") == ("d" * 64,)


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b'{"_type": "https://in-toto.io/Statement/v1"}', b"\xff"])
def test_read_statement__of_anything_else__is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError, match="validation error"):
        read_statement(data)


@given(st.binary())
def test_read_statement__of_any_bytes__is_a_value_error_at_most(data: bytes) -> None:
    with pytest.raises(ValueError, match="validation error"):
        read_statement(data)
