"""A stand-in for dpkg-query answers as Debian 12's does: the lines are its own."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from wheelhouse.owners import with_owners
from wheelhouse.process import Processes
from wheelhouse.record import Grafted

if TYPE_CHECKING:
    from pathlib import Path

QUERY = """\
#!/bin/sh
if [ "$1" = --search ]; then
  echo 'libkeyutils1:amd64: /lib/x86_64-linux-gnu/libkeyutils.so.1.10'
  echo 'one:amd64: /usr/lib/libtwice.so.1'
  echo 'two:amd64: /usr/lib/libtwice.so.1'
  echo 'diversion by dash from: /bin/sh'
  echo 'dpkg-query: no path found matching pattern */libnobody.so.1' >&2
  exit 1
fi
echo 'libkeyutils1 1:1.6.3-2'
"""


def library(name: str, purl: str | None = None) -> Grafted:
    return Grafted(name=name, path=f"spam.libs/{name}", size=1, purl=purl)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    query = tmp_path / "dpkg-query"
    query.write_text(QUERY)
    query.chmod(0o755)
    return {"PATH": f"{tmp_path}:{os.environ['PATH']}"}


def test_with_owners__fills_the_gaps_that_one_package_fills(environment: dict[str, str]) -> None:
    given = [
        library("libpq.so.5", "pkg:deb/debian/libpq5@15"),
        library("libkeyutils.so.1.10"),
        library("libtwice.so.1"),
        library("libnobody.so.1"),
        library("lib*.so"),
    ]

    found = with_owners(given, environment=environment, processes=Processes())

    purls = {one.name: one.purl for one in found}
    assert purls["libkeyutils.so.1.10"] is not None
    assert purls["libkeyutils.so.1.10"].startswith("pkg:deb/")
    assert "/libkeyutils1@1" in purls["libkeyutils.so.1.10"]
    assert [purls[name] for name in ("libpq.so.5", "libtwice.so.1", "libnobody.so.1", "lib*.so")] == [
        "pkg:deb/debian/libpq5@15",
        None,
        None,
        None,
    ]


def test_with_owners__no_dpkg__changes_nothing(tmp_path: Path) -> None:
    given = (library("libkeyutils.so.1.10"),)

    assert with_owners(given, environment={"PATH": str(tmp_path)}, processes=Processes()) == given
