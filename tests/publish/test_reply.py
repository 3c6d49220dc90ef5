from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
import requests

from wheelhouse.publish.reply import Verdict, read_reply


def response(
    status: int, text: str = "", reason: str = "", kind: str = "text/plain", **headers: str
) -> requests.Response:
    made = requests.Response()
    made.status_code = status
    made.reason = reason
    made.headers.update({"Content-Type": kind, **{name.replace("_", "-"): value for name, value in headers.items()}})
    made._content = text.encode()
    return made


@pytest.mark.parametrize(
    ("status", "text", "verdict"),
    [
        (200, "", Verdict.DELIVERED),
        (201, "", Verdict.DELIVERED),
        (202, "", Verdict.DELIVERED),
        (301, "", Verdict.REFUSED),
        (400, "no such classifier", Verdict.REFUSED),
        (400, "File already exists.", Verdict.EXISTS),
        (400, "file name has already been taken", Verdict.EXISTS),
        (401, "", Verdict.DENIED),
        (403, "", Verdict.DENIED),
        (403, "not enough permissions to overwrite artifact", Verdict.EXISTS),
        (404, "", Verdict.REFUSED),
        (409, "", Verdict.EXISTS),
        (413, "", Verdict.REFUSED),
        (429, "", Verdict.OUTAGE),
        (500, "", Verdict.FAILED),
        (500, "it already exists, I think", Verdict.FAILED),
        (502, "", Verdict.OUTAGE),
        (503, "", Verdict.OUTAGE),
        (504, "", Verdict.OUTAGE),
        (507, "", Verdict.OUTAGE),
    ],
)
def test_read_reply__status(status: int, text: str, verdict: Verdict) -> None:
    assert read_reply(response(status, text)).verdict is verdict


def test_read_reply__page_for_browsers__is_read_without_its_markup() -> None:
    page = "<html><head><title>E</title></head><style>p {}</style><p>File &#39;spam&#39; already\nexists</p></html>"
    reply = read_reply(response(400, page, "Bad Request", "text/html; charset=utf-8"))

    assert reply.verdict is Verdict.EXISTS
    assert reply.reason == "400 Bad Request: File 'spam' already exists"


def test_read_reply__foreign_text__does_nothing_to_the_terminal_and_ends() -> None:
    reason = read_reply(response(400, "\x1b[2Jgone\n" + "x" * 5000)).reason

    assert reason.startswith("400 [2Jgone xxx")
    assert len(reason) < 320


def test_read_reply__moved__says_where_to() -> None:
    assert read_reply(response(301, Location="https://new.example/")).reason.endswith("moved to https://new.example/")


@pytest.mark.parametrize(
    ("value", "least", "most"),
    [
        ("120", 120, 120),
        ("99999999", 3600, 3600),
        ("soon", 0, 0),
        ("-5", 0, 0),
        ("", 0, 0),
    ],
)
def test_read_reply__retry_after(value: str, least: float, most: float) -> None:
    assert least <= read_reply(response(503, Retry_After=value)).wait <= most


@pytest.mark.parametrize(("seconds", "least", "most"), [(600, 500, 601), (-600, 0, 0)])
def test_read_reply__retry_after_a_date(seconds: int, least: float, most: float) -> None:
    when = format_datetime(datetime.now(UTC) + timedelta(seconds=seconds))
    assert least <= read_reply(response(503, Retry_After=when)).wait <= most
