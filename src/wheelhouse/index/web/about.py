"""The METADATA of a wheel in, what a page says of it out: short facts, links, and the description as tame HTML.

A description is written by strangers: it is rendered and cleaned by readme-renderer, as PyPI does it. What is left then
loads nothing from elsewhere, follows the outline of our page, and links to whole addresses only.
"""

from __future__ import annotations

from dataclasses import dataclass
from email.message import EmailMessage
from html import escape
from html.parser import HTMLParser
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from packaging.metadata import parse_email

if TYPE_CHECKING:
    from packaging.metadata import RawMetadata

_LONGEST_RENDERED = 300_000
"""Characters. A longer description is shown as it is written; rendering it would keep a processor busy."""
_LONGEST_SHOWN = 1_000_000
_HEADINGS = {"h1": "h3", "h2": "h4", "h3": "h5", "h4": "h6", "h5": "h6", "h6": "h6"}
"""The page's own title is h1, that of the description h2."""
_DROPPED = {"img", "input", "picture"}
_VOID = {"br", "hr", "col"}
_LANDMARKS = {"aside": "div", "nav": "div", "section": "div"}
_OWN_IDS = ("user-content-", "fn-", "fnref-")
_SCHEMES = {"http", "https", "mailto"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A project's URL, with the word that goes with it."""

    label: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What a version says of itself."""

    summary: str = ""
    licence: str = ""
    author: str = ""
    requires_dist: tuple[str, ...] = ()
    links: tuple[Link, ...] = ()
    description: str = ""
    """HTML that may stand in a page as it is."""


def read_about(data: bytes) -> About:
    """Read METADATA. What cannot be read is left out."""
    try:
        raw, _ = parse_email(data)
    except (ValueError, LookupError, AttributeError, TypeError):  # the email package on hostile headers
        return About()
    return About(
        summary=raw.get("summary", ""),
        licence=raw.get("license_expression") or _first_line(raw.get("license", "")),
        author=raw.get("author") or raw.get("author_email") or raw.get("maintainer") or raw.get("maintainer_email", ""),
        requires_dist=tuple(raw.get("requires_dist", ())),
        links=tuple(_links(raw)),
        description=_description(raw),
    )


def _first_line(licence: str) -> str:
    """Return a licence's name; some put its whole text there."""
    line = licence.strip().partition("\n")[0].strip()
    return line if line != "UNKNOWN" else ""


def _links(raw: RawMetadata) -> list[Link]:
    found = {}
    if home := raw.get("home_page"):
        found["Homepage"] = home
    found.update(raw.get("project_urls", {}))
    return [Link(label=label, url=url) for label, url in found.items() if is_web_address(url)]


def is_web_address(url: str) -> bool:
    """Say whether a link may lead there."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.netloc)


def _description(raw: RawMetadata) -> str:
    text = raw.get("description", "")[:_LONGEST_SHOWN]
    if not text.strip() or text.strip() == "UNKNOWN":
        return ""
    rendered = None
    if len(text) <= _LONGEST_RENDERED:
        rendered = _render(text, raw.get("description_content_type") or "text/x-rst")
    return tame(rendered) if rendered is not None else f"<pre>{escape(text)}</pre>"


def _render(text: str, content_type: str) -> str | None:
    """Render a description; None: it cannot be, by the rules of its own form."""
    message = EmailMessage()
    message["content-type"] = content_type
    parameters = dict(message["content-type"].params)
    kind = message.get_content_type()
    if kind == "text/markdown":
        from readme_renderer import markdown  # noqa: PLC0415 - only for who reads it

        return _text_of(markdown.render(text, variant=parameters.get("variant", "GFM")))
    if kind == "text/x-rst":
        from readme_renderer import rst  # noqa: PLC0415 - 0.3 s of docutils

        return _text_of(rst.render(text))
    return None


def _text_of(rendered: object) -> str | None:
    """Say to the type checker what an untyped library returns."""
    return rendered if isinstance(rendered, str) else None


def tame(html: str) -> str:
    """Fit HTML that readme-renderer has cleaned into our page."""
    from readme_renderer.clean import clean  # noqa: PLC0415 - only for who reads it

    fitting = _Fitting()
    fitting.feed(html)
    fitting.close()
    # Once more: whatever was done here, the last word is the cleaner's.
    return _text_of(clean("".join(fitting.pieces))) or ""


class _Fitting(HTMLParser):
    """Writes HTML again: pictures as their words, headings below ours, only links that lead somewhere."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "img" and given.get("alt"):
            self.pieces.append(f"<span>{escape(given['alt'])}</span>")
        if tag in _DROPPED:
            return
        kept = {name: value for name, value in given.items() if _keeps(name, value)}
        words = "".join(f' {name}="{escape(value)}"' for name, value in kept.items())
        self.pieces.append(f"<{_renamed(tag)}{words}>")

    def handle_endtag(self, tag: str) -> None:
        if tag == "a" and self.pieces and self.pieces[-1].startswith("<a"):
            self.pieces.pop()  # nothing in it to see or to hear: an anchor, or a picture without words
        elif tag not in _DROPPED and tag not in _VOID:
            self.pieces.append(f"</{_renamed(tag)}>")

    def handle_data(self, data: str) -> None:
        self.pieces.append(escape(data, quote=False))


def _renamed(tag: str) -> str:
    return _HEADINGS.get(tag) or _LANDMARKS.get(tag, tag)


def _keeps(name: str, value: str) -> bool:
    if name == "id":
        return value.startswith(_OWN_IDS)
    if name == "href":
        return value.startswith(tuple(f"#{own}" for own in _OWN_IDS)) or value.partition(":")[0].lower() in _SCHEMES
    return name not in {"rel", "lang"}  # `lang` of code is no language that people speak
