"""Stages as clients meet them: who sees what, and that publishing is one word."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from asgi import Client
from indexes import names, page, settings, token, upload
from small_wheels import SmallWheel
from wheelhouse.index.access.audit import AuditLog
from wheelhouse.index.serving.app import make_app

if TYPE_CHECKING:
    from pathlib import Path

    from asgi import Got

JSON = "application/vnd.pypi.simple.v1+json"
SPAM = SmallWheel(files={"spam.py": "ANSWER = 42\n"})
HAM = SmallWheel(name="ham", files={"ham.py": "ANSWER = 43\n"})
STAGE = "/_/stages/release-1"


@pytest.fixture
def client(tmp_path: Path) -> Client:
    return Client(app=make_app(settings(tmp_path)))


@pytest.fixture
def ours(tmp_path: Path) -> str:
    return token(tmp_path, "ci", "upload:*", "read:*")


def publish(client: Client, authorization: str, **more: str) -> Got:
    headers = {"authorization": authorization, "content_type": "application/json", **more}
    return client.get(f"{STAGE}/publish", method="POST", body=b"{}", headers=headers)


def test_stage__upload_look_publish__appears_only_then(client: Client, tmp_path: Path, ours: str) -> None:
    got = upload(client, tmp_path, SPAM, f"{STAGE}/legacy/", ours)
    assert (got.status, b"is on the stage release-1: not published yet" in got.body) == (200, True)
    assert upload(client, tmp_path, HAM, f"{STAGE}/legacy/", ours).status == 200
    assert client.get("/simple/spam/").status == 404

    staged = page(client, f"{STAGE}/simple/spam/", authorization=ours)["files"][0]
    file = client.get(f"{STAGE}/simple/spam/{staged['url']}".replace("simple/spam/../../", ""), authorization=ours)
    metadata = client.get(f"{STAGE}/{staged['url'].removeprefix('../../')}.metadata", authorization=ours)
    assert file.body == (tmp_path / "made" / SPAM.filename).read_bytes()
    assert (metadata.status, b"Name: spam" in metadata.body) == (200, True)
    assert "private" in file.headers["cache-control"]
    listed = page(client, f"{STAGE}/", authorization=ours)
    assert [each["filename"] for each in listed["files"]] == [HAM.filename, SPAM.filename]
    assert [each["stage"] for each in page(client, "/_/stages/", authorization=ours)["stages"]] == ["release-1"]

    done = publish(client, ours)
    assert json.loads(done.body) == {
        "stage": "release-1",
        "published": [HAM.filename, SPAM.filename],
        "present": [],
    }
    assert (names(client, "/simple/spam/"), names(client, "/simple/ham/")) == ([SPAM.filename], [HAM.filename])
    assert json.loads(publish(client, ours).body)["published"] == []
    assert page(client, "/_/stages/", authorization=ours) == {"stages": []}
    told = [(str(event.action), event.filename) for event in AuditLog(folder=tmp_path / "audit").events()]
    assert told.count(("publish-stage", SPAM.filename)) == 1


def test_stage__pages__are_the_index_with_the_staged_files_over_it(client: Client, tmp_path: Path, ours: str) -> None:
    newer = SmallWheel(version="2.0", files={"spam.py": "ANSWER = 44\n"})
    upload(client, tmp_path, SPAM, "/legacy/", ours)
    upload(client, tmp_path, HAM, "/legacy/", ours)
    upload(client, tmp_path, newer, f"{STAGE}/legacy/", ours)

    assert names(client, f"{STAGE}/simple/spam/", authorization=ours) == [SPAM.filename, newer.filename]
    assert names(client, f"{STAGE}/simple/ham/", authorization=ours) == [HAM.filename]
    listed = page(client, f"{STAGE}/simple/", authorization=ours)["projects"]
    assert [each["name"] for each in listed] == ["ham", "spam"]
    url = page(client, f"{STAGE}/simple/ham/", authorization=ours)["files"][0]["url"]
    assert client.get(f"{STAGE}/{url.removeprefix('../../')}", authorization=ours).status == 200
    moved = client.get(f"{STAGE}/simple/SPAM", authorization=ours)
    assert (moved.status, moved.headers["location"]) == (301, "spam/")


@pytest.mark.parametrize(
    ("scopes", "read", "publish"),
    [
        (None, 401, 401),
        (["read:*"], 403, 403),
        (["upload:ham", "read:*"], 404, 404),
        (["upload:spam"], 200, 403),
        (["upload:*"], 200, 200),
    ],
)
def test_stage__others__neither_see_nor_publish_it(
    client: Client, tmp_path: Path, ours: str, *, scopes: list[str] | None, read: int, publish: int
) -> None:
    upload(client, tmp_path, SPAM, f"{STAGE}/legacy/", ours)
    upload(client, tmp_path, SmallWheel(name="eggs", files={"eggs.py": ""}), f"{STAGE}/legacy/", ours)
    url = page(client, f"{STAGE}/simple/spam/", authorization=ours)["files"][0]["url"].removeprefix("../../")
    headers = {} if scopes is None else {"authorization": token(tmp_path, "other", *scopes)}

    assert client.get(f"{STAGE}/simple/spam/", headers=headers).status == read
    assert client.get(f"{STAGE}/simple/SPAM/", headers=headers).status in {read, 301}
    assert client.get(f"{STAGE}/{url}", headers=headers).status == read
    assert client.get(f"/{url}", headers=headers).status == 404
    sent = {"content-type": "application/json", **headers}
    assert client.get(f"{STAGE}/publish", method="POST", body=b"{}", headers=sent).status == publish
    assert client.get(f"{STAGE}/", method="DELETE", headers=headers).status == publish


def test_stage__drop__takes_it_away(client: Client, tmp_path: Path, ours: str) -> None:
    upload(client, tmp_path, SPAM, f"{STAGE}/legacy/", ours)
    got = client.get(f"{STAGE}/", method="DELETE", authorization=ours)
    assert json.loads(got.body) == {"stage": "release-1", "dropped": [SPAM.filename]}
    assert client.get(f"{STAGE}/simple/spam/", authorization=ours).status == 404
    assert client.get("/simple/spam/").status == 404


def test_stage__conflict__409_names_the_file_and_publishes_nothing(client: Client, tmp_path: Path, ours: str) -> None:
    upload(client, tmp_path, HAM, f"{STAGE}/legacy/", ours)
    upload(client, tmp_path, SPAM, f"{STAGE}/legacy/", ours)
    upload(client, tmp_path, SmallWheel(files={"spam.py": "other\n"}), "/legacy/", ours)
    got = publish(client, ours)
    assert (got.status, b"nothing was published:\nspam-1.0" in got.body) == (409, True)
    assert client.get("/simple/ham/").status == 404


@pytest.mark.parametrize(
    ("headers", "status"),
    [({"content_type": "text/plain"}, 400), ({"origin": "https://evil.example"}, 403), ({"origin": "null"}, 403)],
)
def test_stage__web_page__cannot_publish(
    client: Client, tmp_path: Path, ours: str, headers: dict[str, str], status: int
) -> None:
    upload(client, tmp_path, SPAM, f"{STAGE}/legacy/", ours)
    assert publish(client, ours, **headers).status == status
    assert client.get("/simple/spam/").status == 404


@pytest.mark.parametrize("name", ["Release", "a_b", "..", "%2e%2e", "a" * 65, "no-such-stage"])
def test_stage__that_is_none__404(client: Client, tmp_path: Path, ours: str, name: str) -> None:
    for path in ("simple/spam/", "", "files/aa/bb/spam-1.0.tar.gz", "simple", "files"):
        assert client.get(f"/_/stages/{name}/{path}", authorization=ours).status in {404, 301}
    assert client.get(f"/_/stages/{name}/", method="DELETE", authorization=ours).status == 404
