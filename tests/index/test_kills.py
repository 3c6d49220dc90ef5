"""kill -9 on a real server under uploads, again and again; and its store taken away meanwhile.

After each restart all that was acknowledged is there with its bytes, no manifest lies, nothing half-written is left,
and the spool drains. `WHEELHOUSE_ROUNDS=200` kills as often in each test, and says with `-s` what was seen.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from buckets import bucket_environment, bucket_server
from index_server import index_server, serve_command
from uploaders import Uploaders, not_there
from wheelhouse.index.changes.verify import verify
from wheelhouse.index.stores.bucket import BucketStore
from wheelhouse.index.stores.folder import FolderStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ROUNDS = int(os.environ.get("WHEELHOUSE_ROUNDS", "6"))
FIRST = 3
"""Files of a round that are acknowledged before anything happens."""
PARCEL = 20
"""Files in every second request: enough to be brought to the disk by one wait."""
LONGEST = 0.5
"""Seconds of uploads after that."""
CHANCE = random.Random(20)  # noqa: S311 - only spreads the moments

pytestmark = pytest.mark.slow


@dataclass(slots=True, kw_only=True)
class Trial:
    """One store and the servers over it, one after the other."""

    registry: Path
    temporary: Path
    options: tuple[str, ...]
    uploaders: Uploaders
    checked: set[str] = field(default_factory=set)
    """Files whose bytes were read from a server that came after their own."""
    kills: int = 0
    slowest: float = 0.0
    """Seconds until the spool was empty."""

    def upload_and_kill(self, meanwhile: Callable[[], None] = lambda: None) -> None:
        with index_server(self.registry, *self.options) as server:
            latest = self._unchecked()  # all of them: see `read_back`
            assert not_there(server.url, latest, bytes_of=latest) == []
            self._expect_nothing_left()
            self.uploaders.target = server.url
            self.uploaders.wait_for(FIRST)
            meanwhile()
            time.sleep(CHANCE.uniform(0, LONGEST))
            self._kill(server.process)
        self.uploaders.target = None
        if CHANCE.random() < 1 / 4:  # and once more while the next one begins
            command = [*serve_command(self.registry, *self.options), "--no-mirror"]
            with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
                time.sleep(CHANCE.uniform(0, 1.5))
                self._kill(process)

    def read_back(self) -> None:
        """Let a server live until the spool is empty, and read everything from it."""
        with index_server(self.registry, *self.options) as server:
            began = time.monotonic()
            while any(self._spool("files")):
                assert time.monotonic() - began < 30, "the spool does not drain"
                time.sleep(0.02)
            self.slowest = max(self.slowest, time.monotonic() - began)
            everything = self.uploaders.acknowledged
            assert not_there(server.url, everything, bytes_of=everything) == []
            self._expect_nothing_left()

    def tell(self, what: str) -> None:
        sys.stdout.write(
            f"\n{what}: {self.kills} kills, {len(self.uploaders.acknowledged)} acknowledged, "
            f"{self.uploaders.broken} broken off and tried again, spool drained in {self.slowest:.2f} s at most\n"
        )

    def _kill(self, process: subprocess.Popen[str] | subprocess.Popen[bytes]) -> None:
        assert process.poll() is None, f"the server ended by itself: {process.returncode}"
        process.kill()
        process.wait()
        self.kills += 1

    def _unchecked(self) -> dict[str, bytes]:
        files = {name: data for name, data in self.uploaders.acknowledged.items() if name not in self.checked}
        self.checked.update(files)
        return files

    def _spool(self, folder: str) -> list[Path]:
        place = self.registry / ".wheelhouse" / "index-spool" / folder
        return list(place.iterdir()) if place.is_dir() else []

    def _expect_nothing_left(self) -> None:
        """While nobody uploads. What was read a moment ago may be on its way to the cache."""
        deadline = time.monotonic() + 5
        while left := self._left():
            assert time.monotonic() < deadline, left
            time.sleep(0.02)

    def _left(self) -> list[Path]:
        state = self.registry / ".wheelhouse"
        left = [*self._spool("incoming"), *self.temporary.iterdir(), *(state / "index" / "scratch").glob("*")]
        left += (state / "index-cache" / "files" / "parts").glob("*")
        for folder in (state / "index" / "projects", state / "index-cache" / "manifests"):
            left += folder.glob(".*")
        owners = [path for path in self._spool("owners") if path.suffix == ".owner"]
        return left + owners[1:]  # one is the server's


def a_trial(folder: Path, monkeypatch: pytest.MonkeyPatch, uploaders: Uploaders, *options: str) -> Trial:
    temporary = folder / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    return Trial(
        registry=folder / "registry",
        temporary=temporary,
        options=("--allow-anonymous-upload", *options),
        uploaders=uploaders,
    )


def test_folder__server_killed_under_uploads__keeps_what_it_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Uploaders(parcel=PARCEL) as uploaders:
        trial = a_trial(tmp_path, monkeypatch, uploaders)
        for _ in range(ROUNDS):
            trial.upload_and_kill()
    trial.read_back()
    trial.tell("folder")
    assert uploaders.refused == []
    assert [
        damage
        for account in verify(FolderStore.open(tmp_path / "registry/.wheelhouse/index"))
        for damage in account.damages
    ] == []


def test_bucket__server_killed_under_uploads_and_bucket_down_at_times__keeps_what_it_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "buckets" / "wheels").mkdir(parents=True)
    with ExitStack() as service, Uploaders(parcel=PARCEL) as uploaders:
        port = service.enter_context(bucket_server(tmp_path / "buckets"))
        for name, value in bucket_environment(port).items():
            monkeypatch.setenv(name, value)
        trial = a_trial(tmp_path, monkeypatch, uploaders, "--store", "s3://wheels/index")

        def take_bucket_away() -> None:
            time.sleep(CHANCE.uniform(0, LONGEST))
            service.close()
            uploaders.wait_for(FIRST)  # into the spool

        for number in range(ROUNDS):
            trial.upload_and_kill(take_bucket_away if number % 3 == 1 else lambda: None)
            if number % 3 == 2:
                service.close()
                service.enter_context(bucket_server(tmp_path / "buckets", port=port))
        service.close()
        service.enter_context(bucket_server(tmp_path / "buckets", port=port))
        trial.read_back()
        trial.tell("bucket")
        damages = [each for account in verify(BucketStore.open("s3://wheels/index")) for each in account.damages]
        assert (uploaders.refused, damages) == ([], [])
