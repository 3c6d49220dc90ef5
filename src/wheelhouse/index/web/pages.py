"""A template and a view in, an answer out: with an ETag, encoded, and with the headers that keep a page to itself."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from starlette.responses import Response

from wheelhouse.index.pages.conditions import best_body, is_known
from wheelhouse.index.pages.render import Page

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

_FOLDER = Path(__file__).parent
_MEDIA_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
#: Nothing is loaded but from here, nothing runs but our own file, nobody frames a page, forms lead here.
_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
_HOST = re.compile(r"[A-Za-z0-9.-]+(:\d{1,5})?|\[[0-9A-Fa-f:.]+\](:\d{1,5})?")
_CODE = re.compile(r"`([^`\n]+)`")
_KILO = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What stands around every page."""

    root: str
    """The way from the page to the index's root: `../../`, or `./`."""
    menu: tuple[str, ...]
    """The pages that this asker finds in the menu."""


class Templates:
    """The templates and static files, read once."""

    def __init__(self) -> None:
        self._environment = Environment(
            loader=FileSystemLoader(_FOLDER / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            auto_reload=False,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters |= {"size": size, "day": day, "moment": moment, "seconds": seconds, "count": count}
        self._environment.filters["marked"] = marked
        self.static: Mapping[str, bytes] = {path.name: path.read_bytes() for path in (_FOLDER / "static").iterdir()}
        digest = hashlib.sha256(b"".join(data for _, data in sorted(self.static.items()))).hexdigest()
        self.version = digest[:12]
        """Changes with any static file."""

    def render(self, name: str, frame: Frame, **values: Any) -> bytes:
        """Render a page."""
        return self._environment.get_template(name).render(frame=frame, version=self.version, **values).encode()


def answer(request: Request, html: bytes, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Answer with a page, or that the client has it. Each is for its reader alone, and asked after each time."""
    page = best_body(Page.of(html), request.headers.get("accept-encoding"))
    told = {
        **_HEADERS,
        "Cache-Control": "private, no-cache" if status == 200 else "no-store",  # noqa: PLR2004 - RFC 9110
        "Vary": "Accept-Encoding, Authorization",
        **(headers or {}),
    }
    if status == 200:  # noqa: PLR2004 - likewise
        told["ETag"] = page.etag
        if is_known(request.headers.get("if-none-match"), page.etag):
            return Response(status_code=304, headers=told)
    if page.encoding is not None:
        told["Content-Encoding"] = page.encoding
    return _whole(request, page.data, "text/html; charset=utf-8", status=status, headers=told)


def static_answer(request: Request, data: bytes, name: str, *, current: bool) -> Response:
    """Answer with a static file; `current`: under an address that says which state of it is meant."""
    kept = "public, max-age=31536000, immutable" if current else "public, no-cache"
    headers = {"Cache-Control": kept, "X-Content-Type-Options": "nosniff"}
    return _whole(request, data, _MEDIA_TYPES[Path(name).suffix], status=200, headers=headers)


def _whole(request: Request, data: bytes, media_type: str, *, status: int, headers: Mapping[str, str]) -> Response:
    length = {"Content-Length": str(len(data)), "Content-Type": media_type}
    return Response(b"" if request.method == "HEAD" else data, status_code=status, headers={**headers, **length})


def way_up(path: str) -> str:
    """Return the way from a page to the root: relative, so that an index can lie below any path."""
    return "../" * path.lstrip("/").count("/") or "./"


def address_of(scheme: str, host: str, prefix: str) -> str:
    """Return the address of the index as its client spelled it; a Host that is none is not repeated."""
    return f"{scheme}://{host if _HOST.fullmatch(host) else 'localhost'}{prefix.rstrip('/')}"


def size(number: int) -> str:
    """Return `1.2 MB` for bytes."""
    value = float(number)
    for unit in ("B", "kB", "MB", "GB"):
        if value < _KILO:
            return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"  # noqa: PLR2004 - digits
        value /= _KILO
    return f"{value:,.1f} TB"


def count(number: int) -> str:
    """Return `12,345`."""
    return f"{number:,}"


def marked(text: str) -> Markup:
    """Return a message with what stands between backticks as code."""
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped before


def day(when: datetime) -> Markup:
    """Return a date, with the moment for machines."""
    utc = when.astimezone(UTC)
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        utc.isoformat(timespec="seconds"), f"{utc:%Y-%m-%d %H:%M:%S} UTC", f"{utc:%Y-%m-%d}"
    )


def moment(when: datetime) -> Markup:
    """Return date and time; every page says that they are UTC."""
    utc = when.astimezone(UTC)
    return Markup('<time datetime="{}">{}</time>').format(utc.isoformat(timespec="seconds"), f"{utc:%Y-%m-%d %H:%M}")


def seconds(number: float) -> str:
    """Return `4.2 s`, `3 min 20 s` or `1 h 5 min`."""
    if number < 60:  # noqa: PLR2004 - seconds of a minute
        return f"{number:.1f} s"
    minutes, rest = divmod(round(number), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"  # noqa: PLR2004
