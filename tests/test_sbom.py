"""Bills of materials: held against CycloneDX's own schema, and byte by byte against what was written before."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cyclonedx.model.bom import Bom
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from hypothesis import given
from hypothesis import strategies as st

from fakes import a_job
from wheelhouse.job import Patch
from wheelhouse.record import Grafted
from wheelhouse.sbom import make_sbom, occurrences

if TYPE_CHECKING:
    from wheelhouse.job import Job

KEY = "ab" * 32
EPOCH = 1_700_000_000
LIBPQ = Grafted(
    name="libpq.so.5.15",
    path="spam.libs/libpq-0123abcd.so.5.15",
    size=3,
    purl="pkg:deb/debian/libpq5@15.8-0%2Bdeb12u1",
    sha256="a" * 64,
    licence="PostgreSQL",
)
NOBODYS = Grafted(name="libfoo.so.1", path="spam.libs/libfoo-0123abcd.so.1", size=3, sha256="b" * 64)


def patched() -> Job:
    job = a_job()
    patch = Patch(path=Path("/anywhere/0001-mend it.patch"), sha256="c" * 64)
    return replace(job, source=replace(job.source, patches=(patch,)))


def document(job: Job, *grafted: Grafted, key: str = KEY) -> Any:
    return json.loads(make_sbom(job, key=key, epoch=EPOCH, grafted=grafted))


def test_make_sbom__passes_cyclonedx_own_validator() -> None:
    data = make_sbom(patched(), key=KEY, epoch=EPOCH, grafted=[LIBPQ, NOBODYS])

    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(data.decode()) is None
    bom = Bom.from_json(json.loads(data))  # type: ignore[attr-defined] # the serialiser's decorator adds it
    assert bom.validate()


def test_make_sbom__names_package_source_patches_and_what_was_grafted() -> None:
    found = document(patched(), LIBPQ, NOBODYS)

    package = found["metadata"]["component"]
    assert package["purl"] == "pkg:pypi/spam@1.0"
    assert package["pedigree"]["ancestors"][0]["hashes"] == [{"alg": "SHA-256", "content": "0" * 64}]
    assert package["pedigree"]["notes"] == f"0001-mend it.patch sha256:{'c' * 64}"
    libfoo, libpq = found["components"]
    assert (libpq["name"], libpq["version"], libpq["purl"]) == ("libpq5", "15.8-0+deb12u1", LIBPQ.purl)
    assert libpq["licenses"] == [{"license": {"name": "PostgreSQL"}}]
    assert libpq["hashes"] == [{"alg": "SHA-256", "content": "a" * 64}]
    assert (libfoo["name"], libfoo.get("purl"), libfoo.get("version")) == ("libfoo.so.1", None, None)
    assert found["dependencies"][0]["dependsOn"] == [NOBODYS.path, LIBPQ.path]
    assert occurrences(found) == {LIBPQ.path: libpq, NOBODYS.path: libfoo}


def test_make_sbom__same_inputs__the_bytes_of_ever() -> None:
    """If a new cyclonedx-python-lib writes other bytes, `buildkey.FORMAT` has to be raised with this hash."""
    data = make_sbom(patched(), key=KEY, epoch=EPOCH, grafted=[LIBPQ, NOBODYS])

    assert data == make_sbom(patched(), key=KEY, epoch=EPOCH, grafted=[NOBODYS, LIBPQ])
    assert hashlib.sha256(data).hexdigest() == "f59fe8ca88d86655fa85e28faef8a6720f7880adae22cc391d0d0a71ac4781be"


def test_make_sbom__serial_number__is_the_keys() -> None:
    assert document(a_job())["serialNumber"] == document(a_job(), LIBPQ)["serialNumber"]
    assert document(a_job())["serialNumber"] != document(a_job(), key="cd" * 32)["serialNumber"]
    assert document(a_job())["metadata"]["timestamp"] == "2023-11-14T22:13:20+00:00"


def test_make_sbom__purl_that_is_none__leaves_the_librarys_own_name() -> None:
    (component,) = document(a_job(), LIBPQ.model_copy(update={"purl": "no purl"}))["components"]

    assert (component["name"], component.get("purl")) == ("libpq.so.5.15", None)


JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["components", "evidence", "occurrences", "location"]), inner, max_size=4)
    ),
)


@given(JSON)
def test_occurrences__of_any_document__reads_it_or_finds_nothing(value: Any) -> None:
    assert isinstance(occurrences(value), dict)
