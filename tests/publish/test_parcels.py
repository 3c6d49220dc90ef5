"""Many wheels in one request: to a real index, and to ones that answer badly."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from index_server import index_server, wheelhouse
from servers import Answer, serve
from small_wheels import SmallWheel
from wheelhouse.publish import Destination, Publishable, Reply, Verdict, prepare
from wheelhouse.publish.login import Login
from wheelhouse.publish.parcels import Parcels

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from index_server import IndexServer

OFFER = Answer(body=b'{"most-files": 100, "most-bytes": 8000000}')
TEXT = {"Content-Type": "text/plain"}


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[IndexServer]:
    with index_server(tmp_path_factory.mktemp("index")) as server:
        yield server


@pytest.fixture(scope="module")
def token(index: IndexServer) -> str:
    return wheelhouse(index.registry, "token", "create", "ci", "--scope", "upload:spam*")


@contextmanager
def offered(url: str, login: Login | None = None, *, timeout: float = 10.0) -> Iterator[Parcels | None]:
    with Parcels.offered(Destination(url=f"{url}/legacy/"), login or Login(), timeout=timeout) as parcels:
        yield parcels


def wheels(folder: Path, *names: str, code: str = "") -> list[Publishable]:
    return prepare([SmallWheel(name=name, files={f"{name}.py": code}).write(folder) for name in names])


def send(url: str, sent: list[Publishable], login: Login | None = None, *, timeout: float = 10.0) -> list[Reply] | None:
    with offered(url, login, timeout=timeout) as parcels:
        assert parcels is not None
        replies = parcels.upload_many(sent)
        return None if replies is None else list(replies)


def answered(sent: list[Publishable], answer: Answer) -> list[Reply] | None:
    with serve({"/legacy/parcel": [OFFER, answer]}, posts=True) as server:
        return send(server.url, sent)


def test_parcel__real_index__says_of_each_what_became_of_it(index: IndexServer, token: str, tmp_path: Path) -> None:
    sent = wheels(tmp_path, "spam_one", "ham", "spam_two")
    replies = send(index.url, sent, Login(user="__token__", password=token))
    assert replies is not None
    assert [reply.verdict for reply in replies] == [Verdict.DELIVERED, Verdict.DENIED, Verdict.DELIVERED]
    assert "this token has no scope upload:ham" in replies[1].reason
    again = wheels(tmp_path / "other", "spam_one", code="other")
    replies = send(index.url, again, Login(renewed=lambda: token))
    assert replies is not None
    assert [reply.verdict for reply in replies] == [Verdict.EXISTS]


def test_parcel__bytes_changed_since_the_checks__are_not_sent(index: IndexServer, token: str, tmp_path: Path) -> None:
    changed, same = wheels(tmp_path, "spam_three", "spam_four")
    changed.path.write_bytes(b"something else")
    replies = send(index.url, [changed, same], Login(user="__token__", password=token))
    assert replies is not None
    assert [reply.verdict for reply in replies] == [Verdict.REFUSED, Verdict.DELIVERED]
    assert "no longer those that were checked" in replies[0].reason


def test_publish__many__by_the_command_line(index: IndexServer, token: str, tmp_path: Path) -> None:
    """Three requests: the index has looked into the first before the last is written."""
    for number in range(250):
        SmallWheel(name=f"spam_{number % 7}", version=f"1.{number}").write(tmp_path / "dist")
    (tmp_path / "wheelhouse.toml").touch()
    command = [sys.executable, "-m", "wheelhouse", "--registry", str(tmp_path), "publish", "--json"]
    done = subprocess.run(
        [*command, "--index-url", f"{index.url}/legacy/", str(tmp_path / "dist")],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": "", "HOME": str(tmp_path), "TWINE_PASSWORD": token},
    )
    outcomes = [(one["wheel"], one["outcome"]) for one in json.loads(done.stdout)]
    assert outcomes == [(path.name, "published") for path in sorted((tmp_path / "dist").iterdir())]


@pytest.mark.parametrize(
    "answer",
    [
        Answer(status=404),
        Answer(status=401),
        Answer(status=500),
        Answer(status=302, headers={"Location": "/elsewhere"}),
        Answer(body=b"<html>"),
        Answer(body=b"[]"),
        Answer(body=b'{"most-files": "many", "most-bytes": 1}'),
        Answer(body=b'{"most-files": 100'),
    ],
)
def test_offered__index_that_does_not_say_so__takes_none(answer: Answer) -> None:
    with serve({"/legacy/parcel": [answer]}) as server, offered(server.url) as parcels:
        assert parcels is None


def test_offered__address_of_something_else__is_not_asked() -> None:
    with serve({}) as server:
        with Parcels.offered(Destination(url=f"{server.url}/upload/"), Login(), timeout=10.0) as parcels:
            assert parcels is None
        assert server.asked == []


def test_offered__nobody_there__takes_none() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host, port = silent.getsockname()
        with offered(f"http://{host}:{port}", timeout=0.2) as parcels:
            assert parcels is None


@pytest.mark.parametrize("status", [404, 405, 413])
def test_parcel__too_large_for_a_proxy__goes_one_by_one(tmp_path: Path, status: int) -> None:
    assert answered(wheels(tmp_path, "spam", "ham"), Answer(status=status)) is None


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (Answer(status=503, headers={"Retry-After": "7"}), Verdict.OUTAGE),
        (Answer(status=401), Verdict.DENIED),
        (Answer(status=400, body=b"a file is twice", headers=TEXT), Verdict.REFUSED),
        (Answer(status=500), Verdict.FAILED),
        (Answer(body=b"", cut=0), Verdict.FAILED),
        (Answer(body=b"never mind"), Verdict.FAILED),
        (Answer(body=b'{"files": [{"filename": "spam-1.0-py3-none-any.whl"}]}'), Verdict.FAILED),
        (Answer(body=b'{"files": [7]}'), Verdict.FAILED),
        (Answer(body=b"{" + b" " * 100, cut=5), Verdict.OUTAGE),
    ],
)
def test_parcel__request_that_came_to_nothing__is_that_for_each(
    tmp_path: Path, answer: Answer, verdict: Verdict
) -> None:
    replies = answered(wheels(tmp_path, "spam", "ham"), answer)
    assert replies is not None
    assert [reply.verdict for reply in replies] == [verdict] * 2


def test_parcel__answer_about_some__leaves_the_others_open(tmp_path: Path) -> None:
    said = [
        {"filename": "ham-1.0-py3-none-any.whl", "status": 503, "message": "full\n", "retry-after": 60},
        {"filename": "eggs-1.0-py3-none-any.whl", "status": 200, "message": "is published"},
    ]
    replies = answered(wheels(tmp_path, "spam", "ham", "eggs"), Answer(body=json.dumps({"files": said}).encode()))
    assert replies is not None
    assert [reply.verdict for reply in replies] == [Verdict.FAILED, Verdict.OUTAGE, Verdict.DELIVERED]
    assert (replies[1].wait, replies[1].reason) == (60.0, "503 full")
