"""Yank, delete, status and policy over HTTP: done as they are on the store, by those who may, and by no web page."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from asgi import Client
from indexes import names, page, settings, token, upload
from small_wheels import SmallWheel
from wheelhouse.index.access.audit import AuditLog
from wheelhouse.index.access.auth import AccessRules
from wheelhouse.index.serving.app import make_app

if TYPE_CHECKING:
    from pathlib import Path

    from asgi import Got

SPAM = SmallWheel(files={"spam.py": "ANSWER = 42\n"})
FILE = f"/_/projects/spam/files/{SPAM.filename}"
RELEASE = "/_/projects/spam/releases/1.0"


@pytest.fixture
def client(tmp_path: Path) -> Client:
    """Give an index with one wheel in it, on which programs on this machine may upload."""
    rules = AccessRules(anonymous_local_upload=True)
    made = Client(app=make_app(settings(tmp_path, rules)))
    assert upload(made, tmp_path, SPAM, "/legacy/").status == 200
    return made


@pytest.fixture
def ours(tmp_path: Path) -> str:
    return token(tmp_path, "keeper", "yank:*", "delete:*", "admin:*")


def ask(client: Client, method: str, url: str, body: object = None, **headers: str) -> Got:
    sent = {"content-type": "application/json", **headers}
    return client.get(url, method=method, body=json.dumps({} if body is None else body).encode(), headers=sent)


@pytest.mark.parametrize("place", [FILE, RELEASE, "/_/projects/SPAM/releases/1.0.0"])
def test_yank__file_or_release__is_on_the_page_and_taken_back(client: Client, ours: str, place: str) -> None:
    got = ask(client, "POST", f"{place}/yank", {"reason": "broken <b>"}, authorization=ours)
    assert json.loads(got.body) == {"project": "spam", "files": [SPAM.filename]}
    assert page(client, "/simple/spam/")["files"][0]["yanked"] == "broken <b>"
    assert b"broken &lt;b&gt;" in client.get("/simple/spam/").body
    assert ask(client, "POST", f"{place}/unyank", authorization=ours).status == 200
    assert page(client, "/simple/spam/")["files"][0]["yanked"] is False


@pytest.mark.parametrize("place", [FILE, RELEASE])
def test_delete__file_or_release__is_gone_and_its_name_stays_taken(
    client: Client, tmp_path: Path, ours: str, place: str
) -> None:
    assert client.get(place, method="DELETE", authorization=ours).status == 200
    assert names(client, "/simple/spam/") == []
    assert client.get(place, method="DELETE", authorization=ours).status == 404
    assert upload(client, tmp_path, SmallWheel(files={"spam.py": "other\n"}), "/legacy/").status == 409
    told = [(str(event.action), event.outcome, event.who) for event in AuditLog(folder=tmp_path / "audit").events()]
    assert ("delete", "done", "keeper") in told


def test_status_and_policy__set__are_what_the_page_says(client: Client, ours: str) -> None:
    got = ask(client, "PUT", "/_/projects/spam/status", {"status": "archived", "reason": "done"}, authorization=ours)
    assert got.status == 200
    assert page(client, "/simple/spam/")["project-status"] == {"status": "archived", "reason": "done"}
    assert ask(client, "PUT", "/_/projects/spam/policy", {"policy": "overlay"}, authorization=ours).status == 200


@pytest.mark.parametrize(
    ("method", "url", "body", "scope"),
    [
        ("POST", f"{FILE}/yank", {}, "yank"),
        ("POST", f"{FILE}/unyank", {}, "yank"),
        ("POST", f"{RELEASE}/yank", {}, "yank"),
        ("DELETE", FILE, {}, "delete"),
        ("DELETE", RELEASE, {}, "delete"),
        ("PUT", "/_/projects/spam/status", {"status": "quarantined"}, "admin"),
        ("PUT", "/_/projects/spam/policy", {"policy": "mirror"}, "admin"),
    ],
)
def test_access__only_the_scope_of_the_action_and_the_project__is_enough(
    client: Client, tmp_path: Path, *, method: str, url: str, body: object, scope: str
) -> None:
    others = [f"{each}:spam" for each in ("read", "upload", "yank", "delete", "admin") if each != scope]
    other = token(tmp_path, "other", *others, f"{scope}:ham")
    assert ask(client, method, url, body).status == 401
    assert ask(client, method, url, body, authorization=other).status == 403
    assert ask(client, method, url.replace("spam", "no-such", 1), body, authorization=other).status == 403
    right = token(tmp_path, "right", f"{scope}:SPAM")
    assert ask(client, method, url, body, authorization=right, origin="https://evil.example").status == 403
    assert ask(client, method, url, body, authorization=right).status == 200


@pytest.mark.parametrize(
    ("method", "url", "body", "status"),
    [
        ("POST", f"{FILE}/yank", {"reason": "a\nb"}, 400),
        ("POST", f"{FILE}/yank", {"reason": "x" * 1001}, 400),
        ("POST", f"{FILE}/yank", {"reason": 1}, 400),
        ("POST", f"{FILE}/yank", {"other": 1}, 400),
        ("POST", f"{FILE}/yank", [], 400),
        ("POST", f"{FILE}/yank", {"reason": "x" * 70_000}, 400),
        ("POST", "/_/projects/spam/files/spam-9.tar.gz/yank", {}, 404),
        ("POST", "/_/projects/spam/releases/9/yank", {}, 404),
        ("POST", "/_/projects/spam/releases/nine/yank", {}, 404),
        ("POST", "/_/projects/no-such/releases/1/yank", {}, 404),
        ("POST", "/_/projects/-/releases/1/yank", {}, 400),
        ("PUT", "/_/projects/spam/status", {"status": "lost"}, 400),
        ("PUT", "/_/projects/spam/status", {}, 400),
        ("PUT", "/_/projects/no-such/status", {"status": "active"}, 404),
        ("PUT", "/_/projects/spam/policy", {"policy": "public"}, 400),
        ("GET", f"{FILE}/yank", {}, 405),
    ],
)
def test_request__that_cannot_be_carried_out__is_told(
    client: Client, ours: str, *, method: str, url: str, body: object, status: int
) -> None:
    got = ask(client, method, url, body, authorization=ours)
    assert got.status == status
    assert b"Traceback" not in got.body


def test_request__no_json__is_refused(client: Client, ours: str) -> None:
    for body, kind in ((b"{}", "text/plain"), (b"", "application/json"), (b"\xff", "application/json")):
        got = client.get(f"{FILE}/yank", method="POST", body=body, content_type=kind, authorization=ours)
        assert got.status == 400
