"""Clients that upload small wheels without end over real HTTP, and try each again until it is acknowledged."""

from __future__ import annotations

import http.client
import io
import itertools
import json
import threading
import time
import zipfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from arrivals import sha256
from asgi import form, parcel
from small_wheels import SmallWheel

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_PATIENCE = 30
_AGAIN = 503
JSON = "application/vnd.pypi.simple.v1+json"


def packed(wheel: SmallWheel) -> bytes:
    """Return the bytes of a wheel."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, data in wheel.members().items():
            archive.writestr(name, data)
    return made.getvalue()


def upload_of(wheel: SmallWheel, data: bytes) -> tuple[bytes, dict[str, str]]:
    """Return an upload's body and its headers."""
    fields = {":action": "file_upload", "protocol_version": "1", "name": wheel.name, "version": wheel.version}
    body, kind = form(fields, filename=wheel.filename, content=data)
    return body, {"Content-Type": kind}


def ask(
    url: str, path: str, *, method: str = "GET", body: bytes | None = None, headers: Mapping[str, str] | None = None
) -> tuple[int, bytes]:
    """Ask a server once. Raises OSError, HTTPException where it breaks off."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=_PATIENCE)
    try:
        connection.request(method, path, body=body, headers=dict(headers or {}))
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


@dataclass(slots=True, kw_only=True)
class Uploaders:
    """Threads. They upload while `target` is an address, and rest while it is None."""

    count: int = 3
    size: int = 2000
    """Bytes in a wheel, about: every tenth has fifty times as many."""
    parcel: int = 1
    """Files in every second request; in the others is one."""
    of_a_project: int = 60
    """Files; then the next one begins."""
    local: str = ""
    """The end of all versions, where others upload to the same projects: `+one`."""
    target: str | None = None
    acknowledged: dict[str, bytes] = field(default_factory=dict)
    """Files by their names: whoever uploaded them was told that they are safe."""
    refused: list[str] = field(default_factory=list)
    """Answers that no sane client would take for a reason to try again."""
    broken: int = 0
    """Uploads that broke off, or were asked to come again."""
    _ended: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)
    _serial: itertools.count[int] = field(default_factory=itertools.count)

    def __enter__(self) -> Self:
        self._threads += [threading.Thread(target=self._work) for _ in range(self.count)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.rest()

    def rest(self) -> None:
        """End, with what is being uploaded acknowledged or not."""
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def wait_for(self, more: int, *, within: float = 30.0) -> None:
        """Return once so many more files are acknowledged."""
        wanted, deadline = len(self.acknowledged) + more, time.monotonic() + within
        while len(self.acknowledged) < wanted:
            assert time.monotonic() < deadline, (self.refused, self.broken)
            time.sleep(0.005)

    def _work(self) -> None:
        for turn in itertools.count():
            if self._ended.is_set():
                return
            wheels = dict(self._wheel(next(self._serial)) for _ in range(self.parcel if turn % 2 else 1))
            while wheels and not self._ended.is_set():
                left = self._try(wheels)
                wheels = {name: wheel for name, wheel in wheels.items() if name in left}
                if left:
                    self._ended.wait(0.01)

    def _wheel(self, serial: int) -> tuple[str, tuple[SmallWheel, bytes]]:
        wheel = SmallWheel(
            name=f"spam{serial // self.of_a_project}",
            version=f"1.{serial}{self.local}",
            files={"spam.py": f"# {serial}\n" + "x" * self.size * (50 if serial % 10 == 0 else 1)},
        )
        return wheel.filename, (wheel, packed(wheel))

    def _try(self, wheels: Mapping[str, tuple[SmallWheel, bytes]]) -> set[str]:
        """Upload once; return what is to be uploaded again."""
        target = self.target
        if target is None:
            return set(wheels)
        try:
            told = dict(self._ask(target, wheels))
        except (OSError, http.client.HTTPException):
            self.broken += 1
            return set(wheels)
        for name, (status, said) in told.items():
            if status == http.HTTPStatus.OK:
                self.acknowledged[name] = wheels[name][1]
                continue
            self.broken += 1
            if status != _AGAIN:
                self.refused.append(f"{name}: {status} {said[:300]!r}")
        return {name for name, (status, _) in told.items() if status == _AGAIN}

    def _ask(
        self, target: str, wheels: Mapping[str, tuple[SmallWheel, bytes]]
    ) -> Iterator[tuple[str, tuple[int, str | bytes]]]:
        """Yield the status and the words for each file."""
        if len(wheels) == 1:
            for name, (wheel, data) in wheels.items():
                body, headers = upload_of(wheel, data)
                yield name, ask(target, "/legacy/", method="POST", body=body, headers=headers)
            return
        body, kind = parcel(*((name, data) for name, (_, data) in wheels.items()))
        status, said = ask(target, "/legacy/parcel", method="POST", body=body, headers={"Content-Type": kind})
        if status != http.HTTPStatus.OK:
            yield from ((name, (status, said)) for name in wheels)
            return
        yield from ((file["filename"], (file["status"], file["message"])) for file in json.loads(said)["files"])


def not_there(url: str, files: Mapping[str, bytes], *, bytes_of: Iterable[str]) -> list[str]:
    """Hold files against what a server's pages list, and the bytes of some; return what is not right."""
    wrong: list[str] = []
    listed: dict[str, dict[str, Any]] = {}
    for project in {name.partition("-")[0] for name in files}:
        status, page = ask(url, f"/simple/{project}/", headers={"Accept": JSON})
        if status == http.HTTPStatus.OK:
            listed |= {file["filename"]: file for file in json.loads(page)["files"]}
        else:
            wrong.append(f"the page of {project}: {status} {page[:200]!r}")
    wrong += [
        f"{name} is not listed as it was uploaded"
        for name, data in files.items()
        if listed.get(name, {"hashes": {}})["hashes"].get("sha256") != sha256(data)
    ]
    for name in bytes_of:
        if name in listed:
            status, data = ask(url, listed[name]["url"].removeprefix("../.."))
            if (status, data) != (http.HTTPStatus.OK, files[name]):
                wrong.append(f"the bytes of {name}: {status}")
    return wrong
