from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.utils import canonicalize_name

from asgi import Client, form
from small_wheels import SmallWheel
from wheelhouse.cli import run
from wheelhouse.index.access.audit import AuditAction, AuditEvent, AuditLog, AuditOutcome
from wheelhouse.index.access.auth import AccessRules
from wheelhouse.index.access.scopes import Scope
from wheelhouse.index.access.tokens import TokenFile
from wheelhouse.index.serving.app import make_app
from wheelhouse.index.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

    from asgi import Got

START = datetime(2026, 1, 1, tzinfo=UTC)
SPAM = canonicalize_name("spam")
WHEEL = SmallWheel()
FIELDS = {":action": "file_upload", "protocol_version": "1", "name": "spam", "version": "1.0"}


def an_event(number: int = 0, outcome: AuditOutcome = AuditOutcome.DONE, project: str = "spam") -> AuditEvent:
    return AuditEvent(
        time=START + timedelta(seconds=number),
        action=AuditAction.UPLOAD,
        outcome=outcome,
        project=project,
        who="ci",
        address="192.0.2.1",
        reason=str(number),
    )


@pytest.fixture
def log(tmp_path: Path) -> AuditLog:
    return AuditLog(folder=tmp_path / "audit")


def test_log__what_is_recorded__is_read_again(log: AuditLog) -> None:
    events = [an_event(number) for number in range(3)]
    for event in events:
        log.record(event)
    assert list(log.events()) == events
    assert (log.folder / "audit.jsonl").stat().st_mode & 0o077 == 0


@given(reason=st.text(), who=st.text())
def test_event__any_text__stays_one_line(reason: str, who: str) -> None:
    event = an_event().model_copy(update={"reason": reason, "who": who})
    line = event.model_dump_json()
    assert len(line.split("\n")) == 1
    assert AuditEvent.model_validate_json(line).who == who


def test_log__none_yet__is_empty(log: AuditLog) -> None:
    assert list(log.events()) == []


def test_log__by_project_and_time(log: AuditLog) -> None:
    for number, project in enumerate(["spam", "ham", "spam"]):
        log.record(an_event(number, project=project))
    found = log.events(project=SPAM, since=START + timedelta(seconds=1))
    assert [event.reason for event in found] == ["2"]


def test_log__torn_line__costs_no_other(log: AuditLog) -> None:
    log.record(an_event(0))
    with (log.folder / "audit.jsonl").open("ab") as file:
        file.write(b'{"time": "2026-')
    log.record(an_event(1))
    assert [event.reason for event in log.events()] == ["0", "1"]


def test_log__large__begins_another_file_and_forgets_the_oldest(tmp_path: Path) -> None:
    log = AuditLog(folder=tmp_path, most_bytes=1, keep=2)
    for number in range(5):
        log.record(an_event(number))
    assert [event.reason for event in log.events()] == ["2", "3", "4"]


def test_log__no_disk__is_told_and_raises_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").touch()
    AuditLog(folder=tmp_path / "file").record(an_event())
    assert "the audit log cannot be written" in caplog.text
    assert '"who":"ci"' in caplog.text


def test_log__a_stranger_denied_for_ever__does_not_fill_it(log: AuditLog) -> None:
    for number in range(50):
        log.record(an_event(outcome=AuditOutcome.DENIED))
        if number % 10 == 0:
            log.record(an_event())
    outcomes = [event.outcome for event in log.events()]
    assert outcomes.count(AuditOutcome.DENIED) == 10
    assert outcomes.count(AuditOutcome.DONE) == 5


WRITER = """
import sys
from pathlib import Path
from wheelhouse.index.access.audit import AuditEvent, AuditLog

log = AuditLog(folder=Path(sys.argv[1]), most_bytes=500)
event = AuditEvent(time="2026-01-01T00:00:00Z", action="upload", outcome="done", who="ci")
for number in range(int(sys.argv[2]), int(sys.argv[2]) + 25):
    log.record(event.model_copy(update={"reason": str(number)}))
"""


def test_log__several_processes__lose_nothing(tmp_path: Path) -> None:
    words = [sys.executable, "-c", WRITER, str(tmp_path)]
    writers = [subprocess.Popen([*words, first]) for first in ("0", "25")]
    assert [writer.wait(timeout=20) for writer in writers] == [0, 0]
    log = AuditLog(folder=tmp_path)
    assert sorted(int(event.reason) for event in log.events()) == list(range(50))


@pytest.fixture
def client(tmp_path: Path) -> Client:
    settings = Settings(
        store=str(tmp_path / "store"),
        tokens=tmp_path / "tokens.json",
        audit=tmp_path / "audit",
        access=AccessRules(),
        max_upload=100_000,
    )
    return Client(app=make_app(settings))


def upload(client: Client, tmp_path: Path, *, token: str | None = None, **fields: str) -> Got:
    wheel = WHEEL.write(tmp_path / "made")
    body, kind = form({**FIELDS, **fields}, filename=wheel.name, content=wheel.read_bytes())
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    return client.get("/legacy/", method="POST", body=body, headers=headers, content_type=kind, x_request_id="r-1")


def test_upload__every_outcome__is_recorded(client: Client, tmp_path: Path) -> None:
    tokens = TokenFile(tmp_path / "tokens.json")
    ci, other = (
        tokens.create(name, scopes=[Scope.parse(scope)], now=START, lifetime=None)
        for name, scope in (("ci", "upload:spam"), ("other", "upload:ham"))
    )
    statuses = [
        upload(client, tmp_path).status,
        upload(client, tmp_path, token=other).status,
        upload(client, tmp_path, token=ci, version="2.0").status,
        upload(client, tmp_path, token=ci).status,
        upload(client, tmp_path, token=ci).status,
    ]
    assert statuses == [401, 403, 400, 200, 200]

    events = list(AuditLog(folder=tmp_path / "audit").events())
    assert [(event.outcome.value, event.who) for event in events] == [
        ("denied", "anonymous-local"),
        ("denied", "other"),
        ("refused", "ci"),
        ("done", "ci"),
        ("same", "ci"),
    ]
    assert {event.request for event in events} == {"r-1"}
    assert {event.address for event in events} == {"127.0.0.1"}
    assert [event.filename for event in events] == [None, *[WHEEL.filename] * 4]
    assert events[3].sha256 == events[4].sha256 is not None


def test_upload__audit_log_cannot_be_written__goes_on(client: Client, tmp_path: Path) -> None:
    (tmp_path / "audit").touch()
    token = TokenFile(tmp_path / "tokens.json").create("ci", scopes=[Scope.parse("upload:*")], now=START, lifetime=None)
    assert upload(client, tmp_path, token=token).status == 200


def test_command__shows_what_a_terminal_can_bear(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "wheelhouse.toml").touch()
    (tmp_path / "recipes").mkdir()
    log = AuditLog(folder=tmp_path / ".wheelhouse" / "audit")
    log.record(an_event().model_copy(update={"who": "\x1b[31mred", "claims": {"ref": "main"}}))
    log.record(an_event(1, project="ham"))

    assert run(["index", "audit", "--project", "Spam"]) == 0
    assert capsys.readouterr().out == "2026-01-01 00:00:00 done    upload spam by  [31mred ref=main from 192.0.2.1: 0\n"
    assert run(["index", "audit", "--since", "2026-01-01T00:00:01", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["project"] == "ham"
    assert run(["index", "audit", "--since", "soon"]) == 2
