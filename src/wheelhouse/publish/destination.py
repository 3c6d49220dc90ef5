"""What was asked for, the environment and `wheelhouse.toml` in; the address that uploads go to out.

There is no default: a private wheel must not land on a public index because an option was forgotten.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from wheelhouse.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wheelhouse.config import PublishSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where uploads go. Holds no secrets, so it may be written down."""

    url: str
    repository: str | None = None
    """The section of `.pypirc` that it came from, which has its credentials too."""


def find_destination(
    *, index_url: str | None, repository: str | None, settings: PublishSettings, environment: Mapping[str, str]
) -> Destination:
    """Choose by the options, then twine's variables, then `wheelhouse.toml`; of each the URL before the name.

    Raises UsageError where nothing was chosen, or nothing that can be uploaded to.
    """
    chosen = (
        (index_url, repository),
        (environment.get("TWINE_REPOSITORY_URL"), environment.get("TWINE_REPOSITORY")),
        (settings.url, settings.repository),
    )
    for url, name in chosen:
        if url:
            return _destination(url, None)
        if name:
            return _destination(_pypirc_url(name), name)
    raise UsageError(
        "no index to publish to",
        hint="--index-url, TWINE_REPOSITORY_URL, or `url` under [publish] in wheelhouse.toml",
    )


def _destination(url: str, repository: str | None) -> Destination:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise UsageError(f"`{_shown(url)}` is no address to upload to", hint="https://index.example/legacy/, say")
    if parts.username is not None:
        raise UsageError(
            "the index's address has credentials in it",
            hint="addresses end up in logs: use TWINE_USERNAME and TWINE_PASSWORD, a keyring, or .pypirc",
        )
    return Destination(url=url, repository=repository)


def _shown(url: str) -> str:
    """Return an address without what may be a secret."""
    return url.rpartition("@")[2]


def _pypirc_url(name: str) -> str:
    from twine.exceptions import TwineException  # noqa: PLC0415 - start-up time
    from twine.utils import DEFAULT_CONFIG_FILE, get_repository_from_config  # noqa: PLC0415 - likewise

    try:
        url = get_repository_from_config(DEFAULT_CONFIG_FILE, name)["repository"]
    except TwineException as error:
        raise UsageError(str(error).splitlines()[0], hint="--index-url takes an address instead") from error
    return url or ""
