"""Where a file comes from in, its verified bytes out: one fetch for any number of askers, who read along as it grows.

A fetch belongs to nobody: it goes on when those who asked have left. Its last bytes are handed out only once its hash
is known to be right, so that wrong bytes never reach anybody as a whole file; they are not kept either.
"""

from __future__ import annotations

import asyncio
import logging
import os
from typing import TYPE_CHECKING

from wheelhouse.errors import NotOnIndexError, UpstreamUnavailableError
from wheelhouse.index.stores.shelf import WrongBytesError
from wheelhouse.index.upstream.client import CHUNK

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from pathlib import Path

    import aiohttp

    from wheelhouse.index.model import Sha256
    from wheelhouse.index.stores.shelf import Receiver, Shelf
    from wheelhouse.index.upstream.address import Upstream
    from wheelhouse.index.upstream.client import UpstreamClient
    from wheelhouse.index.upstream.page import Origin
    from wheelhouse.index.upstream.stats import Counters

LOG = logging.getLogger("wheelhouse.index.upstream")
#: What is held back until the hash is known.
_HELD = 64 * 1024
_AT_ONCE = 32
_OK, _GONE = 200, {404, 410}


class Fetch:
    """A file on its way."""

    def __init__(self, origin: Origin) -> None:
        self.size = origin.size
        """Bytes of the whole; None: not known yet."""
        self.path: Path | None = None
        """Where the file is, once it is here and right."""
        self._error: Exception | None = None
        self._here = 0
        self._grown = asyncio.Event()
        self._part: int | None = None
        self._readers = 1  # the fetch itself

    async def whole(self) -> Path:
        """Return where the file is once it is here. Raises what the fetch ended with."""
        while self.path is None:
            await self._wait()
        return self.path

    async def known_size(self) -> int:
        """Return the size of the whole as soon as it is known."""
        while self.size is None:
            await self._wait()
        return self.size

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """Yield the file as it grows. Raises what the fetch ends with."""
        self._readers += 1
        try:
            at = 0
            while True:
                end = self._here if self.path is not None else self._here - _HELD
                if at < end and self._part is not None:
                    data = await asyncio.to_thread(os.pread, self._part, min(CHUNK, end - at), at)
                    at += len(data)
                    yield data
                elif self.path is not None:
                    return
                else:
                    await self._wait()
        finally:
            self._leave()

    def begin(self, receiver: Receiver, size: int | None) -> None:
        """Say where the file grows and, if that is known now, how large it will be."""
        self._part = os.open(receiver.path, os.O_RDONLY)
        self.size = size
        self._tell()

    def grow(self, here: int) -> None:
        """Say how many bytes there are."""
        self._here = here
        self._tell()

    def end(self, outcome: Path | Exception) -> None:
        """Say how it ended."""
        if isinstance(outcome, Exception):
            self._error = outcome
        else:
            self.path, self.size = outcome, self._here
        self._tell()
        self._leave()

    async def _wait(self) -> None:
        if self._error is not None:
            raise self._error
        await self._grown.wait()

    def _tell(self) -> None:
        self._grown.set()
        self._grown = asyncio.Event()

    def _leave(self) -> None:
        self._readers -= 1
        if self._readers == 0 and self._part is not None:
            os.close(self._part)
            self._part = None


class Files:
    """Files of upstreams on a shelf, and those on their way to it. Belongs to one event loop."""

    def __init__(
        self,
        *,
        client: UpstreamClient,
        shelf: Shelf,
        upstream_of: Callable[[str], Upstream | None],
        counters: Counters,
    ) -> None:
        self._client = client
        self._shelf = shelf
        self._upstream_of = upstream_of
        self._counters = counters
        self._fetching: dict[Sha256, tuple[Fetch, asyncio.Task[None]]] = {}
        self._slots = asyncio.Semaphore(_AT_ONCE)

    @property
    def fetching(self) -> int:
        """How many files are on their way."""
        return len(self._fetching)

    def here(self, origin: Origin) -> Path | None:
        """Return where a file is, and count that as a use; None: it is not here."""
        path = self._shelf.path(origin.sha256)
        if path is not None:
            self._counters.file_hits += 1
        return path

    async def whole(self, origin: Origin) -> Path:
        """Return where a file is, fetched if need be.

        Raises UpstreamUnavailableError, NotOnIndexError, ShelfFullError.
        """
        return self.here(origin) or await self.fetch(origin).whole()

    def fetch(self, origin: Origin) -> Fetch:
        """Begin to fetch a file that is not here, or join the fetch that another began."""
        known = self._fetching.get(origin.sha256)
        if known is not None:
            self._counters.file_shared += 1
            return known[0]
        self._counters.file_misses += 1
        fetch = Fetch(origin)
        task = asyncio.create_task(self._run(fetch, origin))
        self._fetching[origin.sha256] = (fetch, task)
        task.add_done_callback(lambda _: self._fetching.pop(origin.sha256))
        return fetch

    async def close(self) -> None:
        """Give up what is on its way."""
        tasks = [task for _, task in self._fetching.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, fetch: Fetch, origin: Origin) -> None:
        try:
            async with self._slots:
                fetch.end(await self._receive(fetch, origin))
        except WrongBytesError as error:
            self._counters.file_wrong += 1
            LOG.error("%s is not what upstream's page says, and is not kept: %s", origin.filename, error)  # noqa: TRY400 - no fault of ours
            fetch.end(UpstreamUnavailableError(f"upstream's {origin.filename} is not what its page says"))
        except asyncio.CancelledError:
            fetch.end(UpstreamUnavailableError(f"{origin.filename} was not fetched: the server ends"))
            raise
        except Exception as error:  # noqa: BLE001 - told to each who asked, by whom it is logged where it is a fault
            LOG.warning("%s was not fetched: %s", origin.filename, error)
            fetch.end(error)

    async def _receive(self, fetch: Fetch, origin: Origin) -> Path:
        upstream = self._upstream_of(origin.upstream)
        if upstream is None:
            raise NotOnIndexError(f"{origin.filename} is from an upstream that is no longer configured")
        async with self._client.file(upstream, origin.url) as answer:
            if answer.status in _GONE:
                raise NotOnIndexError(f"upstream has {origin.filename} no more")
            if answer.status != _OK:
                raise UpstreamUnavailableError(f"upstream answered with status {answer.status}")
            size = _size(answer, origin)
            with self._shelf.receive(origin.sha256, size) as receiver:
                fetch.begin(receiver, size)
                async for chunk in answer.content.iter_chunked(CHUNK):
                    if receiver.size + len(chunk) > origin.most:
                        raise WrongBytesError(f"more than {origin.most} bytes")
                    await asyncio.to_thread(receiver.write, chunk)
                    self._counters.bytes_fetched += len(chunk)
                    fetch.grow(receiver.size)
                return await asyncio.to_thread(receiver.commit)


def _size(answer: aiohttp.ClientResponse, origin: Origin) -> int | None:
    """Return how large the file is, as far as page and answer agree."""
    if origin.size is not None or "Content-Encoding" in answer.headers:
        return origin.size
    return answer.content_length
