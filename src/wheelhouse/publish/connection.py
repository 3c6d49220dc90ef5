"""An index and a login in; what uploads to it out: many files in one request where it takes that, else by twine."""

from __future__ import annotations

import threading
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Self

from wheelhouse.publish.parcels import Parcels

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from wheelhouse.publish.destination import Destination
    from wheelhouse.publish.login import Login
    from wheelhouse.publish.reply import Reply
    from wheelhouse.publish.twine_uploader import TwineUploader


class Connection:
    """Uploads to one index. Used from several threads."""

    def __init__(
        self, destination: Destination, login: Login, *, timeout: float, certificates: str | None, stack: ExitStack
    ) -> None:
        self.parcels: Parcels | None = None
        """For many files in one request; None: the index does not take that, or nobody has asked."""
        self._destination = destination
        self._login = login
        self._timeout = timeout
        self._certificates = certificates
        self._stack = stack
        self._lock = threading.Lock()
        self._twine: TwineUploader | None = None

    @classmethod
    @contextmanager
    def open(
        cls, destination: Destination, login: Login, *, timeout: float, certificates: str | None, many: bool
    ) -> Iterator[Self]:
        """Connect. `timeout`: seconds of silence after which the index counts as down; `certificates`: a path.

        Raises UsageError for what twine does not upload to.
        """
        with ExitStack() as stack:
            made = cls(destination, login, timeout=timeout, certificates=certificates, stack=stack)
            if many:
                made.parcels = stack.enter_context(
                    Parcels.offered(destination, login, timeout=timeout, certificates=certificates)
                )
            if made.parcels is None:
                made.by_twine()
            yield made

    def upload(self, path: Path, *, name: str, sha256: str, attestations: str | None = None) -> Reply:
        """Send a file by twine, under a name, if its bytes are those expected."""
        return self.by_twine().upload(path, name=name, sha256=sha256, attestations=attestations)

    def by_twine(self) -> TwineUploader:
        """Return what does that. It takes a third of a second to load, and many files may need none."""
        from wheelhouse.publish.twine_uploader import TwineUploader  # noqa: PLC0415 - see above

        with self._lock:
            if self._twine is None:
                self._twine = TwineUploader(
                    self._destination, self._login, timeout=self._timeout, certificates=self._certificates
                )
                self._stack.enter_context(self._twine)
            return self._twine
