"""Records over HTTP: kept for those who may upload the project, shown to those who may read it, the newest alone."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from asgi import Client
from fakes import a_job, a_record
from indexes import settings, token
from wheelhouse.index.access.auth import AccessRules
from wheelhouse.index.serving.app import make_app
from wheelhouse.record import Record

if TYPE_CHECKING:
    from pathlib import Path

    from asgi import Got

RECORD = a_record(a_job())
PLACE = f"/_/records/{RECORD.job}"


@pytest.fixture
def client(tmp_path: Path) -> Client:
    rules = AccessRules(anonymous_local_read=False)
    return Client(app=make_app(replace(settings(tmp_path, rules), records=tmp_path / "jobs")))


@pytest.fixture
def builder(tmp_path: Path) -> str:
    return token(tmp_path, "builder", "upload:spam", "read:spam")


def put(
    client: Client, record: Record = RECORD, place: str = PLACE, log: str = "it went well\n", **headers: str
) -> Got:
    body = json.dumps({"record": record.model_dump(mode="json"), "log": log}).encode()
    return client.get(place, method="PUT", body=body, headers={"content-type": "application/json", **headers})


def test_put__a_record__is_given_back_listed_and_on_the_pages_of_builds(
    client: Client, builder: str, tmp_path: Path
) -> None:
    assert json.loads(put(client, authorization=builder).body) == {"job": RECORD.job, "kept": True}
    got = client.get(PLACE, authorization=builder)
    assert Record.model_validate_json(got.body) == RECORD
    listed = json.loads(client.get("/_/records/", authorization=builder).body)["records"]
    assert listed == {RECORD.job: RECORD.started.isoformat()}
    assert b"it went well" in client.get(f"/builds/{RECORD.job}/", authorization=builder).body


def test_put__twice__changes_nothing_and_an_older_one_neither(client: Client, builder: str) -> None:
    put(client, authorization=builder)
    older = RECORD.model_copy(update={"started": RECORD.started - timedelta(days=1), "seconds": 99.0})
    assert json.loads(put(client, older, authorization=builder).body)["kept"] is False
    newer = RECORD.model_copy(update={"started": RECORD.started + timedelta(days=1), "status": "failed", "wheel": None})
    assert json.loads(put(client, newer, authorization=builder).body)["kept"] is True
    assert Record.model_validate_json(client.get(PLACE, authorization=builder).body).status == "failed"


@pytest.mark.parametrize(("scopes", "status"), [(("read:spam",), 403), (("upload:other",), 403), ((), 401)])
def test_put__by_who_may_not_upload_the_project__is_refused(
    client: Client, tmp_path: Path, scopes: tuple[str, ...], status: int
) -> None:
    got = put(client, authorization=token(tmp_path, "other", *scopes)) if scopes else put(client)
    assert got.status == status
    assert not (tmp_path / "jobs").exists()


def test_get__by_who_may_not_read_the_project__is_refused_and_not_listed(
    client: Client, tmp_path: Path, builder: str
) -> None:
    put(client, authorization=builder)
    other = token(tmp_path, "other", "read:other")
    assert client.get(PLACE, authorization=other).status == 403
    assert json.loads(client.get("/_/records/", authorization=other).body) == {"records": {}}
    assert client.get("/_/records/").status == 401
    assert client.get(PLACE).status == 401


def test_get__no_such_record__is_404(client: Client, builder: str) -> None:
    assert client.get(PLACE, authorization=builder).status == 404


@pytest.mark.parametrize(
    "job", ["spam", "..%2f..%2fspam-1.0-cp311-x", ".spam-1.0-cp311-manylinux_x86_64", "spam-1.0-cp311-" + "x" * 300]
)
def test_put__what_is_no_job__is_refused(client: Client, builder: str, tmp_path: Path, job: str) -> None:
    assert put(client, place=f"/_/records/{job}", authorization=builder).status in {403, 404}
    assert not (tmp_path / "jobs").exists()


def test_put__the_record_of_another_job__is_refused(client: Client, builder: str) -> None:
    got = put(client, a_record(a_job(version="2.0")), authorization=builder)
    assert got.status == 400
    assert b"is the record of" in got.body


def test_put__of_a_job_whose_folder_would_be_another_projects__is_refused(client: Client, tmp_path: Path) -> None:
    """`spam` may be uploaded, `spam-extra` may not: the name in the record has to be the one in the id."""
    spam = token(tmp_path, "spam", "upload:spam")
    assert (
        put(
            client, a_record(a_job("spam-extra")), place=f"/_/records/{a_job('spam-extra').id}", authorization=spam
        ).status
        == 403
    )


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"{}", "application/json"),
        (b"nonsense", "application/json"),
        (json.dumps({"record": RECORD.model_dump(mode="json")}).encode(), "text/plain"),
        (b"x" * 2_000_000, "application/json"),
    ],
)
def test_put__what_is_no_record__is_refused(client: Client, builder: str, body: bytes, kind: str) -> None:
    got = client.get(PLACE, method="PUT", body=body, headers={"content-type": kind, "authorization": builder})
    assert got.status == 400


def test_put__by_a_web_page__is_refused(client: Client, builder: str) -> None:
    assert put(client, origin="https://evil.example", authorization=builder).status == 403


def test_records__of_an_index_that_keeps_none__are_404(tmp_path: Path) -> None:
    rules = AccessRules(anonymous_local_upload=True)
    client = Client(app=make_app(replace(settings(tmp_path, rules), records=None)))
    assert put(client).status == 404
    assert client.get("/_/records/").status == 404
