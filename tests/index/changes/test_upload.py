from __future__ import annotations

import asyncio
import hashlib
import io
import itertools
import tarfile
import tempfile
import zipfile
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asgi import Client, form
from small_wheels import SmallWheel
from tiny import Tiny
from wheelhouse.errors import IndexRefusesError
from wheelhouse.index.access.auth import AccessRules
from wheelhouse.index.changes.form import SMALL, read_form
from wheelhouse.index.changes.sdistfile import read_sdist
from wheelhouse.index.changes.wheelfile import Bounds, read_wheel
from wheelhouse.index.model import FileName
from wheelhouse.index.serving.app import make_app
from wheelhouse.index.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path
    from typing import BinaryIO

    from asgi import Got

WHEEL = SmallWheel()
FIELDS = {":action": "file_upload", "protocol_version": "1", "name": "spam", "version": "1.0"}
LIMIT = 100_000


@pytest.fixture
def client(tmp_path: Path) -> Client:
    return serving(tmp_path)


def serving(folder: Path) -> Client:
    rules = AccessRules(anonymous_local_upload=True)
    settings = Settings(
        store=str(folder / "store"),
        tokens=folder / "tokens.json",
        audit=folder / "audit",
        access=rules,
        max_upload=LIMIT,
    )
    return Client(app=make_app(settings))


def send(client: Client, content: bytes, *, filename: str = WHEEL.filename, **fields: str) -> Got:
    body, kind = form({**FIELDS, **fields}, filename=filename, content=content)
    return client.get("/legacy/", method="POST", body=body, content_type=kind)


def packed(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def left_behind(folder: Path) -> list[Path]:
    return [path for path in (folder / "store").rglob("*") if path.is_file() and path.suffix != ".lock"]


def test_upload__new__is_published_and_the_same_again_is_well(client: Client) -> None:
    data = packed(WHEEL.members())
    digests = {"sha256_digest": hashlib.sha256(data).hexdigest(), "md5_digest": hashlib.md5(data).hexdigest()}  # noqa: S324 - as twine sends it
    first = send(client, data, **digests, gpg_signature="x", unknown_field="é", attestations="[]")
    again = send(client, data)

    assert (first.status, again.status) == (200, 200)
    assert (b"is published" in first.body, b"was here already" in again.body) == (True, True)


def test_upload__other_bytes__conflict_names_the_build_number(client: Client) -> None:
    send(client, packed(WHEEL.members()))
    got = send(client, packed(SmallWheel(files={"spam.py": "other"}).members()))
    assert got.status == 409
    assert b"build-number = 1" in got.body


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"sha256_digest": "0" * 64}, "the upload says 0000"),
        ({"md5_digest": "0" * 32}, "its md5 is"),
        ({"blake2_256_digest": "é"}, "its blake2_256 is"),
        ({"name": "eggs"}, "not a file of the project 'eggs'"),
        ({"version": "2.0"}, "not of version '2.0'"),
        ({"version": "one"}, "not of version 'one'"),
        ({":action": "submit"}, "only `:action=file_upload`"),
        ({"protocol_version": "2"}, "protocol version 1"),
        ({"filetype": "sdist"}, "not of the type sdist"),
    ],
)
def test_upload__claims_that_are_not_so__leave_nothing(
    client: Client, tmp_path: Path, fields: dict[str, str], words: str
) -> None:
    body, kind = form({**FIELDS, **fields}, filename=WHEEL.filename, content=packed(WHEEL.members()))
    got = client.get("/legacy/", method="POST", body=body, content_type=kind)
    assert got.status == 400
    assert words in got.body.decode()
    assert not left_behind(tmp_path)


@pytest.mark.parametrize("filename", ["", "spam.whl", "../spam-1.0-py3-none-any.whl", "spam-1.0.exe", "a/b-1.0.tar.gz"])
def test_upload__filename_that_is_none__is_refused(client: Client, tmp_path: Path, filename: str) -> None:
    assert send(client, packed(WHEEL.members()), filename=filename).status == 400
    assert not left_behind(tmp_path)


def test_upload__too_large__is_refused(client: Client, tmp_path: Path) -> None:
    got = send(client, bytes(LIMIT + 1))
    assert (got.status, b"more than 100000 bytes" in got.body) == (400, True)
    assert not left_behind(tmp_path)


def test_upload__from_a_web_page__is_refused(client: Client) -> None:
    body, kind = form(FIELDS, filename=WHEEL.filename, content=packed(WHEEL.members()))
    got = client.get("/legacy/", method="POST", body=body, content_type=kind, origin="https://evil.example")
    assert got.status == 403


@pytest.mark.parametrize("cut", [0, 10, 200, 700, -3])
def test_upload__broken_off__leaves_nothing(client: Client, tmp_path: Path, cut: int) -> None:
    body, kind = form(FIELDS, filename=WHEEL.filename, content=packed(WHEEL.members()))
    got = client.get("/legacy/", method="POST", body=body[:cut], content_type=kind)
    assert got.status == 400
    assert not left_behind(tmp_path)


@pytest.mark.parametrize("kind", ["", "text/plain", "multipart/form-data", "multipart/form-data; boundary="])
def test_upload__no_form__is_refused(client: Client, kind: str) -> None:
    assert client.get("/legacy/", method="POST", body=b"x", content_type=kind).status == 400


def test_upload__two_files__are_refused(client: Client) -> None:
    part = b'--b\r\nContent-Disposition: form-data; name="content"; filename="x"\r\n\r\nx\r\n'
    got = client.get(
        "/legacy/", method="POST", body=part * 2 + b"--b--\r\n", content_type="multipart/form-data; boundary=b"
    )
    assert b"more than one file" in got.body


def _without(name: str) -> bytes:
    return packed({member: data for member, data in WHEEL.members().items() if not member.endswith(name)})


def _with(name: str, data: bytes) -> bytes:
    return packed({**WHEEL.members(), name: data})


def _bomb() -> bytes:
    return packed({**WHEEL.members(), "spam/zeros": bytes(20 << 20)})


_MANY_TAGS = b"Wheel-Version: 1.0\nTag: " + b"-".join([b".".join([b"a%d" % each for each in range(900)])] * 3)


def _twice() -> bytes:
    buffer = io.BytesIO(packed(WHEEL.members()))
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr("SPAM/__init__.py", b"")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (lambda: b"no zip", "no zip archive"),
        (lambda: packed(WHEEL.members())[:-30], "no zip archive"),
        (lambda: packed(WHEEL.members()) + b"more", "no zip archive"),
        (lambda: b"#!/bin/sh\n" + packed(WHEEL.members()), "in front of the archive"),
        (lambda: _without("METADATA"), "METADATA is missing"),
        (lambda: _without("WHEEL"), "WHEEL is missing"),
        (lambda: _without("RECORD"), "RECORD is missing"),
        (lambda: _without("__init__.py"), "do not list the same files"),
        (lambda: _with("extra.py", b""), "do not list the same files: extra.py"),
        (lambda: _with("spam/__init__.py", b"changed"), "not what RECORD says"),
        (lambda: _with("../evil.py", b""), "leads out of the archive"),
        (lambda: _with("/evil.py", b""), "leads out of the archive"),
        (lambda: _with("a\\b.py", b""), "leads out of the archive"),
        (lambda: _with("eggs-1.0.dist-info/METADATA", b""), "one .dist-info folder"),
        (lambda: packed(SmallWheel(name="eggs").members()), "does not fit the filename"),
        (lambda: packed(SmallWheel(version="2.0").members()), "does not fit the filename"),
        (lambda: packed(SmallWheel(tag="cp311-cp311-linux_x86_64").members()), "WHEEL has other tags"),
        (lambda: _with("spam-1.0.dist-info/WHEEL", _MANY_TAGS), "no filename has room for"),
        (lambda: packed(SmallWheel(metadata="Requires-Python: soon\n").members()), "metadata are not valid"),
        (_bomb, "a bomb"),
        (_twice, "a member twice"),
    ],
)
def test_read_wheel__not_the_wheel_it_says(data: Callable[[], bytes], words: str) -> None:
    with pytest.raises(IndexRefusesError, match=words):
        read_wheel(io.BytesIO(data()), FileName.parse(WHEEL.filename), bounds=Bounds())


def test_read_wheel__says_what_it_is(tmp_path: Path) -> None:
    path = SmallWheel(metadata="Requires-Python: >=3.9\n").write(tmp_path)
    with path.open("rb") as file:
        described = read_wheel(file, FileName.parse(path.name), bounds=Bounds())
    assert (described.project, str(described.version), described.requires_python) == ("spam", "1.0", ">=3.9")


def _tar(*members: tarfile.TarInfo) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for member in members:
            archive.addfile(member)
    return buffer.getvalue()


def test_sdist__is_published(client: Client, tmp_path: Path) -> None:
    sdist = Tiny(name="spam").write_sdist(tmp_path)
    assert send(client, sdist.read_bytes(), filename=sdist.name, filetype="sdist").status == 200
    assert b"spam-1.0.tar.gz" in client.get("/simple/spam/").body


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (lambda: b"no tar", "no archive of its kind"),
        (lambda: _tar(tarfile.TarInfo("../x")), "leads out"),
        (lambda: _tar(tarfile.TarInfo("eggs-1.0/PKG-INFO")), "one folder, named as the file"),
        (lambda: _tar(tarfile.TarInfo("spam-1.0/a"), tarfile.TarInfo("b/c")), "one folder, named as the file"),
        (lambda: _tar(tarfile.TarInfo("spam-1.0/setup.py")), "PKG-INFO is missing"),
        (lambda: _tar(tarfile.TarInfo("spam-1.0/PKG-INFO")), "metadata are"),
    ],
)
def test_read_sdist__not_the_sdist_it_says(data: Callable[[], bytes], words: str) -> None:
    with pytest.raises(IndexRefusesError, match=words):
        read_sdist(io.BytesIO(data()), FileName.parse("spam-1.0.tar.gz"), bounds=Bounds())


@settings(max_examples=60, deadline=None)
@given(
    content=st.binary(max_size=3000),
    cuts=st.lists(st.integers(0, 4000), max_size=6),
    more=st.sampled_from([0, SMALL - 3000, SMALL, 3 * SMALL]),
    claims_first=st.booleans(),
)
def test_read_form__however_it_is_cut__gives_the_same_file(
    content: bytes, cuts: list[int], more: int, *, claims_first: bool
) -> None:
    content += bytes(more)
    fields = {"name": "é", "md5_digest": "claimed"}
    body, kind = form(fields if claims_first else {}, filename="f", content=content)
    edges = sorted({0, len(body), *(cut for cut in cuts if cut < len(body)), *range(0, len(body), 100_000)})
    spilled: list[BinaryIO] = []

    async def chunks() -> AsyncIterator[bytes]:
        for start, end in itertools.pairwise(edges):
            yield body[start:end]

    def spill() -> BinaryIO:
        spilled.append(stack.enter_context(tempfile.TemporaryFile()))  # noqa: SIM115 - the stack closes it
        return spilled[0]

    with ExitStack() as stack:
        read = asyncio.run(read_form(chunks(), content_type=kind, spill=spill, limit=len(content)))
        read.file.seek(0)
        said = (read.size, read.first("name"), read.filename)
        assert (read.file.read(), *said) == (content, len(content), "é" if claims_first else None, "f")
        assert {name: read.digest(name) for name in ("sha256", "md5", "blake2_256")} == {
            "sha256": hashlib.sha256(content).hexdigest(),
            "md5": hashlib.md5(content, usedforsecurity=False).hexdigest(),
            "blake2_256": hashlib.blake2b(content, digest_size=32).hexdigest(),
        }
        assert read.small == (None if spilled else content)
        assert len(spilled) == (len(content) > SMALL and len(edges) > 2)


def test_sdist__zip_that_points_before_its_beginning__is_damaged(tmp_path: Path) -> None:
    """On a disk the system says so, not zipfile."""
    data = bytearray(packed({"spam-1.0/PKG-INFO": b"Metadata-Version: 2.1\nName: spam\nVersion: 1.0\n"}))
    data[-6] += 4
    path = tmp_path / "spam-1.0.zip"
    path.write_bytes(data)
    with path.open("rb") as file, pytest.raises(IndexRefusesError, match="a damaged one"):
        read_sdist(file, FileName.parse(path.name), bounds=Bounds())
