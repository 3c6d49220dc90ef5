from __future__ import annotations

import asyncio
import os
import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from arrivals import sha256
from asgi import Client
from wheelhouse.errors import StoreUnavailableError
from wheelhouse.index.access.auth import AccessRules
from wheelhouse.index.serving.app import make_app
from wheelhouse.index.serving.tidying import Tidying
from wheelhouse.index.settings import Settings
from wheelhouse.index.stores.folder import FolderStore
from wheelhouse.index.stores.guarded import GuardedStore, Outage

if TYPE_CHECKING:
    from pathlib import Path

DATA = b"orphan"
DAY = 86_400.0


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    """Give a store with bytes that nothing has named for two days."""
    made = FolderStore.open(tmp_path / "store")
    made.put_bytes(DATA, sha256(DATA))
    path = made.local_path(sha256(DATA))
    assert path is not None
    os.utime(path, (time.time() - 2 * DAY,) * 2)
    return made


def tidying(store: FolderStore) -> Tidying:
    return Tidying(store=store, every=DAY, stage_days=7)


def test_tidying__of_two_servers__one_removes_what_nothing_names(
    store: FolderStore, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    one, other = tidying(store), tidying(store)
    assert (one.tidy_once(), other.tidy_once()) == (True, False)
    assert list(store.blobs()) == []
    assert (one.tidied.done, one.tidied.blobs, one.tidied.size) == (1, 1, len(DATA))
    assert (other.tidied.done, other.tidied.failures) == (0, 0)
    assert "the store was tidied: 1 orphans of 6 bytes" in caplog.text


def test_tidying__where_a_sandbox_forbids_it_to_be_nice__is_done(
    store: FolderStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nice = tmp_path / "nice"
    nice.write_text('#!/bin/sh\necho "nice: cannot set niceness: Permission denied" >&2\nshift 2\nexec "$@"\n')
    nice.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    made = tidying(store)
    assert made.tidy_once()
    assert made.tidied.blobs == 1


def test_tidying__next_span__is_done_again(store: FolderStore) -> None:
    assert tidying(store).tidy_once()
    tomorrow = replace(tidying(store), clock=lambda: time.time() + DAY)
    assert tomorrow.tidy_once()


def test_tidying__damaged_manifest__removes_nothing_and_is_told(
    store: FolderStore, caplog: pytest.LogCaptureFixture
) -> None:
    (store.root / "projects" / "spam.json").write_text("{")
    made = tidying(store)
    assert made.tidy_once()
    assert (made.tidied.done, made.tidied.failures) == (0, 1)
    assert len(list(store.blobs())) == 1
    assert "the store could not be tidied: " in caplog.text
    assert "Traceback" not in caplog.text


def test_tidying__store_is_down__waits_for_the_next_span(store: FolderStore) -> None:
    down = GuardedStore(store, Outage())
    down.outage.begin("gone")
    with pytest.raises(StoreUnavailableError):
        down.claim("gc", until=datetime.now(UTC))
    assert not Tidying(store=down, every=DAY, stage_days=7).tidy_once()
    assert len(list(store.blobs())) == 1


def test_tidying__goes_on_until_it_is_stopped(store: FolderStore) -> None:
    made = replace(tidying(store), first=(0.0, 0.0), every=0.5)

    async def go_on_for_a_while() -> None:
        task = asyncio.create_task(made.go_on())
        async with asyncio.timeout(60):
            while made.tidied.done < 2:  # noqa: ASYNC110 - another process's work
                await asyncio.sleep(0.05)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    asyncio.run(go_on_for_a_while())
    assert made.processes.canceled


@pytest.mark.parametrize(("hours", "told"), [(24, True), (0, False)])
def test_metrics__tell_of_it__where_it_is_done(tmp_path: Path, hours: int, told: bool) -> None:  # noqa: FBT001 - of the table
    settings = Settings(
        store=str(tmp_path / "store"),
        tokens=tmp_path / "tokens.json",
        audit=tmp_path / "audit",
        access=AccessRules(),
        max_upload=1000,
        gc_hours=hours,
    )
    app = make_app(settings)
    assert (app.tidying is not None) is told
    assert (b"wheelhouse_index_gc_runs_total" in Client(app=app).get("/metrics").body) is told
