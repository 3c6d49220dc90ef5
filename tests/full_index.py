"""An index with something of everything that there is: whatever is asked of it goes some way before it is answered."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from packaging.utils import canonicalize_name

from arrivals import an_arrival, sha256
from fake_upstream import FakeFile, fake_upstream
from shop_window import BUILT, dress
from wheelhouse.config import TrustedPublisher
from wheelhouse.index.access.auth import AccessRules
from wheelhouse.index.access.scopes import Scope
from wheelhouse.index.access.tokens import TokenFile
from wheelhouse.index.changes.repository import Repository
from wheelhouse.index.changes.stages import Stages
from wheelhouse.index.outages.pending import TARGET, to_fields
from wheelhouse.index.serving.app import make_app
from wheelhouse.index.settings import BufferSettings, Settings, TrustSettings
from wheelhouse.index.stores.folder import FolderStore
from wheelhouse.index.upstream.address import Upstream
from wheelhouse.index.upstream.mirror import MirrorSetup
from wheelhouse.index.upstream.rules import MirrorRules
from wheelhouse.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from starlette.routing import BaseRoute

    from wheelhouse.index.serving.app import IndexApp

#: Pages and files, which are no routes of Starlette's.
PAGES = {
    "/simple/{project}/": {"GET"},
    "/simple/": {"GET"},
    "/files/{shelf}/{sha256}/{filename}": {"GET"},
    "/files/{shelf}/{sha256}/{filename}.metadata": {"GET"},
    "/_/stages/{stage}/simple/{project}/": {"GET"},
    "/_/stages/{stage}/simple/": {"GET"},
    "/_/stages/{stage}/files/{shelf}/{sha256}/{filename}": {"GET"},
}
LONGEST = 10.0
"""Seconds that an answer may take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request as it stands on the wire."""

    path: str
    """Quoted."""
    method: str = "GET"
    query: str = ""
    headers: tuple[tuple[bytes, bytes], ...] = ((b"host", b"localhost:8080"),)
    body: tuple[bytes, ...] = (b"",)
    address: str = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """All that was sent."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    whole: bool
    """It was ended as it should be."""

    def header(self, name: str) -> str | None:
        return next((value.decode("latin-1") for key, value in self.headers if key.lower() == name.encode()), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class FullIndex:
    """What is in it, by project: see `KINDS`."""

    folder: Path
    app: IndexApp
    loop: asyncio.Runner
    files: Mapping[str, tuple[str, str]]
    """Project -> a file of it and its sha256."""
    secrets: list[str] = field(default_factory=list)

    def token(self, *scopes: str) -> str:
        made = TokenFile(self.folder / "tokens.json").create(
            f"t{len(self.secrets)}", scopes=map(Scope.parse, scopes), now=datetime.now(UTC), lifetime=None
        )
        self.secrets.append(made)
        return made

    def ask(self, asked: Asked) -> Answered:
        return self.loop.run(self._ask(asked))

    async def _ask(self, asked: Asked) -> Answered:
        path = unquote_to_bytes(asked.path).decode("utf-8", "replace")
        scope = {
            "type": "http",
            "method": asked.method,
            "path": path,
            "raw_path": asked.path.encode(),
            "root_path": "",
            "query_string": asked.query.encode(),
            "headers": list(asked.headers),
            "client": (asked.address, 1),
            "server": ("localhost", 8080),
            "scheme": "http",
            "http_version": "1.1",
            "extensions": {},
        }
        incoming, sent = list(asked.body), list[dict[str, Any]]()

        async def receive() -> dict[str, Any]:
            if not incoming:
                return {"type": "http.disconnect"}
            return {"type": "http.request", "body": incoming.pop(0), "more_body": bool(incoming)}

        async def send(message: Any) -> None:
            sent.append(message)

        async with asyncio.timeout(LONGEST):
            await self.app(scope, receive, send)
        start, *rest = sent
        return Answered(
            status=start["status"],
            headers=tuple(start["headers"]),
            body=b"".join(message.get("body", b"") for message in rest),
            whole=not rest[-1].get("more_body", False) and all(each.get("more_body", False) for each in rest[:-1]),
        )


#: What of a project may be there.
KINDS = {
    "my-spam": "private, with a stage over it",
    "eggs": "overlay: ours and upstream's",
    "ham": "mirrored",
    "denied": "upstream has it, and a rule forbids it",
    "hidden": "private, and upstream has one of that name",
    "locked-up": "in quarantine",
    "late-one": "waits in the spool",
    "fresh-one": "on a stage alone",
    "no-such": "is nowhere",
}
STAGE = "next"


@contextmanager
def full_index(folder: Path, **access: bool) -> Iterator[FullIndex]:
    """Make it, and let go of it at the end."""
    window = dress(folder)
    repository = Repository(store=FolderStore.open(window.store))
    for filename in ("hidden-1.0.tar.gz", "locked_up-1.0.tar.gz"):
        repository.add_file(*an_arrival(folder, filename, filename.encode()))
    repository.set_status(canonicalize_name("locked-up"), "quarantined", "is evil")
    repository.set_policy(canonicalize_name("eggs"), "overlay")
    stage = Stages(index=repository).repository(canonicalize_name(STAGE))
    for filename in ("fresh_one-1.0.tar.gz", "my_spam-3.0.tar.gz"):
        stage.add_file(*an_arrival(folder, filename, filename.encode()))
    spool = folder / ".wheelhouse" / "index-spool"
    with (
        fake_upstream(
            eggs=[FakeFile(filename="eggs-2.0.tar.gz", data=b"eggs")],
            ham=[FakeFile(filename="ham-1.0-py3-none-any.whl", data=b"ham" * 1000, metadata=b"Name: ham\n")],
            denied=[FakeFile(filename="denied-1.0.tar.gz", data=b"denied")],
            hidden=[FakeFile(filename="hidden-2.0.tar.gz", data=b"theirs")],
        ) as upstream,
        Spool(spool) as busy,
        asyncio.Runner() as loop,
    ):
        new, path = an_arrival(folder, "late_one-1.0.tar.gz", b"late")
        new = replace(new, metadata=None)
        busy.accept(
            path,
            target=TARGET,
            name=new.name.filename,
            order_key=new.name.project,
            fields=to_fields(new, datetime.now(UTC)),
        )
        assert busy.lease() is not None  # for ever: it stays where it is
        settings = Settings(
            store=str(window.store),
            tokens=folder / "tokens.json",
            audit=folder / "audit",
            access=AccessRules(**access),
            max_upload=200_000,
            public="https://wheels.example/",
            trusted_proxies=("198.51.100.0/24",),
            buffer=BufferSettings(
                spool=spool, spool_bytes=10**7, cache=folder / ".wheelhouse" / "index-cache", cache_bytes=10**7
            ),
            records=window.records,
            trust=TrustSettings(
                publishers=(
                    TrustedPublisher.model_validate(
                        {"issuer": upstream.url.rstrip("/"), "projects": ["my-spam"], "claims": {"repository": "a/b"}}
                    ),
                ),
                audience="wheels.example",
                signing_key=folder / "signing-key",
                used=folder / "used",
            ),
            mirror=MirrorSetup(
                folder=folder / "mirror",
                upstreams=lambda: [Upstream.parse(upstream.url)],
                rules=MirrorRules(deny=("denied",)),
            ),
        )
        app = make_app(settings)
        mirror = app.site.catalog.mirror
        assert mirror is not None
        try:
            yield FullIndex(folder=folder, app=app, loop=loop, files=_files(window.store))
        finally:
            loop.run(mirror.close())
            app.close()


def _files(store: Path) -> dict[str, tuple[str, str]]:
    opened = FolderStore.open(store)
    found = {name: manifest for name in opened.projects() if (manifest := opened.read_manifest(name)) is not None}
    files = {str(name): (manifest.files[0].filename, str(manifest.files[0].sha256)) for name, manifest in found.items()}
    others = {
        "ham": ("ham-1.0-py3-none-any.whl", b"ham" * 1000),
        "denied": ("denied-1.0.tar.gz", b"denied"),
        "late-one": ("late_one-1.0.tar.gz", b"late"),
        "fresh-one": ("fresh_one-1.0.tar.gz", b"fresh_one-1.0.tar.gz"),
        "no-such": ("no_such-1.0.tar.gz", b""),
    }
    return files | {name: (filename, sha256(data)) for name, (filename, data) in others.items()}


def every_route(app: IndexApp) -> dict[str, set[str]]:
    """Return the pattern of every route that there is, and its methods."""
    found = {pattern: set(methods) for pattern, methods in PAGES.items()}
    for pattern, methods in every_starlette_route(app._routes.routes, ""):
        found.setdefault(pattern, set()).update(methods)
    return found


def every_starlette_route(routes: Iterable[BaseRoute], above: str) -> Iterator[tuple[str, set[str]]]:
    for route in routes:
        path = above + getattr(route, "path", "")
        if inside := getattr(route, "routes", None):
            yield from every_starlette_route(inside, path)
        else:
            yield path, set(getattr(route, "methods", None) or {"GET"})


#: What stands for the parts of a pattern, where it is as it should be.
SAMPLES = {"stage": STAGE, "version": "1.0", "job": BUILT, "name": "style.css"}
