"""The power is cut on a real server under uploads: on another machine, so to say, nothing acknowledged is missing."""

from __future__ import annotations

import signal
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from buckets import bucket_environment, bucket_server
from disks import assert_was_cut, cut_power, make_disk, mounted
from index_server import index_server
from uploaders import Uploaders, not_there
from wheelhouse.index.changes.verify import verify
from wheelhouse.index.stores.folder import FolderStore

if TYPE_CHECKING:
    from pathlib import Path

ENOUGH = 90
"""Files acknowledged before the cut."""
PARCEL = 20
"""Files in every second request: enough to be brought to the disk by one wait."""
ANYBODY = "--allow-anonymous-upload"

pytestmark = pytest.mark.slow


def upload_until_the_cut(folder: Path, *options: str) -> Uploaders:
    """Serve from a disk, upload, stop the server where it stands and copy the disk as it is."""
    image = folder / "disk"
    make_disk(image)
    with (
        mounted(image, folder / "before") as disk,
        index_server(disk / "registry", ANYBODY, *options) as server,
        Uploaders(size=200, parcel=PARCEL) as uploaders,
    ):
        uploaders.target = server.url
        uploaders.wait_for(ENOUGH)
        server.process.send_signal(signal.SIGSTOP)
        uploaders.target = None
        time.sleep(0.1)  # what it had said before arrives
        cut_power(image, disk, folder / "after-the-cut")
        server.process.kill()
        server.process.wait()
    assert uploaders.refused == []
    return uploaders


def test_folder__power_cut_under_uploads__keeps_what_was_acknowledged(tmp_path: Path) -> None:
    uploaders = upload_until_the_cut(tmp_path)
    files = uploaders.acknowledged
    with mounted(tmp_path / "after-the-cut", tmp_path / "after") as disk:
        assert_was_cut(disk)
        with index_server(disk / "registry", ANYBODY) as server:
            assert not_there(server.url, files, bytes_of=files) == []
            server.stop()
        store = FolderStore.open(disk / "registry" / ".wheelhouse" / "index")
        assert [damage for account in verify(store) for damage in account.damages] == []


def test_spool__power_cut_while_the_bucket_is_down__keeps_what_was_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "buckets" / "wheels").mkdir(parents=True)
    with bucket_server(tmp_path / "buckets") as port:
        for name, value in bucket_environment(port).items():
            monkeypatch.setenv(name, value)
    options = ("--store", "s3://wheels/index")
    files = upload_until_the_cut(tmp_path, *options).acknowledged
    with mounted(tmp_path / "after-the-cut", tmp_path / "after") as disk, ExitStack() as service:
        assert_was_cut(disk)
        spooled = disk / "registry" / ".wheelhouse" / "index-spool" / "files"
        assert len(list(spooled.iterdir())) >= len(files)
        with index_server(disk / "registry", ANYBODY, *options) as server:
            assert not_there(server.url, files, bytes_of=files) == []
            service.enter_context(bucket_server(tmp_path / "buckets", port=port))
            deadline = time.monotonic() + 30
            while any(spooled.iterdir()):
                assert time.monotonic() < deadline, "the spool does not drain"
                time.sleep(0.05)
            assert not_there(server.url, files, bytes_of=files) == []
            server.stop()
