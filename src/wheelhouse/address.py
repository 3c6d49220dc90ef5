"""Addresses as wheelhouse.toml has them in, the same out; ValueError says what is wrong with one. And PyPI's own."""

from __future__ import annotations

import ipaddress
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit


def check_networks(texts: tuple[str, ...]) -> tuple[str, ...]:
    """Take addresses and networks of IP."""
    for text in texts:
        ipaddress.ip_network(text)
    return texts


def check_public_url(text: str) -> str:
    """Take the address that an index is known by, with a slash at its end."""
    place = urlsplit(text)
    whole = place.scheme in {"http", "https"} and place.hostname and not (place.query or place.fragment)
    if text and not (whole and text.isascii() and text.isprintable() and " " not in text):
        raise ValueError("an address is whole, as in https://wheels.example/pypi/")
    if "@" in place.netloc:
        raise ValueError("an address that everybody sees has no user and no password in it")
    return text and text.rstrip("/") + "/"


def check_issuer(text: str) -> str:
    """Take an issuer of identities."""
    place = urlsplit(text)
    own = place.scheme == "http" and place.hostname in {"localhost", "127.0.0.1", "::1"}
    if text not in {"github", "gitlab"} and not (place.hostname and (place.scheme == "https" or own)):
        raise ValueError("an issuer is `github`, `gitlab`, or its https address as its tokens have it in `iss`")
    return text


def check_mongodb(text: str) -> str:
    """Take the address of a MongoDB and its database."""
    place = urlsplit(text)
    if text and not (place.scheme in {"mongodb", "mongodb+srv"} and place.netloc and place.path.strip("/")):
        raise ValueError("an address is mongodb://host/database")
    if ":" in place.netloc.rpartition("@")[0]:
        raise ValueError("a password does not belong here: WHEELHOUSE_AUDIT_PASSWORD takes it")
    return text


@cache
def pypi() -> str:
    """Return the root of PyPI's Simple API, as pypi-simple has it.

    Read from its source: importing it takes most of a second.
    """
    import ast  # noqa: PLC0415 - start-up time
    from importlib.util import find_spec  # noqa: PLC0415 - likewise

    spec = find_spec("pypi_simple")
    if spec is not None and spec.origin is not None:
        for statement in ast.parse(Path(spec.origin).read_bytes()).body:
            match statement:
                case ast.AnnAssign(target=ast.Name("PYPI_SIMPLE_ENDPOINT"), value=ast.Constant(str(address))):
                    return address
    from pypi_simple import PYPI_SIMPLE_ENDPOINT  # noqa: PLC0415 - where it is written down otherwise

    return str(PYPI_SIMPLE_ENDPOINT)
