from __future__ import annotations

from pathlib import Path

import pytest
from packaging.utils import canonicalize_name
from packaging.version import Version

from lifecycle.test_solving import a_record
from wheelhouse.errors import SourceError
from wheelhouse.lifecycle.older import lacking, older_without
from wheelhouse.lifecycle.sdist import Found
from wheelhouse.lifecycle.survey import Survey
from wheelhouse.lifecycle.upstream import Release, SdistFile
from wheelhouse.record import Cause

#: What each version of a project asks for.
WANTS = {
    "3.2.1": "foo-2.0",
    "3.2.0": "",
    "3.1.5": "foo-2.0",
    "3.1.4": "",
    "3.0.0rc1": "",
    "2.9.2": "",
    "2.9.1": "",
    "2.8.0": "",
}


def found(version: str) -> Found:
    return Found(
        project=canonicalize_name("demo"), version=Version(version), sha256="0" * 64, archive=Path("x"), origin="me"
    )


def said(version: str) -> Survey:
    return Survey(
        backend="mesonpy",
        requires=(),
        import_names=None,
        licence=None,
        extensions=(),
        packages=(),
        wants=frozenset(WANTS[version].split()),
        depends=(),
    )


def releases(*, yanked: str = "") -> list[Release]:
    return [
        Release(
            version=Version(text),
            sdist=SdistFile(version=Version(text), url="https://x.example/x.tar.gz", sha256="0" * 64),
            tags=frozenset(),
            yanked=text == yanked,
        )
        for text in WANTS
    ]


def look(wanted: str) -> tuple[Found, Survey]:
    version = wanted.removeprefix("demo==")
    return found(version), said(version)


def test_older_without__the_newest_of_the_first_series_that_does_not_ask() -> None:
    chosen = older_without("foo-2.0", found("3.2.1"), said("3.2.1"), releases=releases(), look=look)
    assert chosen is not None
    assert str(chosen[0].version) == "2.9.2"  # the last of each series is looked at; a prerelease never


def test_older_without__yanked__the_one_before_it() -> None:
    chosen = older_without("foo-2.0", found("3.2.1"), said("3.2.1"), releases=releases(yanked="2.9.2"), look=look)
    assert chosen is not None
    assert str(chosen[0].version) == "2.9.1"


def test_older_without__what_the_source_does_not_ask_for__nothing() -> None:
    assert older_without("bar.h", found("3.2.1"), said("3.2.1"), releases=releases(), look=look) is None


def test_older_without__sources_that_cannot_be_had__nothing() -> None:
    def absent(wanted: str) -> tuple[Found, Survey]:
        raise SourceError(f"no {wanted}")

    assert older_without("foo-2.0", found("3.2.1"), said("3.2.1"), releases=releases(), look=absent) is None


@pytest.mark.parametrize(
    ("kind", "message", "name"),
    [
        ("missing-pkg-config-module", "the dependency `foo-2.0` is not found with pkg-config", "foo-2.0"),
        ("missing-header", "the header `sys/foo.h` is not there", "sys/foo.h"),
        ("requirements", "no wheels of `foo`", None),
        ("timeout", "took too long", None),
    ],
)
def test_lacking__says_what_a_build_ended_for_want_of(kind: str, message: str, name: str | None) -> None:
    assert lacking(a_record(Cause(kind=kind, message=message))) == name


def test_lacking__no_record__nothing() -> None:
    assert lacking(None) is None
    assert lacking(a_record()) is None
