"""An application and where to listen in; requests answered until a signal says that it is enough.

SIGTERM and SIGINT: nobody new is let in, who is being answered is answered to the end, for `grace` seconds at most; the
second one ends everything at once. SIGHUP: the certificate is read again, and no connection is cut for it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import TYPE_CHECKING, Any, Literal, NoReturn

import uvicorn

from wheelhouse.errors import CertificateError, WheelhouseError
from wheelhouse.index.serving.connection import PATIENCE, Connection

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable

    from wheelhouse.index.serving.front import Front
    from wheelhouse.index.serving.listening import Listening

#: Seconds in which those get their answers who asked while the server started.
_SETTLED = 1.0
#: Seconds between two looks at who is too slow.
_LOOK = 5
#: Where systemd listens, for a service of `Type=notify`.
_NOTIFY = "NOTIFY_SOCKET"
LOG = logging.getLogger("wheelhouse.index")
_STOPPED_BY = 128
"""What shells add to the number of a signal that ended a program."""


class Server(uvicorn.Server):
    """uvicorn's, which leaves signals to others and says when it is up."""

    def __init__(
        self, app: Any, *, http: type[asyncio.Protocol] | Literal["httptools"], tls: ssl.SSLContext | None = None
    ) -> None:
        config = uvicorn.Config(
            app,
            http=http,
            interface="asgi3",
            ws="none",
            lifespan="off",
            log_config=None,
            log_level=logging.ERROR,  # it has a line for each request that is none
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=int(PATIENCE),
            timeout_notify=_LOOK,
            callback_notify=self._look,
            ssl_context_factory=(lambda _config, _default: tls) if tls is not None else None,
        )
        super().__init__(config)
        self.up = asyncio.Event()

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]  # a generator's, by name
        """Leave them alone."""
        return nullcontext()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Take connections."""
        await super().startup(sockets)
        self.up.set()

    async def _look(self) -> None:
        now = asyncio.get_running_loop().time()
        for connection in list(self.server_state.connections):
            if isinstance(connection, Connection):
                connection.look(now)


def serve_until_stopped(
    front: Front, listening: Listening, taken: socket.socket, *, afterwards: Callable[[], Awaitable[None]]
) -> NoReturn:
    """Answer requests; ends the process when it is told to. What can wait until the server is up is done `afterwards`.

    At once and without the interpreter's teardown: every answer has been sent by that time, and what was acknowledged
    is on disk.
    """
    with asyncio.Runner(loop_factory=_quickest_loop()) as runner:
        status = runner.run(_serve(front, listening, taken, afterwards))
    front.close()
    _leave(status)


def _quickest_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return what makes an event loop; None: what Python has."""
    try:
        import uvloop  # noqa: PLC0415 - not on every platform
    except ModuleNotFoundError:
        return None
    return uvloop.new_event_loop


async def _serve(
    front: Front, listening: Listening, taken: socket.socket, afterwards: Callable[[], Awaitable[None]]
) -> int:
    """Return the exit status."""
    tls = listening.tls.context() if listening.tls is not None else None
    server = Server(front, http=Connection, tls=tls)
    loop = asyncio.get_running_loop()
    enough = asyncio.Event()

    def stop(number: int) -> None:
        if enough.is_set():
            LOG.warning("stopped at once")
            _leave(_STOPPED_BY + number)
        enough.set()

    def reload() -> None:
        if listening.tls is None or tls is None:
            return
        try:
            listening.tls.context()  # first one that nobody uses
            listening.tls.load(tls)
        except CertificateError as error:
            LOG.error("the certificate stays as it was: %s", error)  # noqa: TRY400 - the error says all
            return
        LOG.info("the certificate is read again")

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop, number)
    loop.add_signal_handler(signal.SIGHUP, reload)
    serving = asyncio.create_task(server.serve(sockets=[taken]))
    asked = asyncio.create_task(enough.wait())
    rest = asyncio.create_task(_do_once_up(server, afterwards))
    await asyncio.wait({serving, asked}, return_when=asyncio.FIRST_COMPLETED)
    rest.cancel()
    _tell_systemd("STOPPING=1")
    server.should_exit = True
    _, late = await asyncio.wait({serving}, timeout=listening.grace)
    if late:
        LOG.warning("requests were still in flight after %g seconds: they are cut", listening.grace)
        return 0
    return 0 if serving.exception() is None and enough.is_set() else 1


async def _do_once_up(server: Server, afterwards: Callable[[], Awaitable[None]]) -> None:
    """Say that connections are taken; do what can wait, once the first to ask have their answers."""
    await server.up.wait()
    _tell_systemd("READY=1")
    await asyncio.sleep(_SETTLED)
    try:
        await afterwards()
    except WheelhouseError as error:
        LOG.warning("%s", error)


def _tell_systemd(state: str) -> None:
    """Send a state to the service manager, where one has asked for it (sd_notify(3))."""
    address = os.environ.get(_NOTIFY, "")
    if not address.startswith(("/", "@")):
        return
    if address.startswith("@"):  # a name in the kernel, not on a disk
        address = f"\0{address[1:]}"
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as manager:
        manager.sendto(state.encode(), address)


def _leave(status: int) -> NoReturn:
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
