"""A file in, an upload by twine out. Credentials come from where twine takes them.

`TWINE_USERNAME` and `TWINE_PASSWORD` (a token needs no user name), `.pypirc`, a keyring; where there are none, the
identity of the CI job, if the index trusts it; else the upload is anonymous.
"""

from __future__ import annotations

import json
import tempfile
import threading
import zipfile
import zlib
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase, HTTPBasicAuth
from requests.utils import get_netrc_auth
from twine.exceptions import InvalidDistribution, NonInteractive, TwineException
from twine.package import PackageFile
from twine.settings import Settings

from wheelhouse.errors import UsageError
from wheelhouse.publish.form import body_of
from wheelhouse.publish.reply import Reply, Verdict, read_reply

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from twine.repository import Repository

    from wheelhouse.publish.destination import Destination

#: The user name to which a token is the password.
_TOKEN_USER = "__token__"  # noqa: S105 - a user name
#: How tokens begin: ours (`wheelhouse token`), ours of a CI job (trusted publishing), PyPI's.
_TOKEN_BEGINNINGS = ("wh_", "whm_", "pypi-")


class TwineUploader:
    """Sends files to one index, over one connection a thread. Used in a `with`."""

    def __init__(
        self,
        destination: Destination,
        *,
        environment: Mapping[str, str],
        timeout: float,
        token: Callable[[], str | None] = lambda: None,
        token_first: bool = False,
    ) -> None:
        """Find the credentials. `timeout`: seconds of silence after which the index counts as down.

        `token` is asked where there are no credentials, or before all else; and again before each upload. Raises
        UsageError where they are incomplete or cannot be read, and what `token` raises.
        """
        self._settings = _settings(destination, environment, token, token_first=token_first)
        self._token = token
        self._timeout = timeout
        self._here = threading.local()
        self._lock = threading.Lock()
        self._open = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def upload(self, path: Path, *, name: str, sha256: str, attestations: str | None = None) -> Reply:
        """Send a file under a name, if its bytes are those expected. `attestations`: a JSON list (PEP 740)."""
        with ExitStack() as stack:
            if path.name != name:  # in the spool files are called by their sha256; twine goes by the name
                named = Path(stack.enter_context(tempfile.TemporaryDirectory())) / name
                named.symlink_to(path)
                path = named
            try:
                package = PackageFile.from_filename(str(path), None)
            except (InvalidDistribution, zipfile.BadZipFile, zlib.error, OSError) as error:
                return Reply(verdict=Verdict.REFUSED, reason=f"twine cannot read it: {error}")
            if package.sha2_digest != sha256:
                return Reply(verdict=Verdict.REFUSED, reason="its bytes are no longer those that were checked")
            if attestations is not None:
                package.attestations = json.loads(attestations)
            return self._send(package)

    def _send(self, package: PackageFile) -> Reply:
        repository = self._repository()
        try:
            with body_of(package) as (body, kind):
                response = repository.session.post(
                    repository.url, data=body, allow_redirects=False, headers={"Content-Type": kind}
                )
        except requests.exceptions.SSLError as error:
            return Reply(verdict=Verdict.DENIED, reason=f"no trust in the index's certificate: {_deepest(error)}")
        except requests.RequestException as error:
            return Reply(verdict=Verdict.OUTAGE, reason=_deepest(error))
        return read_reply(response)

    def _repository(self) -> Repository:
        """Return this thread's connection."""
        repository: Repository | None = getattr(self._here, "repository", None)
        if repository is None:
            repository = self._settings.create_repository()
            for scheme in ("http://", "https://"):
                repository.session.mount(scheme, _Patience(self._timeout))
            if isinstance(self._settings.password, _Token):
                repository.session.auth = _Fresh(self._token)
            _look_around(repository)
            self._here.repository = repository
            with self._lock:
                self._open.callback(repository.close)
        return repository


class _Patience(HTTPAdapter):
    """A connection that does not wait for ever, as twine's own does, and leaves retrying to us."""

    def __init__(self, seconds: float) -> None:
        super().__init__(max_retries=0)
        self._seconds = seconds

    def send(self, request: requests.PreparedRequest, *arguments: Any, **options: Any) -> requests.Response:
        options["timeout"] = (self._seconds, self._seconds)
        return super().send(request, *arguments, **options)


class _Token(str):
    """A password that was got, not given."""

    __slots__ = ()


class _Fresh(AuthBase):
    """Credentials that are looked up for each request."""

    def __init__(self, token: Callable[[], str | None]) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        HTTPBasicAuth(_TOKEN_USER, self._token() or "")(request)
        return request


def _look_around(repository: Repository) -> None:
    """Take from the environment what a session needs of it, once instead of at each request."""
    session = repository.session
    found = session.merge_environment_settings(repository.url, {}, None, None, None)
    session.proxies, session.verify, session.cert = found["proxies"], found["verify"], found["cert"]
    session.auth = session.auth or get_netrc_auth(repository.url)
    session.trust_env = False


def _settings(
    destination: Destination,
    environment: Mapping[str, str],
    token: Callable[[], str | None],
    *,
    token_first: bool,
) -> Settings:
    where: dict[str, Any] = {
        "repository_name": destination.repository,
        "repository_url": None if destination.repository else destination.url,
        "cacert": environment.get("TWINE_CERT"),
        "non_interactive": True,
        "disable_progress_bar": True,
    }
    # A secret that is not set comes as an empty text from CI services.
    username, password = environment.get("TWINE_USERNAME") or None, environment.get("TWINE_PASSWORD") or None
    if username is None and password is not None and password.startswith(_TOKEN_BEGINNINGS):
        username = _TOKEN_USER
    try:
        if token_first:
            return Settings(**where, **_as_password(token()))
        settings = Settings(**where, username=username, password=password)
        settings.check_repository_url()
        if _known(settings, "username") and _known(settings, "password"):
            return settings
        if username or password or _known(settings, "username"):
            raise UsageError(
                "the credentials for the index are incomplete",
                hint="set TWINE_USERNAME and TWINE_PASSWORD (a token's user name is `__token__`), or use .pypirc",
            )
        return Settings(**where, **_as_password(token()))
    except TwineException as error:
        raise UsageError(str(error).splitlines()[0], hint="see twine's documentation of .pypirc") from error


def _as_password(token: str | None) -> dict[str, Any]:
    """Return credentials as twine takes them; with no token they are empty, or twine would look for others."""
    return {"username": "" if token is None else _TOKEN_USER, "password": "" if token is None else _Token(token)}


def _known(settings: Settings, what: Literal["username", "password"]) -> bool:
    """Say whether twine finds a part of the credentials somewhere."""
    try:
        return getattr(settings, what) is not None
    except NonInteractive:
        return False


def _deepest(error: BaseException) -> str:
    """Return the innermost cause of a network error: the outer ones repeat it in wrapping."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return str(error) or type(error).__name__
