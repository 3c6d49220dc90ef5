"""Every route x every spelling of a name x everybody who may ask: one answer, and one decision about access."""

from __future__ import annotations

import itertools
import random
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote, urljoin

import pytest

from full_index import KINDS, SAMPLES, Answered, Asked, FullIndex, every_route, full_index

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

DENIED = {401, 403}
CHANCE = random.Random(3)  # noqa: S311 - only varies the spellings
OTHERS = ("read:acme-ham", "upload:acme-ham", "yank:acme-ham", "delete:acme-ham", "admin:acme-ham")
THEIRS = re.compile(r"\{(project|filename)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """Who asks."""

    local: bool = False
    token: str | None = None


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FullIndex]:
    with full_index(tmp_path_factory.mktemp("full")) as made:
        yield made


@pytest.fixture(scope="module")
def readers(index: FullIndex) -> Mapping[str, Reader]:
    every = [f"{action}:{name}" for action in ("read", "upload") for name in KINDS]
    return {
        "a program here": Reader(local=True),
        "a stranger": Reader(),
        "a wrong token": Reader(token=f"{index.token('read:*')[:-4]}AAAA"),
        "a token of another project": Reader(token=index.token(*OTHERS)),
        "a token to read": Reader(token=index.token(*(scope for scope in every if scope.startswith("read")))),
        "a token to upload": Reader(token=index.token(*every)),
    }


ADDRESSES = itertools.count(1)


def ask(index: FullIndex, reader: Reader, path: str, method: str) -> Answered:
    headers = [(b"host", b"localhost:8080" if reader.local else b"wheels.example")]
    if reader.token is not None:
        headers.append((b"authorization", f"Bearer {reader.token}".encode()))
    number = next(ADDRESSES)  # a wrong token is tried more often than one address may
    address = "127.0.0.1" if reader.local else f"203.0.{number // 250 % 250}.{number % 250}"
    return index.ask(Asked(path=path, method=method, headers=tuple(headers), address=address))


def spellings(name: str) -> Iterator[str]:
    """Yield texts that are the same name (PEP 503), some of them quoted where that is not needed."""
    yield name.upper()
    yield re.sub("-", "_", name)
    for _ in range(2):
        varied = "".join(CHANCE.choice((letter, letter.upper())) for letter in name)
        yield re.sub("-", lambda _: "".join(CHANCE.choices("-_.", k=CHANCE.randint(1, 3))), varied)
    yield "".join(f"%{ord(letter):02x}" for letter in name)


def address(pattern: str, index: FullIndex, project: str, spelled: str) -> str:
    """Fill a pattern; a file is spelled as its project is."""
    filename, sha256 = index.files[project]
    rest = filename.partition("-")[2]
    known = {
        **SAMPLES,
        "project": spelled,
        "filename": filename if spelled == project else f"{_in_filename(spelled)}-{rest}",
        "sha256": sha256,
        "shelf": sha256[:2],
    }
    return re.sub(r"\{(\w+)[^}]*\}", lambda found: known[found[1]], pattern)


def _in_filename(spelled: str) -> str:
    """Spell a name as it can be in a wheel's name, where `-` ends it and `__` cannot be (PEP 427)."""
    return re.sub("[-_]+[.]*[-_.]*|%2d", "_", spelled)


def routes(index: FullIndex, *methods: str) -> list[tuple[str, str]]:
    return [
        (pattern, method)
        for pattern, had in every_route(index.app).items()
        if THEIRS.search(pattern)
        for method in had
        if method in methods
    ]


@pytest.mark.parametrize("project", KINDS)
def test_reading_route__every_spelling__is_one_answer(
    index: FullIndex, readers: Mapping[str, Reader], project: str
) -> None:
    for (pattern, method), (who, reader) in itertools.product(routes(index, "GET", "HEAD"), readers.items()):
        there = address(pattern, index, project, project)
        first = ask(index, reader, there, method)
        # Answers may become known by the first question, of an upstream for one: the second is what the others are.
        first = ask(index, reader, there, method)
        for spelled in spellings(project):
            here = address(pattern, index, project, spelled)
            got = ask(index, reader, here, method)
            where = (who, method, there, here, first.status, got.status)
            if first.status in DENIED and not (
                first.status == 403 and project == "denied"
            ):  # by a rule, not by who asks
                assert (got.status, got.body) == (first.status, first.body), where
            elif got.status == 301:
                assert urljoin(here, got.header("location")) == urljoin(there, first.header("location") or there), where
            elif "{filename}" in pattern and unquote(here) != there:
                assert got.status == 404 or got.status == first.status == 403, (
                    where
                )  # a file has one name; whoever may not read has been told above
            else:
                assert (got.status, got.body) == (first.status, first.body), where


@pytest.mark.parametrize("who", ["a stranger", "a wrong token", "a token of another project"])
def test_any_route__who_may_not__learns_nothing_of_what_is_there(
    index: FullIndex, readers: Mapping[str, Reader], who: str
) -> None:
    reader = readers[who]
    for pattern, method in routes(index, "GET", "HEAD", "POST", "PUT", "DELETE"):
        answers = {
            (name, spelled): ask(index, reader, address(pattern, index, name, spelled), method)
            for name in KINDS
            for spelled in (name, *spellings(name))
        }
        told = {
            re.sub(rb"\b(read|upload|yank|delete|admin):" + name.encode(), b"", got.body): (name, spelled, got.status)
            for (name, spelled), got in answers.items()
        }
        assert {got.status for got in answers.values()} == {403 if who.endswith("project") else 401}, (pattern, method)
        assert len(told) == 1, (pattern, method, told)
        assert len({tuple(sorted(name for name, _ in got.headers)) for got in answers.values()}) == 1, pattern
