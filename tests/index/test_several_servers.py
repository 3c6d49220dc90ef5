"""Two real servers over one bucket, under uploads, yanks and publishes of the same project: no change is lost."""

from __future__ import annotations

import itertools
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from buckets import bucket_environment, bucket_server
from index_server import index_server, wheelhouse
from small_wheels import SmallWheel
from uploaders import JSON, Uploaders, ask, not_there, packed, upload_of
from wheelhouse.index.changes.verify import verify
from wheelhouse.index.stores.bucket import BucketStore

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SECONDS = 3.0
#: Seconds that a busy machine is given until all of them have changed something.
PATIENCE = 60.0
#: All of them change `spam0`, however fast the machine is.
MANY = 1_000_000
OPTIONS = ("--allow-anonymous-upload", "--store", "s3://wheels/index")


def insist(url: str, path: str, body: bytes, headers: Mapping[str, str]) -> None:
    """Ask until the answer is neither that it should come again."""
    while True:
        status, said = ask(url, path, method="POST", body=body, headers=headers)
        if status != HTTPStatus.SERVICE_UNAVAILABLE:
            assert status == HTTPStatus.OK, said
            return


@dataclass(frozen=True, slots=True, kw_only=True)
class Others:
    """Those who change the project besides those who upload to it."""

    one: str
    two: str
    token: str
    yanked: list[str] = field(default_factory=list)
    staged: dict[str, bytes] = field(default_factory=dict)
    ended: threading.Event = field(default_factory=threading.Event)

    def yank(self, uploaders: Uploaders) -> None:
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        while not self.ended.is_set():
            for name in [name for name in list(uploaders.acknowledged)[::3] if name not in self.yanked]:
                insist(self.two, f"/_/projects/spam0/files/{quote(name)}/yank", b"{}", headers)
                self.yanked.append(name)
            time.sleep(0.01)

    def stage(self) -> None:
        """Upload by one server, publish by the other."""
        for number in itertools.count():
            wheels = [SmallWheel(name="spam0", version=f"{number}.{minor}+staged") for minor in range(2)]
            files = {wheel.filename: packed(wheel) for wheel in wheels}
            for wheel in wheels:
                body, headers = upload_of(wheel, files[wheel.filename])
                insist(self.one, f"/_/stages/s{number}/legacy/", body, headers)
            insist(self.two, f"/_/stages/s{number}/publish", b"{}", {"Content-Type": "application/json"})
            self.staged.update(files)
            if self.ended.is_set():
                return


@pytest.mark.slow
def test_servers__over_one_bucket__lose_no_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "buckets" / "wheels").mkdir(parents=True)
    with bucket_server(tmp_path / "buckets") as port:
        for name, value in bucket_environment(port).items():
            monkeypatch.setenv(name, value)
        with (
            index_server(tmp_path / "one", *OPTIONS) as one,
            index_server(tmp_path / "two", *OPTIONS) as two,
            Uploaders(count=1, of_a_project=MANY, local="+one") as ours,
            Uploaders(count=1, of_a_project=MANY, local="+two") as theirs,
            ThreadPoolExecutor() as pool,
        ):
            token = wheelhouse(two.registry, "token", "create", "ci", "--scope", "yank:*")
            others = Others(one=one.url, two=two.url, token=token)
            ours.target, theirs.target = one.url, two.url
            work = [pool.submit(others.yank, ours), pool.submit(others.stage)]
            deadline = time.monotonic() + PATIENCE
            everybody = (ours.acknowledged, theirs.acknowledged, others.yanked, others.staged)
            time.sleep(SECONDS)
            while min(map(len, everybody)) < 2 and time.monotonic() < deadline:
                time.sleep(0.1)
            others.ended.set()
            for each in work:
                each.result()
            ours.target = theirs.target = None
            ours.rest()
            theirs.rest()
            time.sleep(1.1)  # a server asks once a second at most whether a page is as it was
            files = {**ours.acknowledged, **theirs.acknowledged, **others.staged}
            assert min(map(len, everybody)) > 1
            for url in (one.url, two.url):
                assert not_there(url, files, bytes_of=files) == []
                page = json.loads(ask(url, "/simple/spam0/", headers={"Accept": JSON})[1])
                assert {file["filename"] for file in page["files"] if file["yanked"]} == set(others.yanked)
            assert (ours.refused, theirs.refused) == ([], [])
        damages = [each for account in verify(BucketStore.open("s3://wheels/index")) for each in account.damages]
        assert damages == []
