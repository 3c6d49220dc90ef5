from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from pymongo import MongoClient

from mongo import free_port, mongo_server
from wheelhouse.config import ServeSettings
from wheelhouse.errors import UsageError
from wheelhouse.index.access.audit import AuditAction, AuditEvent, AuditOutcome
from wheelhouse.index.environment import with_variables
from wheelhouse.index.outages.auditdb import COLLECTION, TARGET, Recorder, make_recorder
from wheelhouse.index.settings import AuditDatabaseSettings
from wheelhouse.spool import Spool

if TYPE_CHECKING:
    from pathlib import Path


def event(filename: str = "spam-1.0-py3-none-any.whl", outcome: AuditOutcome = AuditOutcome.DONE) -> AuditEvent:
    return AuditEvent(
        time=datetime.now(tz=UTC),
        action=AuditAction.UPLOAD,
        outcome=outcome,
        project="spam",
        filename=filename,
        sha256="0" * 64,
        who="ci",
    )


def recorder_of(folder: Path, port: int) -> Recorder:
    settings = AuditDatabaseSettings.of(f"mongodb://127.0.0.1:{port}/audited", {})
    return make_recorder(Spool(folder / "spool"), settings)


def close(recorder: Recorder) -> None:
    recorder.close()
    recorder.spool.close()


def delivered(recorder: Recorder, *, within: float = 15.0) -> bool:
    deadline = time.monotonic() + within
    while recorder.spool.count(TARGET) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not recorder.spool.count(TARGET)


def documents(port: int) -> list[dict[str, Any]]:
    client: MongoClient[dict[str, Any]] = MongoClient(f"mongodb://127.0.0.1:{port}")
    with client:
        return sorted(client["audited"][COLLECTION].find(), key=lambda document: str(document["filename"]))


@pytest.mark.slow
def test_record__database_down_and_back__each_upload_is_there_once(tmp_path: Path) -> None:
    port = free_port()
    recorder = recorder_of(tmp_path, port)
    began = time.monotonic()
    for number in range(5):
        recorder.record(event(f"spam-1.{number}-py3-none-any.whl"))
    recorder.record(event("spam-1.0-py3-none-any.whl", AuditOutcome.SAME))
    recorder.record(event("eggs-1.0-py3-none-any.whl", AuditOutcome.DENIED))
    assert time.monotonic() - began < 2
    close(recorder)

    recorder = recorder_of(tmp_path, port)
    with mongo_server(tmp_path / "data", port):
        assert delivered(recorder)
        recorder.record(event("spam-1.4-py3-none-any.whl"))
        assert delivered(recorder)
        found = documents(port)
    with mongo_server(tmp_path / "data", port):
        assert documents(port) == found
    close(recorder)

    assert [document["filename"] for document in found] == [f"spam-1.{number}-py3-none-any.whl" for number in range(5)]
    assert (found[0]["_id"], found[0]["who"]) == ("0" * 64 + ":spam-1.0-py3-none-any.whl", "ci")


def test_settings__user_and_password__stay_apart_from_the_address() -> None:
    settings = AuditDatabaseSettings.of("mongodb://ci%40x@db:27017/audited", {"WHEELHOUSE_AUDIT_PASSWORD": "secret"})
    assert (settings.url, settings.user, settings.database) == ("mongodb://db:27017/audited", "ci@x", "audited")
    assert settings.password == "secret"  # noqa: S105 - a test's
    assert "secret" not in repr(settings)


@pytest.mark.parametrize("address", ["mongodb://ci:secret@db/audited", "mongodb://db", "https://db/audited"])
def test_config__an_address_that_will_not_do__is_refused(address: str) -> None:
    with pytest.raises(UsageError) as raised:
        with_variables(ServeSettings(), {"WHEELHOUSE_AUDIT_MONGODB": address})
    assert "secret" not in str(raised.value)
