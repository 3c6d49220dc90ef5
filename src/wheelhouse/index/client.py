"""What a running index is asked to do beside uploads in, its answer out: stages, yanks, deletions.

The token comes from WHEELHOUSE_TOKEN, TWINE_PASSWORD or the keyring that twine uses. All that is asked for can be asked
again, so what a server cannot do now is tried a few times.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from wheelhouse.errors import (
    FileExistsDifferentError,
    IndexRefusesError,
    IndexUnavailableError,
    NotAllowedError,
    NotOnIndexError,
    UsageError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

USER = "__token__"
#: Pages of an index that people know its address by.
_PAGES = ("/legacy", "/simple")
_TIMEOUT = 60.0
_LONGEST_TEXT = 2000
_CHUNK = 1024 * 1024
_DENIED = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS}
_KINDS: Mapping[int, type[IndexRefusesError | NotOnIndexError]] = {
    HTTPStatus.NOT_FOUND: NotOnIndexError,
    HTTPStatus.CONFLICT: FileExistsDifferentError,
}
_RETRY = Retry(
    total=2, backoff_factor=0.3, status_forcelist=(502, 503, 504), allowed_methods=None, raise_on_status=False
)


def root_of(url: str) -> str:
    """Return an index's root, with no slash at its end, for the address of it or of its uploads. Raises UsageError."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username is not None:
        raise UsageError(
            f"`{url.rpartition('@')[2]}` is no address of an index",
            hint="https://index.example/, without credentials: the token comes from WHEELHOUSE_TOKEN",
        )
    root = url.partition("?")[0].rstrip("/")
    return next((root.removesuffix(page) for page in _PAGES if root.endswith(page)), root)


def find_token(root: str, environment: Mapping[str, str]) -> str | None:
    """Return the token for an index; None: there is none to be found."""
    if token := environment.get("WHEELHOUSE_TOKEN"):
        return token
    if environment.get("TWINE_USERNAME", USER) == USER and (token := environment.get("TWINE_PASSWORD")):
        return token
    import keyring  # noqa: PLC0415 - start-up time
    from keyring.errors import KeyringError  # noqa: PLC0415 - likewise

    try:
        return next(
            (found for page in ("/legacy/", "/", "") if (found := keyring.get_password(root + page, USER))), None
        )
    except KeyringError:  # none on this machine, or locked: as if nothing was in it
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexClient:
    """Asks one index. Used in a `with`."""

    root: str
    token: str | None = None
    certificates: str | None = None
    """A file of those that are trusted, as TWINE_CERT names it."""
    _session: requests.Session = field(default_factory=requests.Session, init=False, repr=False)

    @classmethod
    def of(cls, url: str, environment: Mapping[str, str]) -> IndexClient:
        """Find out what is needed to ask an index. Raises UsageError."""
        root = root_of(url)
        return cls(root=root, token=find_token(root, environment), certificates=environment.get("TWINE_CERT"))

    def __enter__(self) -> IndexClient:  # noqa: PYI034 - it is final in all but name
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(max_retries=_RETRY))
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Ask for something and return what the index says.

        Raises NotAllowedError, NotOnIndexError, FileExistsDifferentError, IndexRefusesError, IndexUnavailableError.
        """
        response = self._send(method, path, body)
        try:
            said = response.json()
        except ValueError as error:
            raise IndexRefusesError("it does not answer as an index of wheelhouse does", where=self.root) from error
        if not isinstance(said, dict):
            raise IndexRefusesError("it does not answer as an index of wheelhouse does", where=self.root)
        return said

    def fetch(self, path: str, target: Path, *, sha256: str) -> None:
        """Write a file of the index to a path. Raises as `ask` does."""
        digest = hashlib.sha256()
        response = self._send("GET", path, None, stream=True)
        try:
            with target.open("wb") as file:
                for piece in response.iter_content(_CHUNK):
                    digest.update(piece)
                    file.write(piece)
        except requests.RequestException as error:
            raise IndexUnavailableError(f"the connection broke: {error}", where=self.root) from error
        if digest.hexdigest() != sha256:
            raise IndexRefusesError(
                f"{target.name} arrived with sha256 {digest.hexdigest()}, not {sha256}", where=self.root
            )

    def _send(
        self, method: str, path: str, body: Mapping[str, Any] | None, *, stream: bool = False
    ) -> requests.Response:
        try:
            response = self._session.request(
                method,
                f"{self.root}{path}",
                json=body,
                headers={"Accept": "application/vnd.pypi.simple.v1+json, application/json, */*;q=0.1"},
                auth=(USER, self.token) if self.token else None,
                timeout=_TIMEOUT,
                allow_redirects=False,
                stream=stream,
                verify=self.certificates or True,
            )
        except requests.RequestException as error:
            raise IndexUnavailableError(
                f"cannot be reached: {_deepest(error)}", where=self.root, hint="is the address right, and the index up?"
            ) from error
        if response.status_code != HTTPStatus.OK:
            raise self._error(response)
        return response

    def _error(self, response: requests.Response) -> Exception:
        status = response.status_code
        text = response.content[:_LONGEST_TEXT].decode("utf-8", "replace")
        text = "".join(letter for letter in text if letter.isprintable() or letter == "\n").strip()
        said, _, hint = text.partition("\nhint: ")
        if status in _DENIED:
            return NotAllowedError(
                f"{status} {said}",
                where=self.root,
                hint="WHEELHOUSE_TOKEN holds a token; `wheelhouse token create` makes one with the scopes it needs",
            )
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return IndexUnavailableError(f"{status} {said}", where=self.root, hint="try again later")
        if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
            place = response.headers.get("Location", "elsewhere")[:_LONGEST_TEXT]
            return UsageError(f"{status}: it has moved to {place!a}", where=self.root)
        return _KINDS.get(status, IndexRefusesError)(said, where=self.root, hint=hint or None)


def _deepest(error: BaseException) -> str:
    """Return the innermost cause: the outer ones repeat it in wrapping."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return str(error) or type(error).__name__
