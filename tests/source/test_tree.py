from __future__ import annotations

import hashlib
import io
import os
import tarfile
from typing import TYPE_CHECKING

import pytest
from packaging.utils import canonicalize_name
from packaging.version import Version

from servers import Answer, serve
from wheelhouse import source
from wheelhouse.config import Config, index_url
from wheelhouse.errors import SourceError
from wheelhouse.job import Patch, SourceSpec
from wheelhouse.joblog import JobLog
from wheelhouse.wheel import sha256_of

if TYPE_CHECKING:
    from pathlib import Path


def an_sdist(files: dict[str, str], *, mtime: int = 1_700_000_000) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, text in files.items():
            info = tarfile.TarInfo(f"spam-1.0/{name}")
            info.size, info.mtime, info.mode = len(text.encode()), mtime, 0o600
            archive.addfile(info, io.BytesIO(text.encode()))
    return buffer.getvalue()


SDIST = an_sdist({"pyproject.toml": '[build-system]\nrequires = ["mine"]\nbuild-backend = "mine"\n', "a.c": "old\n"})


def a_spec(data: bytes, *, url: str | None = None, patches: tuple[Patch, ...] = (), folder: str = "") -> SourceSpec:
    return SourceSpec(
        project=canonicalize_name("spam"),
        version=Version("1.0"),
        sha256=hashlib.sha256(data).hexdigest(),
        url=url,
        patches=patches,
        subdirectory=folder,
    )


def no_index() -> str:
    pytest.fail("the index was asked for")


def prepared(tmp_path: Path, spec: SourceSpec) -> source.SourceTree:
    tmp_path.mkdir(exist_ok=True)
    return source.prepare(
        spec,
        cache=tmp_path / "cache",
        index=no_index,
        destination=tmp_path / "out",
        log=JobLog(tmp_path / "log", job="spam"),
    )


def stored(tmp_path: Path, data: bytes) -> str:
    (tmp_path / "spam.tar.gz").write_bytes(data)
    return (tmp_path / "spam.tar.gz").as_uri()


def test_prepare__patched_settled_and_remembered(tmp_path: Path) -> None:
    file = tmp_path / "0001.patch"
    file.write_text("--- a/a.c\n+++ b/a.c\n@@ -1 +1 @@\n-old\n+new\n")
    spec = a_spec(SDIST, url=stored(tmp_path, SDIST), patches=(Patch(path=file, sha256=sha256_of(file)),))
    assert source.remembered_facts(spec, cache=tmp_path / "cache") is None
    tree = prepared(tmp_path, spec)
    assert (tree.root / "a.c").read_text() == "new\n"
    assert {path.stat().st_mtime for path in tree.root.iterdir()} == {tree.facts.epoch} == {1_700_000_000}
    assert {path.stat().st_mode & 0o777 for path in tree.root.iterdir()} == {0o644}
    assert tree.facts == source.SourceFacts(requires=("mine",), backend="mine", epoch=1_700_000_000)
    assert source.remembered_facts(spec, cache=tmp_path / "cache") == tree.facts


def test_prepare__patch_edited_since__refused(tmp_path: Path) -> None:
    file = tmp_path / "0001.patch"
    file.write_text("anything")
    spec = a_spec(SDIST, url=stored(tmp_path, SDIST), patches=(Patch(path=file, sha256="0" * 64),))
    with pytest.raises(SourceError, match="has changed"):
        prepared(tmp_path, spec)


def test_prepare__subdirectory(tmp_path: Path) -> None:
    data = an_sdist({"python/setup.py": "", "README": ""})
    url = stored(tmp_path, data)
    with pytest.raises(SourceError, match=r"neither pyproject.toml nor setup.py at its top \(there: README, python\)"):
        prepared(tmp_path / "1", a_spec(data, url=url))
    assert prepared(tmp_path / "2", a_spec(data, url=url, folder="python")).root.name == "python"
    with pytest.raises(SourceError, match="no folder `ruby`") as caught:
        prepared(tmp_path / "3", a_spec(data, url=url, folder="ruby"))
    assert "python" in (caught.value.hint or "")


def test_fetch__wrong_hash__names_the_source(tmp_path: Path) -> None:
    spec = a_spec(b"other", url=stored(tmp_path, SDIST))
    with pytest.raises(SourceError, match=r"spam 1\.0: .*expected sha256 .*actual"):
        source.fetch(spec, cache=tmp_path / "cache", index=no_index)


PAGE = '<a href="/f/spam-1.0.zip">spam-1.0.zip</a><a href="/f/spam-1.0.tar.gz#sha256={}">spam-1.0.tar.gz</a>'


@pytest.mark.parametrize(
    "page",
    [
        Answer(body=PAGE.format(hashlib.sha256(SDIST).hexdigest()).encode(), headers={"Content-Type": "text/html"}),
        Answer(
            body=b'{"meta": {"api-version": "1.0"}, "name": "spam", "files":'
            b'[{"filename": "spam-1.0.tar.gz", "url": "../../f/spam-1.0.tar.gz", "hashes": {}}]}',
            headers={"Content-Type": "application/vnd.pypi.simple.v1+json"},
        ),
    ],
    ids=["html", "json"],
)
def test_fetch__from_an_index(tmp_path: Path, page: Answer) -> None:
    with serve({"/simple/spam/": [page], "/f/spam-1.0.tar.gz": [Answer(body=SDIST)]}) as server:
        path = source.fetch(a_spec(SDIST), cache=tmp_path, index=lambda: f"{server.url}/simple")
        assert path.read_bytes() == SDIST
        assert source.fetch(a_spec(SDIST), cache=tmp_path, index=no_index) == path


def test_fetch__index_without_it__says_what_there_is(tmp_path: Path) -> None:
    html = {"Content-Type": "text/html"}
    wheels = b'<a href="x/spam-1.0-py3-none-any.whl">spam-1.0-py3-none-any.whl</a>'
    older = b'<a href="x/spam-0.9.tar.gz">spam-0.9.tar.gz</a>'
    for body, message, hint in (
        (wheels, "no sdist of spam 1.0", "spam-1.0-py3-none-any.whl"),
        (older, "no spam 1.0", "0.9"),
        (None, "does not know spam", "package.name"),
    ):
        routes = {} if body is None else {"/spam/": [Answer(body=body, headers=html)]}
        with serve(routes) as server, pytest.raises(SourceError, match=message) as caught:
            source.fetch(a_spec(SDIST), cache=tmp_path, index=lambda url=server.url: url)  # type: ignore[misc]
        assert hint in (caught.value.hint or "")


@pytest.mark.network
def test_prepare__real_sdist(tmp_path: Path) -> None:
    spec = SourceSpec(
        project=canonicalize_name("markupsafe"),
        version=Version("3.0.2"),
        sha256="ee55d3edf80167e48ea11a923c7386f4669df67d7994554387f84e7d8b0a2bf0",
        url=None,
    )
    tree = source.prepare(
        spec,
        cache=tmp_path / "cache",
        index=lambda: index_url(Config(), os.environ),
        destination=tmp_path / "out",
        log=JobLog(tmp_path / "log", job="markupsafe"),
    )
    assert (tree.root / "src/markupsafe/_speedups.c").is_file()
    assert tree.facts == source.SourceFacts(
        requires=("setuptools>=70.1",), backend="setuptools.build_meta", epoch=1729263798
    )
