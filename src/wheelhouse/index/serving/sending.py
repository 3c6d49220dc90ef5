"""A file and a connection in, the file's bytes on their way out: by the kernel, none of them through this process.

uvloop has no `sendfile` of its own, so this is the call of the kernel on a second handle of the connection's socket.
What the kernel would have to fetch from a disk first, a thread touches before, so that the loop never waits for one.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

#: Bytes that are looked for in the kernel's memory at a time.
_PIECE = 4 << 20
#: Whether this platform can do it.
CAN_SEND = hasattr(os, "sendfile") and hasattr(os, "RWF_NOWAIT")


class BrokenOffError(Exception):
    """The answer cannot be brought to its end: nobody reads it, or the file is shorter than was said."""


async def send_file(
    transport: asyncio.Transport, path: str, size: int, *, patience: float, wanted: Callable[[], bool]
) -> None:
    """Send `size` bytes of a file after all that was written to a transport, as long as they are `wanted`.

    Raises BrokenOffError; OSError where there is no such file.
    """
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        target = os.dup(transport.get_extra_info("socket").fileno())
        try:
            at = 0
            while at < size and wanted():
                piece = _Piece(file, target, at, min(at + _PIECE, size))
                if not piece.is_in_memory():
                    await asyncio.to_thread(piece.touch)
                await piece.send(patience)
                at = piece.end
        finally:
            os.close(target)
    finally:
        os.close(file)


class _Piece:
    """Bytes of a file, from `at` up to `end`, on their way to a socket."""

    def __init__(self, file: int, target: int, at: int, end: int) -> None:
        self._file, self._target, self._at, self.end = file, target, at, end
        self._loop = asyncio.get_running_loop()
        self._sent: asyncio.Future[None] = self._loop.create_future()

    def is_in_memory(self) -> bool:
        """Say whether the kernel has both ends in memory, and so very likely all of it."""
        try:
            return all(
                os.preadv(self._file, [bytearray(1)], place, os.RWF_NOWAIT) == 1 for place in (self._at, self.end - 1)
            )
        except OSError:  # it has not, or the file system cannot say
            return False

    def touch(self) -> None:
        """Read it, so that the kernel has it in memory."""
        os.pread(self._file, self.end - self._at, self._at)

    async def send(self, patience: float) -> None:
        """Send it. Raises BrokenOffError."""
        self._loop.add_writer(self._target, self._step)
        try:
            while not self._sent.done():
                before = self._at
                await asyncio.wait({self._sent}, timeout=patience)
                if self._at == before and not self._sent.done():
                    raise BrokenOffError(f"nothing was read for {patience:g} seconds")
        finally:
            self._loop.remove_writer(self._target)
        self._sent.result()

    def _step(self) -> None:
        """Hand the kernel as much as the socket takes now."""
        if self._sent.done():
            return
        try:
            sent = os.sendfile(self._target, self._file, self._at, self.end - self._at)
        except BlockingIOError:
            return
        except OSError as error:
            self._sent.set_exception(BrokenOffError(f"the client has gone: {error.strerror}"))
            return
        self._at += sent
        if not sent:
            self._sent.set_exception(BrokenOffError("the file has fewer bytes than it should have"))
        elif self._at == self.end:
            self._sent.set_result(None)
