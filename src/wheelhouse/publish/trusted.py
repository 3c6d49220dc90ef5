"""A job of a CI service in, a token for an index that trusts it out: no secret has to be kept (trusted publishing).

The job's identity is what `id` finds: GitHub Actions, GitLab CI, Buildkite, CircleCI, Google Cloud; any other service
can put one into WHEELHOUSE_ID_TOKEN. twine does the same for PyPI alone; uv does it for any index.
"""

from __future__ import annotations

import json
import re
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from wheelhouse.errors import TrustedPublishingError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from wheelhouse.publish.destination import Destination

ENVIRONMENT_IDENTITY = "WHEELHOUSE_ID_TOKEN"
#: What says that a service can give its jobs identities, and has been told to.
_SERVICES = ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "GITLAB_CI", "BUILDKITE", "CIRCLECI", ENVIRONMENT_IDENTITY)
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_UPLOADS = re.compile(r"(?:_/stages/[^/]+/)?legacy/?$")
#: Tokens live for a quarter of an hour, here and at PyPI.
_RENEW_AFTER = 600.0
_LONGEST_ANSWER = 65_536
_LONGEST_TEXT = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedPublishing:
    """How to get a token from an index, in a CI job that has an identity."""

    destination: Destination
    environment: Mapping[str, str]
    timeout: float
    """Seconds of silence after which the index counts as down."""
    audience: str | None = None
    """Whom an identity may be made for, besides the index's own host name."""

    def token(self, *, needed: bool = False) -> str | None:
        """Return a token; None where the job has no identity or the index wants none, unless it is `needed`.

        None too where the index is down: the upload will meet the same, and knows what to do then. Raises
        TrustedPublishingError, also where the index does not trust the job.
        """
        try:
            return self._token()
        except _NoTokenError as error:
            if needed:
                raise self._error(str(error), hint="TWINE_PASSWORD with a token works everywhere") from error
        except _DownError:
            pass
        return None

    def _token(self) -> str:
        if not any(self.environment.get(name) for name in _SERVICES):
            raise _NoTokenError("this job has no identity")
        base = _base(self.destination.url)
        if base is None:
            raise _NoTokenError("an identity is sent over https alone")
        status, said = self._ask("GET", f"{base}_/oidc/audience")
        audience = said.get("audience")
        if status != HTTPStatus.OK or not isinstance(audience, str):
            raise _NoTokenError("the index does no trusted publishing")
        self._expect_own(audience)
        return self._exchanged(*self._ask("POST", f"{base}_/oidc/mint-token", {"token": self._identity(audience)}))

    def _exchanged(self, status: int, said: Mapping[str, Any]) -> str:
        token = said.get("token")
        if status != HTTPStatus.OK or not isinstance(token, str):
            raise self._error(
                f"the index does not trust this job: {_why(status, said)}",
                hint="[[serve.trusted-publishers]] of the index says which jobs it trusts",
            )
        return token

    def _expect_own(self, audience: str) -> None:
        """Refuse to get an identity that is good elsewhere: an index could ask for one and use it at another."""
        own = {urlsplit(self.destination.url).hostname, urlsplit(self.destination.url).netloc, self.audience}
        if audience not in own:
            raise self._error(
                f"the index wants an identity made for `{audience[:_LONGEST_TEXT]}`, which is not its name",
                hint="if that is right, set it as `audience` under [publish] in wheelhouse.toml",
            )

    def _identity(self, audience: str) -> str:
        given = self.environment.get(ENVIRONMENT_IDENTITY)
        if given:
            return given
        from id import AmbientCredentialError, detect_credential  # noqa: PLC0415 - start-up time

        try:
            found = detect_credential(audience)
        except AmbientCredentialError as error:
            raise self._error(
                f"the CI service gives this job no identity: {str(error)[:_LONGEST_TEXT]}",
                hint="GitHub: `permissions: id-token: write`; GitLab: `id_tokens` with the index's audience",
            ) from error
        if found is None:
            raise _NoTokenError("this job has no identity")
        return found

    def _ask(self, method: str, url: str, payload: Mapping[str, str] | None = None) -> tuple[int, Mapping[str, Any]]:
        import requests  # noqa: PLC0415 - start-up time
        import urllib3  # noqa: PLC0415 - likewise

        try:
            with requests.request(
                method,
                url,
                json=payload,
                timeout=(self.timeout, self.timeout),
                allow_redirects=False,  # it would carry the identity away
                stream=True,
                verify=self.environment.get("TWINE_CERT") or True,
            ) as response:
                body = response.raw.read(_LONGEST_ANSWER, decode_content=True)
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raise _DownError from error
        if response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise _DownError
        try:
            said = json.loads(body)
        except (ValueError, RecursionError):
            said = None
        return response.status_code, said if isinstance(said, dict) else {}

    def _error(self, message: str, *, hint: str) -> TrustedPublishingError:
        return TrustedPublishingError(message, where=self.destination.url, hint=hint)


class Renewed:
    """A token that is got again before its time is over: uploads can take longer. For several threads."""

    def __init__(self, get: Callable[[], str | None], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._get = get
        self._clock = clock
        self._lock = threading.Lock()
        self._token: str | None = None
        self._got: float | None = None

    def __call__(self) -> str | None:
        """Return the token. Raises TrustedPublishingError the first time; later the one there was has to do."""
        with self._lock:
            if self._got is None:
                self._token, self._got = self._get(), self._clock()
            elif self._token is not None and self._clock() - self._got > _RENEW_AFTER:
                self._got = self._clock()
                with suppress(TrustedPublishingError):  # not every service gives a job a second identity
                    self._token = self._get() or self._token
            return self._token


class _NoTokenError(Exception):
    """There is none to be had, and nothing is wrong with that."""


class _DownError(Exception):
    """The index cannot be asked now."""


def _base(url: str) -> str | None:
    """Return where the index's own routes begin; None: an identity must not be sent there."""
    parts = urlsplit(url)
    if parts.scheme != "https" and parts.hostname not in _LOOPBACK:
        return None
    path = _UPLOADS.sub("", parts.path)
    return urlunsplit((parts.scheme, parts.netloc, path if path.endswith("/") else f"{path}/", "", ""))


def _why(status: int, said: Mapping[str, Any]) -> str:
    """Return what an index says, as one line that does nothing to a terminal."""
    errors = said.get("errors")
    told = [error.get("description") for error in errors if isinstance(error, dict)] if isinstance(errors, list) else []
    text = "; ".join(str(one) for one in told or [said.get("message")] if one) or f"status {status}"
    return "".join(character if character.isprintable() else " " for character in text)[:_LONGEST_TEXT]
