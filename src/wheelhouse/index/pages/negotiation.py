"""Which form of a page a client wants: its Accept header and `?format=` in, a media type out (PEP 691, RFC 9110)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum


class MediaType(Enum):
    """The forms a page can be had in, most telling first; the value goes into `Content-Type`."""

    JSON = "application/vnd.pypi.simple.v1+json"
    HTML_V1 = "application/vnd.pypi.simple.v1+html"
    HTML = "text/html"


_NAMES = {
    "application/vnd.pypi.simple.v1+json": MediaType.JSON,
    "application/vnd.pypi.simple.latest+json": MediaType.JSON,
    "application/vnd.pypi.simple.v1+html": MediaType.HTML_V1,
    "application/vnd.pypi.simple.latest+html": MediaType.HTML_V1,
    "text/html": MediaType.HTML,
}
_WEIGHT = re.compile(r"q\s*=\s*(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)", re.IGNORECASE)
_EXACT, _KIND, _ANY = 2, 1, 0


@dataclass(frozen=True, slots=True, order=True)
class _Wish:
    weight: float
    closeness: int
    """How exactly the client named the type."""


def negotiate(accept: str | None, format_: str | None = None) -> MediaType | None:
    """Choose the media type to answer with; None: none that we have is acceptable (406).

    `format_` is the query's `format` and outweighs the header (PEP 691). Without either, and for clients that take
    anything, it is HTML, which every client reads.
    """
    if format_ is not None:
        return _NAMES.get(format_.strip().lower().replace(" ", "+"))  # a plus in a query often arrives as a blank
    if accept is None or not accept.strip():
        return MediaType.HTML
    wishes = _wishes(accept)
    wanted = [(wish, media_type) for media_type in MediaType if (wish := wishes.get(media_type)) and wish.weight > 0]
    if not wanted:
        return None
    best = max(wish for wish, _ in wanted)
    equals = [media_type for wish, media_type in wanted if wish == best]
    return equals[0] if best.closeness == _EXACT else equals[-1]


def _wishes(accept: str) -> dict[MediaType, _Wish]:
    """Return for each media type what the range that fits it most closely says (RFC 9110, 12.5.1)."""
    found: dict[MediaType, _Wish] = {}
    for part in accept.lower().split(","):
        name, *parameters = (piece.strip() for piece in part.split(";"))
        weight = _weight(parameters)
        for media_type, closeness in _fits(name):
            old = found.get(media_type)
            wish = _Wish(weight, closeness)
            if old is None or (closeness, weight) > (old.closeness, old.weight):
                found[media_type] = wish
    return found


def _weight(parameters: list[str]) -> float:
    for parameter in parameters:
        if parameter.startswith("q") and "=" in parameter:
            number = _WEIGHT.fullmatch(parameter)
            return float(number[1]) if number else 0.0
    return 1.0


def _fits(name: str) -> list[tuple[MediaType, int]]:
    if name in _NAMES:
        return [(_NAMES[name], _EXACT)]
    if name == "*/*":
        return [(media_type, _ANY) for media_type in MediaType]
    if name.endswith("/*"):
        return [(media_type, _KIND) for media_type in MediaType if media_type.value.startswith(name[:-1])]
    return []
