from __future__ import annotations

from pathlib import Path

import pytest
from packaging.utils import canonicalize_name
from packaging.version import Version

from lifecycle.test_solving import a_record, refused
from wheelhouse.errors import SourceError
from wheelhouse.lifecycle.older import Lack, lacking, older_without
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


def look(wanted: str, word: str | None) -> tuple[Found, Survey, bool]:
    version = wanted.removeprefix("demo==")
    return found(version), said(version), word in WANTS[version].split()


FOO = Lack(what="foo", word="foo-2.0", only=True)


def test_older_without__the_newest_of_the_first_series_that_does_not_ask() -> None:
    chosen = older_without(FOO, found("3.2.1"), releases=releases(), look=look)
    assert chosen is not None
    assert str(chosen[0].version) == "2.9.2"  # the last of each series is looked at; a prerelease never


def test_older_without__yanked__the_one_before_it() -> None:
    chosen = older_without(FOO, found("3.2.1"), releases=releases(yanked="2.9.2"), look=look)
    assert chosen is not None
    assert str(chosen[0].version) == "2.9.1"


def test_older_without__what_the_source_does_not_ask_for__nothing() -> None:
    assert older_without(Lack(what="bar", word="bar.h"), found("3.2.1"), releases=releases(), look=look) is None


def test_older_without__sources_that_cannot_be_had__nothing() -> None:
    def absent(wanted: str, word: str | None) -> tuple[Found, Survey, bool]:
        if wanted == "demo==3.2.1":
            return look(wanted, word)
        raise SourceError(f"no {wanted}")

    assert older_without(FOO, found("3.2.1"), releases=releases(), look=absent) is None


@pytest.mark.parametrize(("only", "version"), [(True, None), (False, "3.1.5")])
def test_older_without__all_ask__the_one_before_where_it_may_do(*, only: bool, version: str | None) -> None:
    lack = Lack(what="a member", word="size", only=only)
    chosen = older_without(lack, found("3.2.1"), releases=releases(), look=lambda w, _: (*look(w, None)[:2], True))
    assert (None if chosen is None else str(chosen[0].version)) == version


def test_older_without__nothing_tells_which_ask__the_newest_of_the_series_before() -> None:
    chosen = older_without(Lack(what="more", word=None), found("3.2.1"), releases=releases(), look=look)
    assert chosen is not None
    assert str(chosen[0].version) == "3.1.5"


@pytest.mark.parametrize(
    ("kind", "message", "evidence", "word"),
    [
        ("missing-pkg-config-module", "the dependency `foo-2.0` is not found with pkg-config", "", "foo-2.0"),
        ("missing-header", "the header `sys/foo.h` is not there", "", "sys/foo.h"),
        ("requirements", "no wheels of `foo`", "", None),
        ("timeout", "took too long", "", None),
        (
            "compile-error",
            "x",
            "e.c:9:4: error: \u2018FOO_MAX\u2019 undeclared (first use in this function)",
            "FOO_MAX",
        ),
        ("compile-error", "x", "e.c:9:4: error: use of undeclared identifier 'FOO_MAX'", "FOO_MAX"),
        ("compile-error", "x", "e.c:9:4: error: unknown type name \u2018foo_t\u2019", "foo_t"),
        ("compile-error", "x", "e.c:9:4: error: \u2018struct foo\u2019 has no member named \u2018size\u2019", "size"),
        ("compile-error", "x", "e.h:1:1: error: static declaration of \u2018foo_x\u2019 follows non-static", "foo_x"),
        ("compile-error", "x", "e.c:9:4: error: expected ';'", None),
        (
            "compiler-too-strict",
            "x",
            "error: implicit declaration of function \u2018foo_new\u2019 [-Werror]",
            "foo_new",
        ),
        ("undefined-symbol", "x", "e.o: undefined reference to `foo_new'", "foo_new"),
        ("compile-error", "x", "e.c:9:4: error: use of undeclared identifier 'Py_NEW'", None),
    ],
)
def test_lacking__says_what_a_build_ended_for_want_of(kind: str, message: str, evidence: str, word: str | None) -> None:
    found = lacking([a_record(Cause(kind=kind, message=message, evidence=evidence))])
    assert (None if found is None else found.word) == word


def test_lacking__library_too_old__no_word_tells() -> None:
    found = lacking([a_record(Cause(kind="library-too-old", message="the machine's `foo` is too old"))])
    assert found is not None
    assert found.word is None
    assert "the machine's `foo` is too old" in found.what


def test_lacking__made_for_another_python__any_version_before_may_do() -> None:
    refusal = "an installer refuses it: Because the current Python version (3.11.7) does not satisfy Python>=3.12"
    for record in (
        a_record(Cause(kind="python-not-supported", message="demo 1.2 does not support Python 3.11 (>=3.12)")),
        refused(("WH401", refusal, None)),
    ):
        assert lacking([record]) == Lack(what="another Python", word=None)


def test_lacking__symbol_that_the_import_misses() -> None:
    finding = ("WH402", "`import demo._x` fails: ImportError: /x/_x.so: undefined symbol: FOO_NEW", None)
    found = lacking([refused(finding)])
    assert found is not None
    assert found.word == "FOO_NEW"


def test_lacking__header_that_came_with_a_package__is_not_lacking_any_more() -> None:
    header, timeout = Cause(kind="missing-header", message="no header `a.h`"), Cause(kind="timeout", message="too long")
    assert lacking([a_record(header), a_record(timeout)]) is None


def test_lacking__what_a_flag_only_hid__counts_where_the_last_build_tells_nothing() -> None:
    hidden = Cause(kind="compiler-too-strict", message="x", evidence="implicit declaration of function 'foo_new'")
    odd = Cause(kind="compile-error", message="x", evidence="e.c:9:4: error: expected ';'")
    assert lacking([a_record(hidden), a_record(odd)]) == Lack(what="foo_new", word="foo_new")


def test_lacking__no_record__nothing() -> None:
    assert lacking([]) is None
    assert lacking([a_record()]) is None
