"""Many files in one request (POST /legacy/parcel): each fares as it would alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asgi import Client, form, parcel
from index.changes.test_upload import LIMIT, packed
from index.changes.test_upload import serving as upload_serving
from small_wheels import SmallWheel
from wheelhouse.index.access.audit import AuditLog
from wheelhouse.index.access.auth import AccessRules, utc_now
from wheelhouse.index.access.scopes import Scope
from wheelhouse.index.access.tokens import TokenFile
from wheelhouse.index.changes.parcel import MOST, MOST_BYTES
from wheelhouse.index.serving.app import make_app
from wheelhouse.index.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from asgi import Got

PAGE = "application/vnd.pypi.simple.v1+json"


def serving(folder: Path) -> Client:
    client = upload_serving(folder)
    client.app.site.catalog.fresh_for = 0.0
    return client


@pytest.fixture
def client(tmp_path: Path) -> Client:
    return serving(tmp_path)


def wheel(name: str = "spam", version: str = "1.0", code: str = "") -> tuple[str, bytes]:
    small = SmallWheel(name=name, version=version, files={f"{name}.py": code})
    return small.filename, packed(small.members())


def send(client: Client, *files: tuple[str, bytes], to: str = "/legacy/parcel", **fields: str) -> Got:
    body, kind = parcel(*files, **fields)
    return client.get(to, method="POST", body=body, content_type=kind)


def told(got: Got) -> list[tuple[str, int]]:
    assert got.status == 200, got.body
    return [(file["filename"], file["status"]) for file in json.loads(got.body)["files"]]


def listed(client: Client, project: str) -> dict[str, Any]:
    """Return a project's files without the moments of their uploads."""
    got = client.get(f"/simple/{project}/", accept=PAGE)
    files = json.loads(got.body)["files"] if got.status == 200 else []
    return {file.pop("filename"): {**file, "upload-time": ""} for file in files}


def test_parcel__files_of_several_projects__are_all_published(client: Client) -> None:
    files = [wheel("spam"), wheel("spam", "2.0", "later"), wheel("ham"), ("eggs-1.0.tar.gz", b"no sdist")]
    assert told(send(client, *files)) == [*((name, 200) for name, _ in files[:3]), ("eggs-1.0.tar.gz", 400)]
    assert list(listed(client, "spam")) == [files[0][0], files[1][0]]
    for name, data in files[:3]:
        project = name.partition("-")[0]
        assert client.get(listed(client, project)[name]["url"].removeprefix("../..")).body in {data, b""}
    assert client.get("/simple/eggs/").status == 404


def test_parcel__each_file__fares_as_if_it_had_come_alone(tmp_path: Path) -> None:
    together, alone = serving(tmp_path / "together"), serving(tmp_path / "alone")
    first, other = wheel("spam"), wheel("spam", code="other")
    for client in (together, alone):
        assert told(send(client, first)) == [(first[0], 200)]
    good, renamed = wheel("ham"), wheel("eggs")
    files = [
        first,
        good,
        ("ham-2.0-py3-none-any.whl", renamed[1]),
        ("nothing.txt", b""),
        ("ham-3.0-py3-none-any.whl", b"x" * 100),
    ]
    answers = json.loads(send(together, *files).body)["files"]
    for (name, data), answer in zip(files, answers, strict=True):
        body, kind = form(
            {":action": "file_upload", "name": name.split("-")[0], "version": "".join(name.split("-")[1:2])},
            filename=name,
            content=data,
        )
        single = alone.get("/legacy/", method="POST", body=body, content_type=kind)
        assert (answer["status"], answer["message"]) == (single.status, single.body.decode().strip()), name
    assert [listed(together, name) for name in ("spam", "ham")] == [listed(alone, name) for name in ("spam", "ham")]
    assert told(send(together, other, wheel("ham"))) == [(other[0], 409), (good[0], 200)]


@given(
    chosen=st.lists(
        st.tuples(st.sampled_from(["spam", "ham"]), st.integers(0, 3), st.sampled_from(["", "other"])),
        max_size=6,
        unique_by=lambda each: each[:2],
    )
)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_parcels__any_after_any__never_change_what_is_published(
    client: Client, chosen: Sequence[tuple[str, int, str]]
) -> None:
    before = {project: listed(client, project) for project in ("spam", "ham")}
    files = [wheel(name, f"{minor}.0", code) for name, minor, code in chosen]
    statuses = dict(told(send(client, *files))) if files else {}
    for project, old in before.items():
        new = listed(client, project)
        assert {name: new[name] for name in old} == old
        assert new.keys() - old.keys() <= statuses.keys()
    assert set(statuses.values()) <= {200, 409}


def test_parcel__digest_that_is_anothers__refuses_that_file_alone(client: Client) -> None:
    good, bad = wheel("spam"), wheel("ham")
    first, kind = parcel(good)
    second, _ = parcel(bad, sha256_digest="0" * 64)
    body = first.removesuffix(b"--frontier--\r\n") + second
    got = client.get("/legacy/parcel", method="POST", body=body, content_type=kind)
    assert told(got) == [(good[0], 200), (bad[0], 400)]
    assert b"the upload says 000" in got.body


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ([wheel(), wheel()], b"twice"),
        ([("nothing.txt", b"1"), ("nothing.txt", b"2")], b"twice"),
        ([(f"spam-{number}-py3-none-any.whl", b"") for number in range(MOST + 1)], b"more than 100 files"),
        ([(f"spam-{n}-py3-none-any.whl", b"x" * LIMIT) for n in range(MOST_BYTES // LIMIT + 1)], b"several requests"),
        ([], b"the field `content` is missing"),
    ],
)
def test_parcel__request_that_is_not_right__publishes_nothing(
    client: Client, files: list[tuple[str, bytes]], says: bytes
) -> None:
    body, kind = parcel(*files) if files else (b"--frontier--\r\n", "multipart/form-data; boundary=frontier")
    got = client.get("/legacy/parcel", method="POST", body=body, content_type=kind)
    assert got.status == 400
    assert says in got.body or b"damaged" in got.body
    assert client.get("/simple/spam/").status == 404


def test_parcel__file_that_is_too_large__is_refused_alone(client: Client) -> None:
    large, good = ("ham-1.0-py3-none-any.whl", b"x" * (LIMIT + 1)), wheel("spam")
    got = send(client, large, good)
    assert told(got) == [(large[0], 400), (good[0], 200)]
    assert b"more than 100000 bytes" in got.body


def test_parcel__file_by_another_name__is_refused_alone(client: Client) -> None:
    first, again, other = wheel("spam", "1.0"), wheel("Spam", "1.0.0"), wheel("ham")
    got = send(client, first, again, other)
    assert told(got) == [(first[0], 200), (again[0], 400), (other[0], 200)]
    assert b"by another name" in got.body


def test_parcel__file_of_somebody_elses_project__is_told_to_the_audit_log(tmp_path: Path) -> None:
    settings = Settings(
        store=str(tmp_path / "store"),
        tokens=tmp_path / "tokens.json",
        audit=tmp_path / "audit",
        access=AccessRules(),
        max_upload=LIMIT,
    )
    token = TokenFile(settings.tokens).create("ci", scopes=[Scope.parse("upload:spam")], now=utc_now(), lifetime=None)
    body, kind = parcel(wheel("spam"), wheel("ham"))
    got = Client(app=make_app(settings)).get(
        "/legacy/parcel", method="POST", body=body, content_type=kind, authorization=f"Bearer {token}"
    )
    assert [status for _, status in told(got)] == [200, 403]
    events = [(event.project, str(event.outcome), event.who) for event in AuditLog(folder=settings.audit).events()]
    assert events == [("spam", "done", "ci"), ("ham", "denied", "ci")]


def test_parcel__fields_behind_the_last_file__are_nobodys(client: Client) -> None:
    body, kind = parcel(wheel())
    tail = b'--frontier\r\nContent-Disposition: form-data; name="sha256_digest"\r\n\r\n0\r\n--frontier--\r\n'
    got = client.get(
        "/legacy/parcel", method="POST", body=body.removesuffix(b"--frontier--\r\n") + tail, content_type=kind
    )
    assert (got.status, b"belong to no file" in got.body) == (400, True)


def test_parcel__audit_log__has_a_line_for_each_file(client: Client, tmp_path: Path) -> None:
    files = [wheel("spam"), wheel("ham"), ("nothing.txt", b"")]
    send(client, *files)
    send(client, wheel("spam", code="other"), wheel("ham"))
    lines = [
        (event.filename, event.project, str(event.outcome), event.who)
        for event in AuditLog(folder=tmp_path / "audit").events()
    ]
    assert lines == [
        (files[0][0], "spam", "done", "anonymous-local"),
        (files[1][0], "ham", "done", "anonymous-local"),
        (None, None, "refused", "anonymous-local"),
        (files[0][0], "spam", "refused", "anonymous-local"),
        (files[1][0], "ham", "same", "anonymous-local"),
    ]


def test_parcel__to_a_stage__is_there_and_not_published(client: Client) -> None:
    files = [wheel("spam"), wheel("ham")]
    got = send(client, *files, to="/_/stages/s1/legacy/parcel")
    assert told(got) == [(name, 200) for name, _ in files]
    assert b"not published yet" in got.body
    assert client.get("/simple/spam/").status == 404
    assert client.get("/_/stages/s1/simple/spam/").status == 200
    assert client.get("/_/stages/s1/publish", method="POST", body=b"{}", content_type="application/json").status == 200
    assert listed(client, "spam")


def test_parcel__how_many__is_told(client: Client) -> None:
    assert json.loads(client.get("/legacy/parcel").body) == {"most-files": MOST, "most-bytes": MOST_BYTES}
