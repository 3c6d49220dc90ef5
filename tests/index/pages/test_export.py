from __future__ import annotations

import gzip
import subprocess
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

import orjson
import pytest
from packaging.utils import canonicalize_name
from uv import find_uv_bin

from arrivals import WHEEL, an_arrival, sha256
from small_wheels import SmallWheel
from wheelhouse.errors import IndexRefusesError
from wheelhouse.index.changes.repository import Repository
from wheelhouse.index.pages.export import LIST, export
from wheelhouse.index.stores.folder import FolderStore

if TYPE_CHECKING:
    from pathlib import Path

    from wheelhouse.index.stores.store import Store

SPAM = canonicalize_name("spam")


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: Any) -> None:
        pass


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_export__links_of_the_pages__lead_to_the_bytes(store: Store, tmp_path: Path) -> None:
    repository = Repository(store=store)
    repository.add_file(*an_arrival(tmp_path, "spam-1.0+local.1-py3-none-any.whl"))
    public = tmp_path / "public"
    export(store, public)
    page = orjson.loads((public / "simple/spam/index.json").read_bytes())
    (file,) = page["files"]
    path = urlsplit(urljoin("/simple/spam/", file["url"])).path.replace("%2B", "+").lstrip("/")
    assert (public / path).read_bytes() == b"spam"
    assert sha256((public / f"{path}.metadata").read_bytes()) == file["core-metadata"]["sha256"]
    html = (public / "simple/spam/index.html").read_bytes()
    assert gzip.decompress((public / "simple/spam/index.html.gz").read_bytes()) == html
    assert b'href="spam/"' in (public / "simple/index.html").read_bytes()


def test_export__file_deleted__goes_and_nothing_else(tmp_path: Path) -> None:
    store = FolderStore.open(tmp_path / "store")
    repository = Repository(store=store)
    repository.add_file(*an_arrival(tmp_path))
    public = tmp_path / "public"
    (public / "files").mkdir(parents=True)
    (public / "files" / "of-somebody-else.txt").write_text("keep")
    export(store, public)
    repository.delete(SPAM, WHEEL)
    done = export(store, public)
    assert done.removed == 2
    left = everything(public)
    assert not [path for path in left if WHEEL in path]
    assert left["files/of-somebody-else.txt"] == b"keep"
    assert store.local_path(sha256(b"spam"))


@pytest.mark.parametrize("text", ["{", "{}", '["../precious"]', '["simple/../../precious"]', '["/etc/precious"]'])
def test_export__list_is_not_ours__removes_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "precious").write_text("keep")
    public = tmp_path / "public"
    public.mkdir()
    (public / LIST).write_text(text)
    with pytest.raises(IndexRefusesError):
        export(FolderStore.open(tmp_path / "store"), public)
    assert (tmp_path / "precious").read_text() == "keep"


def test_export__behind_a_plain_web_server__installs_with_uv(tmp_path: Path) -> None:
    wheel = SmallWheel().write(tmp_path)
    repository = Repository(store=FolderStore.open(tmp_path / "store"))
    metadata = SmallWheel().members()[f"{SmallWheel().dist_info}/METADATA"]
    new, source = an_arrival(tmp_path, wheel.name, wheel.read_bytes(), metadata)
    repository.add_file(new, source)
    public = tmp_path / "public"
    export(repository.store, public)
    handler = partial(Quiet, directory=str(public))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        index = f"http://127.0.0.1:{server.server_port}/simple/"
        command = [find_uv_bin(), "pip", "install", "--no-config", "--no-cache", "--target", str(tmp_path / "target")]
        done = subprocess.run(
            [*command, "--python", sys.executable, "--default-index", index, "spam"],
            capture_output=True,
            text=True,
            check=False,
        )
        server.shutdown()
        thread.join()
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "target" / "spam" / "__init__.py").read_text() == "ANSWER = 42\n"
