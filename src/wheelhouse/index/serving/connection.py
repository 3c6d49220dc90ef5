"""A client's connection in, its requests answered: at once where the front has the answer, else by the application.

HTTP is uvicorn's business, on llhttp: one thread reads, answers and writes, and nothing is handed over on the way.
What is added here: ready answers, files sent by the kernel, and an end to heads that are too long and to clients that
are too slow, of whom uvicorn knows nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from wheelhouse.index.serving.answers import PATHSEND
from wheelhouse.index.serving.sending import CAN_SEND, BrokenOffError, send_file

if TYPE_CHECKING:
    import asyncio

    from wheelhouse.index.serving.front import Front, Question, Ready

#: Bytes of a request's head.
_LONGEST_HEAD = 64 * 1024
#: Seconds that a head may take from its first byte to its last.
_HEAD_PATIENCE = 30.0
#: Seconds without a request, or in which a client has taken nothing of its answer.
PATIENCE = 75.0


class Connection(HttpToolsProtocol):
    """One client's, as uvicorn makes it for an application that is a Front."""

    app: Front

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._heard = self.loop.time()
        """When the client last did something."""
        self._head_begun: float | None = None
        """When the head began that is not yet whole."""
        self._head_size = 0
        """Bytes of it, without the piece that it began in."""
        self._piece = 0
        """Bytes of what is being read."""
        self._unread = 0
        """Bytes that the client had not yet taken when that was last looked at."""
        self._answered = False
        """The request that is being read has had its answer."""
        self._between = True
        """No request is being read."""
        self._question: Question | None = None
        """What was asked by the last request, if that had its answer at once."""
        self._begun = 0
        """Requests, so far."""
        self._address = ""

    def data_received(self, data: bytes) -> None:
        """Read on. What comes between two requests and is one that was read before needs no reading."""
        self._heard = self.loop.time()
        known = self.app.known.get(data) if self._between and self._free() else None
        ready = self.app.ready(known, self._address) if known is not None else None
        if ready is not None:
            self._send_ready(ready)
        else:
            self._read(data)

    def _read(self, data: bytes) -> None:
        self._piece, between, begun, head = len(data), self._between, self._begun, self._head_begun
        super().data_received(data)
        if between and self._between and self._begun == begun + 1 and self._question is not None:
            self.app.know(data, self._question)
        elif head is not None and head is self._head_begun:
            self._head_size += len(data)
            if self._head_size > _LONGEST_HEAD:
                self._give_up(431)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Begin."""
        super().connection_made(transport)
        self._address = self.client[0] if self.client else ""

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self._between, self._question = False, None
        self._begun += 1
        self._head_begun, self._head_size = self._heard, 0

    def on_headers_complete(self) -> None:
        """Answer the request at once, or let the application answer it."""
        self._head_begun = None
        if self._head_size + self._piece > _LONGEST_HEAD and self._size_of_head() > _LONGEST_HEAD:
            self._give_up(431)
        if self.transport.is_closing():
            self._answered = True
            return
        if self._is_plain() and self._answer_at_once():
            self._answered = True
            return
        super().on_headers_complete()
        self.scope["state"]["exchange"] = Exchange(self, self.cycle)
        if CAN_SEND and self.scheme == "http":
            self.scope["extensions"] = {PATHSEND: {}}

    def on_body(self, body: bytes) -> None:
        """Hand a piece of the body on."""
        if not self._answered:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request."""
        self._between = True
        if self._answered:
            self._answered = False
            return
        super().on_message_complete()

    def look(self, now: float) -> None:
        """Let go of a client that has nothing more to say, or takes too long to say or to read it."""
        if self.transport.is_closing():
            return
        if self._head_begun is not None and now - self._head_begun > _HEAD_PATIENCE:
            self._give_up(408)
            return
        unread = self.transport.get_write_buffer_size()
        if unread != self._unread:
            self._unread, self._heard = unread, now
        waits = unread or self.cycle is None or self.cycle.response_complete
        if waits and now - self._heard > PATIENCE:
            self.transport.abort()

    def timeout_keep_alive_handler(self) -> None:
        """Leave it to `look`: uvicorn knows of no answer that was ready."""

    def _free(self) -> bool:
        """Say whether nothing stands before an answer."""
        return (self.cycle is None or self.cycle.response_complete) and not self.flow.write_paused

    def _is_plain(self) -> bool:
        parser = self.parser
        return (
            parser.get_method() == b"GET"
            and parser.should_keep_alive()
            and parser.get_http_version() == "1.1"
            and self._free()
        )

    def _answer_at_once(self) -> bool:
        """Send the answer, if there is one ready; say whether there was."""
        headers = dict(self.headers)
        question = self.app.question(self.url, headers) if len(headers) == len(self.headers) else None
        ready = self.app.ready(question, self._address) if question is not None else None
        if ready is None:
            return False
        if b"x-request-id" not in headers:  # else nobody sends the same again
            self._question = question
        self._send_ready(ready)
        return True

    def _size_of_head(self) -> int:
        return len(self.url) + sum(len(name) + len(value) for name, value in self.headers)

    def _send_ready(self, ready: Ready) -> None:
        common = b"".join([b"%b: %b\r\n" % header for header in self.server_state.default_headers])
        self.transport.writelines((ready.head, common + b"\r\n", ready.body))
        self.server_state.total_requests += 1

    def _give_up(self, status: int) -> None:
        """Say why, unless it would be said in the middle of an answer, and close."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.transport.abort()
            return
        self.transport.write(STATUS_LINE[status] + b"content-length: 0\r\nconnection: close\r\n\r\n")
        self.transport.close()


class Exchange:
    """A request that the application answers."""

    def __init__(self, connection: Connection, cycle: RequestResponseCycle) -> None:
        self._connection, self._cycle = connection, cycle

    @property
    def gone(self) -> bool:
        """Say whether the client has gone."""
        return self._cycle.disconnected

    async def send_file(self, path: str, size: int) -> None:
        """Send what is to follow the head of an answer, as long as somebody takes it. Raises OSError."""
        transport, cycle = self._connection.transport, self._cycle
        if not transport.is_closing():
            transport.set_write_buffer_limits(high=0)  # so that draining means: the head has left
            await self._connection.flow.drain()
        if transport.is_closing():
            return
        transport.set_write_buffer_limits()
        try:
            await send_file(transport, path, size, patience=PATIENCE, wanted=lambda: not cycle.disconnected)
        except BrokenOffError:
            transport.abort()
            while (await cycle.receive())["type"] != "http.disconnect":
                pass
            return
        cycle.expected_content_length = 0
        await cycle.send({"type": "http.response.body", "body": b"", "more_body": False})
