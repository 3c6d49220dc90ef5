"""Headers of a request in, what they ask for out: known already, which bytes, in which encoding (RFC 9110)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wheelhouse.index.pages.render import Body, Encoding, Page

#: The smallest first.
ENCODINGS: tuple[Encoding, ...] = ("zstd", "gzip")
_RANGE = re.compile(r"bytes\s*=\s*(\d{0,18})-(\d{0,18})\s*", re.IGNORECASE)
_TAG = re.compile(r'(?:W/)?("[^"]*")')
_WEIGHT = re.compile(r"\s*q\s*=\s*([01](?:\.\d{0,3})?)\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes from `start` up to `end`, not with it."""

    start: int
    end: int


def is_known(if_none_match: str | None, etag: str) -> bool:
    """Say whether the client has what it asks for (13.1.2: by weak comparison)."""
    if if_none_match is None:
        return False
    return if_none_match.strip() == "*" or etag in _TAG.findall(if_none_match)


def wanted_span(range_: str | None, if_range: str | None, *, etag: str, size: int) -> Span | None:
    """Return the bytes that are asked for; None: all of them.

    A range that cannot be met gives an empty span, for 416. Several ranges, and whatever is no range of bytes, may be
    answered with the whole, and are (14.2).
    """
    found = _RANGE.fullmatch(range_) if range_ is not None else None
    if found is None or (if_range is not None and if_range.strip() != etag):
        return None
    first, last = found.groups()
    if not first and not last:
        return None
    if not first:
        return Span(max(0, size - int(last)), size)
    if last and int(last) < int(first):
        return None
    end = min(size, int(last) + 1) if last else size
    return Span(int(first), end) if int(first) < size else Span(0, 0)


def best_body(page: Page, accept_encoding: str | None) -> Body:
    """Return a page in the smallest encoding that the client takes."""
    return page.encoded(best_encoding(accept_encoding))


def best_encoding(accept_encoding: str | None) -> Encoding | None:
    """Return the smallest of our encodings that the client takes; None: the page as it is."""
    taken = _taken(accept_encoding) if accept_encoding is not None else ()
    return taken[0] if taken else None


@lru_cache(maxsize=512)
def _taken(accept_encoding: str) -> tuple[Encoding, ...]:
    """Return those of our encodings that a client takes, the smallest first."""
    weights = dict(_weights(part) for part in accept_encoding.lower().split(","))
    return tuple(name for name in ENCODINGS if weights.get(name, weights.get("*", 0.0)) > 0)


def _weights(part: str) -> tuple[str, float]:
    name, _, parameter = part.partition(";")
    found = _WEIGHT.fullmatch(parameter)
    return name.strip(), float(found[1]) if found else 1.0
