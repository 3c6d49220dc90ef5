"""An index's address in, the lines out that make pip, uv, poetry or pdm install from it.

A token is in none of them: each client takes it from the environment or a file of the user's, as the comments say.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit, urlunsplit

from wheelhouse.errors import UsageError
from wheelhouse.index.access.auth import TOKEN_USER

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Client = Literal["pip", "uv", "poetry", "pdm"]
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]*")
_PARTS = ("simple", "legacy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where clients find an index."""

    root: str
    """With a slash at its end; `simple/` and `legacy/` are below it."""
    name: str
    """What clients call it in their own files and messages."""

    @classmethod
    def parse(cls, url: str, *, name: str) -> Address:
        """Take the address of the index or of its `simple/`. Raises UsageError."""
        try:
            parts = urlsplit(url)
            sound = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
        except ValueError:
            sound = False
        if not sound or parts.query or parts.fragment:
            raise UsageError("this is no address of an index", hint="as in https://wheels.example/ or …/simple/")
        if parts.username is not None or parts.password is not None:
            raise UsageError(
                "the address has a user name or a password in it, which would end up in the file",
                hint="leave it out: the comments in the lines say where each client looks for it",
            )
        if re.search(r"[\x00-\x20\x7f\"'\\$%#]", url):
            raise UsageError("the address has characters that not every client reads the same way", where=url)
        if not _NAME.fullmatch(name):
            raise UsageError(f"`{name}` is no name for an index", hint="letters, digits and hyphens")
        segments = parts.path.strip("/").split("/")
        above = segments[:-1] if segments[-1] in _PARTS else segments
        path = "/".join(["", *filter(None, above), ""])
        return cls(root=urlunsplit((parts.scheme, parts.netloc, path, "", "")), name=name)

    @property
    def simple(self) -> str:
        """Where clients install from."""
        return f"{self.root}simple/"

    @property
    def legacy(self) -> str:
        """Where clients upload to."""
        return f"{self.root}legacy/"

    @property
    def host(self) -> str:
        """Host, with the port where one is named."""
        return urlsplit(self.root).netloc

    @property
    def variable(self) -> str:
        """The name as a part of environment variables."""
        return self.name.upper().replace("-", "_")

    @property
    def trusted(self) -> bool:
        """Say whether every client takes the address as it is: https, or this machine."""
        parts = urlsplit(self.root)
        return parts.scheme == "https" or _is_this_machine(parts.hostname or "")


def _is_this_machine(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def client_config(client: Client, address: Address) -> str:
    """Return the lines for a client: all that its file needs, or what is added to a pyproject.toml."""
    makers: Mapping[Client, Callable[[Address], str]] = {"pip": _pip, "uv": _uv, "poetry": _poetry, "pdm": _pdm}
    return makers[client](address)


def _pip(address: Address) -> str:
    trust = (
        "" if address.trusted else f"# No TLS: pip has to be told that this is meant.\ntrusted-host = {address.host}\n"
    )
    return f"""\
# ~/.config/pip/pip.conf; /etc/pip.conf for a whole machine, pip.conf in the folder of an environment for it alone.
# A token, where the index wants one, is a line of ~/.netrc:
#   machine {urlsplit(address.root).hostname} login {TOKEN_USER} password TOKEN
[global]
index-url = {address.simple}
{trust}"""


def _uv(address: Address) -> str:
    return f"""\
# ~/.config/uv/uv.toml, /etc/uv/uv.toml or a project's uv.toml; in pyproject.toml the table is [[tool.uv.index]].
# A token, where the index wants one, comes by environment:
#   UV_INDEX_{address.variable}_USERNAME={TOKEN_USER} UV_INDEX_{address.variable}_PASSWORD=TOKEN
[[index]]
name = "{address.name}"
url = "{address.simple}"
publish-url = "{address.legacy}"
default = true
"""


def _poetry(address: Address) -> str:
    return f"""\
# Into a project's pyproject.toml, or: poetry source add --priority=primary {address.name} {address.simple}
# A token, where the index wants one, comes by environment:
#   POETRY_HTTP_BASIC_{address.variable}_USERNAME={TOKEN_USER} POETRY_HTTP_BASIC_{address.variable}_PASSWORD=TOKEN
[[tool.poetry.source]]
name = "{address.name}"
url = "{address.simple}"
priority = "primary"
"""


def _pdm(address: Address) -> str:
    trust = "" if address.trusted else "verify_ssl = false  # no TLS: pdm has to be told that this is meant\n"
    return f"""\
# Into a project's pyproject.toml. The name `pypi` puts it in the place of the public index.
# A token, where the index wants one, comes by environment:
#   PDM_PYPI_USERNAME={TOKEN_USER} PDM_PYPI_PASSWORD=TOKEN
[[tool.pdm.source]]
name = "pypi"
url = "{address.simple}"
{trust}"""
