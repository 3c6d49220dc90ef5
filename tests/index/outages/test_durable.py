from __future__ import annotations

import subprocess
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from packaging.utils import canonicalize_name
from uv import find_uv_bin

from arrivals import sha256
from asgi import Client, form
from buckets import bucket_environment, bucket_server
from index_server import index_server, wheelhouse
from small_wheels import SmallWheel
from wheelhouse.index.access.auth import AccessRules
from wheelhouse.index.serving.app import make_app
from wheelhouse.index.settings import BufferSettings, Settings
from wheelhouse.index.stores.bucket import BucketStore
from wheelhouse.spool import State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from asgi import Got

LATEST = {"accept": "application/vnd.pypi.simple.v1+json"}
SPAM = canonicalize_name("spam")


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """Servers over one bucket, whose service can be stopped and started."""

    folder: Path
    port: int
    service: ExitStack
    servers: ExitStack

    def go_down(self) -> None:
        self.service.close()

    def come_back(self) -> None:
        self.service.enter_context(bucket_server(self.folder / "buckets", port=self.port))

    def server(self, name: str = "one", *, spool: str | None = None, spool_bytes: int = 10**9) -> Client:
        here = self.folder / name
        settings = Settings(
            store="s3://wheels/index",
            tokens=here / "tokens.json",
            audit=here / "audit",
            access=AccessRules(anonymous_local_upload=True),
            max_upload=10**7,
            buffer=BufferSettings(
                spool=self.folder / (spool or name) / "spool",
                spool_bytes=spool_bytes,
                cache=here / "cache",
                cache_bytes=10**8,
            ),
        )
        app = make_app(settings)
        self.servers.callback(app.close)
        app.site.catalog.fresh_for = 0.0
        return Client(app=app)

    def stored(self) -> list[str]:
        manifest = BucketStore.open("s3://wheels/index").read_manifest(SPAM)
        return [file.filename for file in manifest.files] if manifest else []


@pytest.fixture
def setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Setting]:
    (tmp_path / "buckets" / "wheels").mkdir(parents=True)
    with ExitStack() as service, ExitStack() as servers:
        port = service.enter_context(bucket_server(tmp_path / "buckets"))
        for name, value in bucket_environment(port).items():
            monkeypatch.setenv(name, value)
        yield Setting(folder=tmp_path, port=port, service=service, servers=servers)


def wheel(setting: Setting, version: str = "1.0", *, name: str = "spam", code: str = "") -> tuple[str, bytes]:
    path = SmallWheel(name=name, version=version, files={f"{name}.py": code}).write(setting.folder / "made")
    return path.name, path.read_bytes()


def upload(client: Client, filename: str, data: bytes) -> Got:
    name, version, *_ = filename.split("-")
    fields = {":action": "file_upload", "protocol_version": "1", "name": name, "version": version}
    body, kind = form(fields, filename=filename, content=data)
    return client.get("/legacy/", method="POST", body=body, content_type=kind)


def address(filename: str, data: bytes) -> str:
    return f"/files/{sha256(data)[:2]}/{sha256(data)}/{filename}"


def eventually(true: Callable[[], bool], *, within: float = 10.0) -> None:
    deadline = time.monotonic() + within
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def waiting(client: Client) -> int:
    outbox = client.app.site.pending
    assert outbox is not None
    return outbox.stats().waiting


def test_upload__store_down__is_accepted_served_and_replayed(setting: Setting) -> None:
    client = setting.server()
    first, second = wheel(setting), wheel(setting, "2.0")
    assert upload(client, *first).status == 200
    assert client.get("/simple/spam/").status == 200
    setting.go_down()

    assert upload(client, *second).status == 200
    page = client.get("/simple/spam/", headers=LATEST)
    assert (first[0].encode() in page.body, second[0].encode() in page.body) == (True, True)
    whole = client.get(address(*second))
    part = client.get(address(*second), headers={"range": "bytes=10-19"})
    metadata = client.get(f"{address(*second)}.metadata")
    assert (whole.status, whole.body) == (200, second[1])
    assert (part.status, part.body) == (206, second[1][10:20])
    assert (metadata.status, b"Version: 2.0" in metadata.body) == (200, True)
    assert client.get(address(*first)).body == first[1]

    setting.come_back()
    eventually(lambda: waiting(client) == 0)
    assert setting.stored() == [first[0], second[0]]
    assert client.get("/simple/spam/", headers=LATEST).body == page.body
    assert client.get(f"{address(*second)}.metadata").body == metadata.body


def test_upload__pending__same_bytes_are_well_and_others_conflict(setting: Setting) -> None:
    client = setting.server()
    published, pending = wheel(setting), wheel(setting, "2.0")
    upload(client, *published)
    setting.go_down()

    assert [upload(client, *pending).status for _ in range(2)] == [200, 200]
    assert waiting(client) == 1
    for version in ("1.0", "2.0"):
        got = upload(client, *wheel(setting, version, code="other = 1"))
        assert (got.status, b"build-number" in got.body) == (409, True)
    assert waiting(client) == 1


def test_unknown_project__store_down__is_503_never_404(setting: Setting) -> None:
    setting.go_down()
    client = setting.server()
    got = client.get("/simple/other/")
    assert (got.status, "retry-after" in {name.lower() for name in got.headers}) == (503, True)
    assert client.get("/ready").status == 503
    assert client.get("/health").status == 200

    setting.come_back()
    eventually(lambda: client.get("/ready").status == 200)
    assert client.get("/simple/other/").status == 404


def test_restart__with_things_pending__they_are_served_and_replayed(setting: Setting) -> None:
    old, fresh = wheel(setting), wheel(setting, name="eggs")
    client = setting.server()
    upload(client, *old)
    client.get("/simple/spam/")
    setting.go_down()
    newer = wheel(setting, "2.0")
    assert (upload(client, *newer).status, upload(client, *fresh).status) == (200, 200)
    client.app.close()

    client = setting.server()
    assert (old[0].encode() in (body := client.get("/simple/spam/").body), newer[0].encode() in body) == (True, True)
    assert client.get(address(*fresh)).body == fresh[1]

    setting.come_back()
    eventually(lambda: waiting(client) == 0)
    assert setting.stored() == [old[0], newer[0]]


def test_replayed_file__store_down_again__is_served_by_the_next_server(setting: Setting) -> None:
    setting.go_down()
    client, file = setting.server(), wheel(setting)
    assert upload(client, *file).status == 200
    setting.come_back()
    eventually(lambda: waiting(client) == 0)
    client.get("/simple/spam/")
    client.app.close()
    setting.go_down()
    assert setting.server().get(address(*file)).body == file[1]


def test_replay__many_of_one_project__within_seconds_in_order(setting: Setting) -> None:
    client = setting.server()
    setting.go_down()
    files = [wheel(setting, f"1.{number}") for number in range(50)]
    assert {upload(client, *file).status for file in files} == {200}

    setting.come_back()
    began = time.monotonic()
    eventually(lambda: waiting(client) == 0)
    assert time.monotonic() - began < 8
    assert setting.stored() == [name for name, _ in files]


def test_replay__published_otherwise_meanwhile__is_set_aside_and_the_rest_goes_on(setting: Setting) -> None:
    client = setting.server()
    setting.go_down()
    ours, after = wheel(setting, code="ours = 1"), wheel(setting, "2.0")
    upload(client, *ours)
    upload(client, *after)
    client.app.close()
    setting.come_back()
    theirs = wheel(setting, code="theirs = 1")
    assert upload(setting.server("two"), *theirs).status == 200

    client = setting.server()
    eventually(lambda: waiting(client) == 0)
    assert setting.stored() == [theirs[0], after[0]]
    assert client.app.site.pending is not None
    (item,) = client.app.site.pending.items()
    assert (item.name, item.state) == (ours[0], State.ASIDE)
    assert client.get(address(*theirs)).body == theirs[1]


def test_spool__shared_by_two_servers__both_serve_what_one_accepted(setting: Setting) -> None:
    one, two = setting.server("one"), setting.server("two", spool="one")
    setting.go_down()
    file = wheel(setting)
    assert upload(one, *file).status == 200
    assert client_sees(two, file)
    assert upload(two, *wheel(setting, code="other = 1")).status == 409

    setting.come_back()
    eventually(lambda: waiting(one) == 0)
    assert setting.stored() == [file[0]]
    # One of the two has delivered it; the other asks for the store every few seconds.
    eventually(lambda: client_sees(one, file) and client_sees(two, file))


def client_sees(client: Client, file: tuple[str, bytes]) -> bool:
    return file[0].encode() in client.get("/simple/spam/").body and client.get(address(*file)).body == file[1]


def test_spool__full__is_503_and_nothing_is_accepted(setting: Setting) -> None:
    client = setting.server(spool_bytes=100)
    setting.go_down()
    got = upload(client, *wheel(setting))
    assert (got.status, got.headers["retry-after"]) == (503, "60")
    assert waiting(client) == 0


@pytest.mark.slow
def test_server__killed_with_things_pending__the_next_one_has_them(setting: Setting) -> None:
    files = [wheel(setting, f"1.{number}") for number in range(4)]
    options = ("--store", "s3://wheels/index", "--no-mirror")
    with index_server(setting.folder / "registry", *options) as server:
        token = wheelhouse(server.registry, "token", "create", "ci", "--scope", "upload:*")
        setting.go_down()
        for name, _ in files:
            command = [find_uv_bin(), "publish", "--publish-url", f"{server.url}/legacy/", "--token", token]
            done = subprocess.run(
                [*command, setting.folder / "made" / name], capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stderr
        server.process.kill()

    setting.come_back()
    with index_server(setting.folder / "registry", *options):
        eventually(lambda: setting.stored() == [name for name, _ in files])
