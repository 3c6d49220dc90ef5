from __future__ import annotations

import json
import logging
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from prometheus_client.parser import text_string_to_metric_families

from asgi import Client, form
from small_wheels import SmallWheel
from wheelhouse.index.access.auth import AccessRules, utc_now
from wheelhouse.index.access.scopes import Scope
from wheelhouse.index.access.tokens import TokenFile
from wheelhouse.index.serving.app import make_app
from wheelhouse.index.settings import Settings
from wheelhouse.index.stores.shelf import ShelfStats
from wheelhouse.index.telling.gauges import mirror_gauges, spool_gauges
from wheelhouse.index.telling.logs import JsonLines
from wheelhouse.index.telling.metrics import to_text
from wheelhouse.index.telling.traffic import Traffic
from wheelhouse.index.upstream.stats import Counters, MirrorStats, UpstreamState
from wheelhouse.spool import Stats

if TYPE_CHECKING:
    from pathlib import Path

    from asgi import Got

SPAM = SmallWheel(name="spam")
ELSEWHERE = "192.0.2.1"


def settings(folder: Path, **access: bool) -> Settings:
    return Settings(
        store=str(folder / "store"),
        tokens=folder / "tokens.json",
        audit=folder / "audit",
        access=AccessRules(**{"anonymous_local_upload": True, **access}),
        max_upload=1_000_000,
    )


def upload(client: Client, wheel: Path) -> Got:
    fields = {":action": "file_upload", "protocol_version": "1", "name": SPAM.name, "version": SPAM.version}
    body, kind = form(fields, filename=wheel.name, content=wheel.read_bytes())
    return client.get("/legacy/", method="POST", body=body, content_type=kind)


def numbers(text: bytes) -> dict[tuple[str, str], float]:
    """Return samples by name and labels, read by Prometheus' own parser."""
    return {
        (sample.name, ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


@pytest.fixture
def client(tmp_path: Path) -> Client:
    return Client(app=make_app(settings(tmp_path)))


def test_health_and_ready__with_a_store__are_well(client: Client) -> None:
    for path in ("/health", "/ready"):
        got = client.get(path)
        assert (got.status, got.body, got.headers["cache-control"]) == (200, b"ok\n", "no-store")


def test_ready__store_is_gone__is_503(client: Client, tmp_path: Path) -> None:
    (tmp_path / "store").rename(tmp_path / "elsewhere")
    assert client.get("/health").status == 200
    got = client.get("/ready")
    assert got.status == 503
    assert "retry-after" in got.headers
    assert str(tmp_path) not in got.body.decode()
    assert numbers(client.get("/metrics").body)["wheelhouse_index_store_up", ""] == 0


def test_metrics__what_was_answered__is_counted(client: Client, tmp_path: Path) -> None:
    wheel = SPAM.write(tmp_path / "made")
    for _ in range(2):
        assert upload(client, wheel).status == 200
    page = client.get("/simple/spam/")
    client.get("/simple/nobody/")
    client.get("/simple/spam/", if_none_match=page.headers["etag"])

    got = client.get("/metrics")
    assert got.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    told = numbers(got.body)
    assert told["wheelhouse_index_requests_total", "route=page,status=200"] == 1
    assert told["wheelhouse_index_requests_total", "route=page,status=304"] == 1
    assert told["wheelhouse_index_requests_total", "route=page,status=404"] == 1
    assert told["wheelhouse_index_requests_total", "route=upload,status=200"] == 2
    assert told["wheelhouse_index_request_seconds_count", "route=page"] == 3
    assert told["wheelhouse_index_request_seconds_bucket", "le=+Inf,route=page"] == 3
    assert told["wheelhouse_index_sent_bytes_total", "route=page"] >= len(page.body)
    assert told["wheelhouse_index_deeds_total", "action=upload,outcome=done"] == 1
    assert told["wheelhouse_index_deeds_total", "action=upload,outcome=same"] == 1
    assert told["wheelhouse_index_catalog_entries", ""] == 1
    assert told["wheelhouse_index_catalog_bytes", ""] > 0
    assert told["wheelhouse_index_store_up", ""] == 1
    assert told["process_resident_memory_bytes", ""] > 0


def test_metrics__file_that_the_server_sends_by_its_path__has_its_bytes_counted(client: Client, tmp_path: Path) -> None:
    wheel = SPAM.write(tmp_path / "made")
    assert upload(client, wheel).status == 200
    page = client.get("/simple/spam/", accept="application/vnd.pypi.simple.v1+json")
    url = json.loads(page.body)["files"][0]["url"].removeprefix("../..")
    assert replace(client, pathsend=True).get(url).path is not None
    told = numbers(client.get("/metrics").body)
    assert told["wheelhouse_index_sent_bytes_total", "route=file"] == wheel.stat().st_size


@pytest.mark.parametrize(
    ("everybody", "local", "here", "there"),
    [(False, True, 200, 401), (False, False, 401, 401), (True, True, 200, 200)],
)
def test_metrics__access(tmp_path: Path, everybody: bool, local: bool, here: int, there: int) -> None:  # noqa: FBT001 - of the table
    app = make_app(settings(tmp_path, anonymous_metrics=everybody, anonymous_local_metrics=local))
    assert Client(app=app).get("/metrics").status == here
    assert Client(app=app, address=ELSEWHERE).get("/metrics").status == there
    assert Client(app=app).get("/metrics", x_forwarded_for=ELSEWHERE).status == there


@pytest.mark.parametrize(("scope", "status"), [("metrics:*", 200), ("metrics:spam", 403), ("read:*", 403)])
def test_metrics__token(tmp_path: Path, scope: str, status: int) -> None:
    made = settings(tmp_path)
    token = TokenFile(made.tokens).create("t", scopes=[Scope.parse(scope)], now=utc_now(), lifetime=None)
    client = Client(app=make_app(made), address=ELSEWHERE)
    assert client.get("/metrics", authorization=f"Bearer {token}").status == status


def test_metrics__of_spool_and_mirror__are_told() -> None:
    spool = Stats(waiting=3, leased=1, aside=2, size=1000, limit=5000, oldest=100.0)
    counted = Counters(
        page_hits=1,
        page_misses=2,
        page_revalidated=3,
        page_stale=4,
        file_hits=5,
        file_misses=6,
        file_shared=7,
        file_wrong=8,
        bytes_fetched=9,
    )
    mirror = MirrorStats(
        counted=counted,
        fetching=10,
        shelf=ShelfStats(files=11, size=12, budget=None, evicted=13),
        offline=False,
        upstreams={"https://a/": UpstreamState(up=True, since=None), "https://b/": UpstreamState(up=False, since=None)},
    )
    told = numbers(to_text(Traffic(), (*spool_gauges(spool, now=160.0), *mirror_gauges(mirror))))
    assert told["wheelhouse_spool_items", "state=waiting"] == 3
    assert told["wheelhouse_spool_items", "state=aside"] == 2
    assert told["wheelhouse_spool_oldest_seconds", ""] == 60
    assert told["wheelhouse_mirror_pages_total", "result=stale"] == 4
    assert told["wheelhouse_mirror_files_total", "result=shared"] == 7
    assert told["wheelhouse_mirror_evicted_total", ""] == 13
    assert told["wheelhouse_mirror_upstream_up", "upstream=https://b/"] == 0


def test_request_id__of_a_client__is_kept(client: Client) -> None:
    assert client.get("/health", x_request_id="abc-1").headers["x-request-id"] == "abc-1"


@pytest.mark.parametrize("given", ["", "a b", "x" * 129, "a\r\nset-cookie: b"])
def test_request_id__that_is_not_sane__is_another(client: Client, given: str) -> None:
    told = client.get("/health", x_request_id=given).headers["x-request-id"]
    assert told != given
    assert len(told) == 32


def test_access_log__one_line_a_request__with_the_id_of_its_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = settings(tmp_path)
    token = TokenFile(made.tokens).create("ci", scopes=[Scope.parse("read:*")], now=utc_now(), lifetime=None)
    app = make_app(replace(made, access_log="all"))
    with caplog.at_level(logging.INFO):
        client = Client(app=app)
        client.get("/health?token=hidden")
        (tmp_path / "store").rename(tmp_path / "elsewhere")
        got = client.get("/simple/spam/?token=hidden", authorization=f"Bearer {token}")
    assert got.status == 503
    lines = [json.loads(JsonLines().format(record)) for record in caplog.records]
    health, error, answer = [line for line in lines if line["logger"] in {"wheelhouse.access", "wheelhouse.index"}]
    assert (health["path"], health["status"], health["who"]) == ("/health", 200, "anonymous-local")
    assert (answer["path"], answer["status"], answer["who"]) == ("/simple/spam/", 503, "ci")
    assert answer["request"] == error["request"]
    assert "there is no such folder any more" in error["message"]
    assert "hidden" not in json.dumps(lines)
    assert token not in json.dumps(lines)
