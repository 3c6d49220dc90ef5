from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import pytest

from check.wheel_factory import binary, compiled
from wheelhouse.check import examine
from wheelhouse.check.grafted import is_allowed

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("libpq.so.5.15", "libpq"),
        ("libpq.so.5.15", "libpq.so.5.15"),
        ("libpq.so.5.15", "libpq.so.*"),
        ("libldap-2.5.so.0.1.8", "libldap"),
        ("libldap-2.5.so.0.1.8", "libldap-2.5"),
        ("libboost_system.so.1", "libboost_*"),
    ],
)
def test_is_allowed(name: str, allowed: str) -> None:
    assert is_allowed(name, allowed)


@pytest.mark.parametrize(
    ("name", "allowed"), [("libpqtypes.so.0", "libpq"), ("libssl3.so", "libssl"), ("libpq.so.5", "pq")]
)
def test_is_allowed__another_library(name: str, allowed: str) -> None:
    assert not is_allowed(name, allowed)


def test_find_grafted__names_package_from_sbom(tmp_path: Path) -> None:
    path = "/usr/lib/x86_64-linux-gnu/libegg.so.1.2"
    reference = f"pkg:deb/debian/libegg1@1.2-3#{hashlib.sha256(path.encode()).hexdigest()}"
    component = {"name": "libegg1", "version": "1.2-3", "bom-ref": reference, "licenses": [{"license": {"id": "MIT"}}]}
    wheel = binary().with_paths(
        {
            "spam.libs/libegg-0123abcd.so.1.2": compiled(),
            "spam.libs/libother-0123abcd.so.1": b"other",
            "spam-1.0.dist-info/sboms/auditwheel.cdx.json": json.dumps({"components": [component]}),
        }
    )

    egg, other = examine(wheel.write(tmp_path)).grafted

    assert (egg.name, egg.package, egg.licence) == ("libegg.so.1.2", "libegg1 1.2-3", "MIT")
    assert egg.size == len(compiled())
    assert (other.name, other.package, other.size) == ("libother.so.1", None, 5)
