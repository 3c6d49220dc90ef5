from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from arrivals import sha256
from small_wheels import SmallWheel
from wheelhouse.index.web.insides import (
    Component,
    Grafted,
    Insides,
    Library,
    grafted_in,
    look_inside,
    open_blob,
    parse_sbom,
)

if TYPE_CHECKING:
    from pathlib import Path

    from wheelhouse.index.stores.store import Store

SBOM = {
    "bomFormat": "CycloneDX",
    "components": [
        {"name": "libpq5", "version": "15.14", "licenses": [{"license": {"id": "PostgreSQL"}}, {"expression": "MIT"}]},
        {"name": "bare"},
        {"version": "without a name"},
        "no component",
    ],
}
WHEEL = SmallWheel(
    tag="cp313-cp313-manylinux_2_28_x86_64",
    files={
        "spam.py": "x = 1\n" * 50_000,
        "spam.libs/libpq-0123abcd.so.5.15": b"\x7fELF" * 10,
        "spam/.dylibs/libz.1.dylib": b"mach",
        "spam-1.0.dist-info/sboms/auditwheel.cdx.json": json.dumps(SBOM),
    },
)
COMPONENTS = (
    Component(name="bare", version="", licence=""),
    Component(name="libpq5", version="15.14", licence="PostgreSQL AND MIT"),
)


def test_look_inside__a_repaired_wheel__says_what_was_grafted(store: Store, tmp_path: Path) -> None:
    data = WHEEL.write(tmp_path).read_bytes()
    store.put_bytes(data, sha256(data))

    assert look_inside(lambda: open_blob(store, sha256(data), len(data))) == Insides(
        libraries=(Library(name="libpq.so.5.15", size=40), Library(name="libz.1.dylib", size=4)),
        components=COMPONENTS,
    )


@pytest.mark.parametrize("data", [b"", b"no archive", b"PK\x05\x06" + b"\xff" * 18], ids=["empty", "text", "lies"])
def test_look_inside__no_archive__is_nothing(store: Store, data: bytes) -> None:
    store.put_bytes(data, sha256(data))
    assert look_inside(lambda: open_blob(store, sha256(data), len(data))) is None


def test_look_inside__bytes_that_are_not_here__is_nothing(store: Store) -> None:
    assert look_inside(lambda: open_blob(store, sha256(b"gone"), 4)) is None


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b'{"components": 3}', b"[" * 100_000])
def test_parse_sbom__what_is_none__names_nothing(data: bytes) -> None:
    assert list(parse_sbom(data)) == []


def test_grafted_in__several_wheels__says_in_which_and_how_large() -> None:
    found = {
        "a.whl": Insides(libraries=(Library(name="libpq.so", size=1), Library(name="libz.so", size=5))),
        "b.whl": Insides(libraries=(Library(name="libpq.so", size=3),)),
    }
    assert grafted_in(found) == (
        Grafted(name="libpq.so", wheels=("a.whl", "b.whl"), smallest=1, largest=3),
        Grafted(name="libz.so", wheels=("a.whl",), smallest=5, largest=5),
    )
