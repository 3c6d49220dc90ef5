from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.utils import canonicalize_name

from arrivals import sha256
from wheelhouse.index.changes.repository import NewFile
from wheelhouse.index.model import FileName, Manifest
from wheelhouse.index.outages.pending import TARGET, from_item, merge, to_fields
from wheelhouse.spool import Item, State

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wheelhouse.index.outages.pending import PendingFile

SPAM = canonicalize_name("spam")
MOMENT = datetime(2026, 11, 22, 21, 54, 12, 345678, tzinfo=UTC)


def an_item(new: NewFile, fields: Mapping[str, str], number: int = 1) -> Item:
    return Item(
        id=number,
        sha256=new.sha256,
        size=new.size,
        path=Path("/spool") / new.sha256,
        target=TARGET,
        name=new.name.filename,
        order_key=new.name.project,
        fields=fields,
        accepted=0.0,
        state=State.WAITING,
    )


def a_new_file(version: str = "1.0", data: bytes = b"spam") -> NewFile:
    name = FileName.parse(f"spam-{version}-py3-none-any.whl")
    return NewFile(name=name, sha256=sha256(data), size=len(data), metadata=b"Name: spam\n")


def pending(version: str, number: int = 1, data: bytes = b"spam") -> PendingFile:
    new = a_new_file(version, data)
    return from_item(an_item(new, to_fields(new, MOMENT), number))


@given(
    metadata=st.none() | st.binary(min_size=1),
    provenance=st.none() | st.text().map(str.encode),
    requires_python=st.sampled_from([None, ">=3.9", "~=3.11,!=3.12.1"]),
    hashes=st.dictionaries(st.sampled_from(["sha512", "blake2b"]), st.text("0123456789abcdef", min_size=8)),
)
def test_item__of_an_upload__comes_back_as_it_was(
    metadata: bytes | None, provenance: bytes | None, requires_python: str | None, hashes: dict[str, str]
) -> None:
    plain = a_new_file()
    new = NewFile(
        name=plain.name,
        sha256=plain.sha256,
        size=plain.size,
        hashes=hashes,
        requires_python=requires_python,
        metadata=metadata,
        provenance=provenance,
        uploaded=MOMENT,
    )
    found = from_item(an_item(new, to_fields(new, MOMENT)))
    assert found.new_file(metadata)[0] == new
    assert found.metadata_size == len(metadata or b"")
    assert found.file.core_metadata == (None if metadata is None else sha256(metadata))


def test_item__of_something_else__is_refused() -> None:
    with pytest.raises(ValueError, match="none of an upload"):
        from_item(an_item(a_new_file(), {}))


def test_merge__what_is_published_or_was_deleted__goes_first() -> None:
    published, deleted, fresh = pending("1.0", 1), pending("2.0", 2), pending("0.5", 3)
    manifest = Manifest(name=SPAM, files=(published.file,), deleted={deleted.file.filename: "0" * 64}, generation=7)
    other = pending("1.0", 4, b"other bytes")

    merged = merge(manifest, SPAM, [other, deleted, fresh])

    assert merged.files == (fresh.file, published.file)
    assert merged.generation == 7
    assert merge(manifest, SPAM, [other]) is manifest
    assert merge(None, SPAM, [fresh]).files == (fresh.file,)
