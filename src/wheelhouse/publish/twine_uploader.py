"""A file in, an upload by twine out."""

from __future__ import annotations

import json
import tempfile
import threading
import zipfile
import zlib
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Self

import requests
from twine.exceptions import InvalidDistribution, TwineException
from twine.package import PackageFile
from twine.settings import Settings

from wheelhouse.errors import UsageError
from wheelhouse.publish.form import body_of
from wheelhouse.publish.login import where
from wheelhouse.publish.reply import Reply, Verdict, no_answer, read_reply
from wheelhouse.publish.session import furnish

if TYPE_CHECKING:
    from types import TracebackType

    from twine.repository import Repository

    from wheelhouse.publish.destination import Destination
    from wheelhouse.publish.login import Login


class TwineUploader:
    """Sends files to one index, over one connection a thread. Used in a `with`."""

    def __init__(
        self, destination: Destination, login: Login, *, timeout: float, certificates: str | None = None
    ) -> None:
        """`timeout`: seconds of silence after which the index counts as down; `certificates`: whom to trust, a path.

        Raises UsageError for what twine does not upload to.
        """
        try:
            self._settings = Settings(
                **where(destination), username=login.user, password=login.password, cacert=certificates
            )
            self._settings.check_repository_url()
        except TwineException as error:
            raise UsageError(str(error).splitlines()[0], hint="see twine's documentation of .pypirc") from error
        self._login = login
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
        except requests.RequestException as error:
            return no_answer(error, trusted=not isinstance(error, requests.exceptions.SSLError))
        return read_reply(response)

    def _repository(self) -> Repository:
        """Return this thread's connection."""
        repository: Repository | None = getattr(self._here, "repository", None)
        if repository is None:
            repository = self._settings.create_repository()
            furnish(repository.session, repository.url, self._login, timeout=self._timeout)
            self._here.repository = repository
            with self._lock:
                self._open.callback(repository.close)
        return repository
