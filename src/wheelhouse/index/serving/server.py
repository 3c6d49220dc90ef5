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
import ssl
import sys
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NoReturn, Protocol
from urllib.parse import urlsplit

from wheelhouse.errors import CertificateError, MachineError, UsageError, WheelhouseError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from wheelhouse.config import ServeSettings
    from wheelhouse.index.serving.rsgi import Connection, Request

#: Seconds in which those get their answers who asked while the server started.
_SETTLED = 1.0
#: Where systemd listens, for a service of `Type=notify`.
_NOTIFY = "NOTIFY_SOCKET"
LOG = logging.getLogger("wheelhouse.index")
_STOPPED_BY = 128
"""What shells add to the number of a signal that ended a program."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """A certificate with its chain, and its key, as PEM files."""

    certificate: Path
    key: Path

    def check(self) -> None:
        """Raise CertificateError where the two cannot be used."""

        def no_password() -> NoReturn:
            raise CertificateError(
                "the key has a password", where=str(self.key), hint="a server has nobody to ask: take the password off"
            )

        try:
            ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(
                self.certificate, self.key, password=no_password
            )
        except FileNotFoundError as error:
            missing = self.key if self.certificate.is_file() else self.certificate
            raise CertificateError("there is no such file", where=str(missing), hint=_PEM) from error
        except ssl.SSLError as error:
            both = f"{self.certificate}, {self.key}"
            reason = (error.reason or str(error)).lower().replace("_", " ")
            raise CertificateError(f"not a certificate and its key: {reason}", where=both, hint=_PEM) from error
        except OSError as error:
            raise CertificateError(
                error.strerror or str(error), where=f"{self.certificate}, {self.key}", hint=_PEM
            ) from error


_PEM = "tls-cert is a PEM file with the certificate and its chain, tls-key one with the key that belongs to it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """Where to take connections, and how to let go of them."""

    host: str
    port: int
    tls: Tls | None
    prefix: str
    """Path of the public address: what a proxy leaves on a request's path, or cuts off. No slash at its end."""
    grace: float
    """Seconds that requests in flight are given at the end."""

    @classmethod
    def of(cls, serve: ServeSettings, base: Path) -> Listening:
        """Take the settings; paths are relative to `base`. Raises UsageError, CertificateError."""
        if bool(serve.tls_cert) != bool(serve.tls_key):
            lacking = "tls-key" if serve.tls_cert else "tls-cert"
            raise UsageError(f"{lacking} is missing: a certificate and its key go together", where="serve")
        tls = Tls(certificate=base / serve.tls_cert, key=base / serve.tls_key) if serve.tls_cert else None
        if tls is not None:
            tls.check()
        return cls(
            host=serve.host,
            port=serve.port,
            tls=tls,
            prefix=urlsplit(serve.url).path.rstrip("/"),
            grace=serve.grace,
        )

    def on_free_port(self) -> Listening:
        """Return the same with a port that can be had, for 0 any. Raises MachineError."""
        return replace(self, port=_free_port(self.host, self.port))

    @property
    def scheme(self) -> str:
        """`https` or `http`."""
        return "https" if self.tls else "http"


def _free_port(host: str, port: int) -> int:
    """Return the port, after a look whether it can be had: two servers could share one, and neither would notice."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise MachineError(
                f"cannot listen on {host} port {port}: {error.strerror or error}",
                hint="another program may be there: choose another with --port, or 0 for any that is free",
            ) from error
        return int(probe.getsockname()[1])


class Application(Protocol):
    """What is served: an RSGI application that has things open."""

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Get ready."""

    async def __rsgi__(self, request: Request, connection: Connection) -> None:
        """Answer a request."""

    def close(self) -> None:
        """Let go of what is open."""


def serve_until_stopped(
    app: Application, listening: Listening, *, afterwards: Callable[[], Awaitable[None]] | None = None
) -> NoReturn:
    """Answer requests; ends the process when it is told to. What can wait until the server is up is done `afterwards`.

    At once and without the interpreter's teardown: granian's threads still reach for it then, and abort it. Every
    answer has been sent by that time, and what was acknowledged is on disk.
    """
    with asyncio.Runner(loop_factory=_quickest_loop()) as runner:
        status = runner.run(_serve(app, listening, afterwards))
    app.close()
    _leave(status)


def _quickest_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return what makes an event loop; None: what Python has."""
    try:
        import uvloop  # noqa: PLC0415 - not on every platform
    except ModuleNotFoundError:
        return None
    return uvloop.new_event_loop


async def _serve(app: Application, listening: Listening, afterwards: Callable[[], Awaitable[None]] | None) -> int:
    """Return the exit status."""
    from granian.constants import HTTPModes, Interfaces, SSLProtocols  # noqa: PLC0415 - start-up time
    from granian.server.embed import Server  # noqa: PLC0415 - likewise

    server: Any = Server(  # its methods come without types
        app,
        address=listening.host,
        port=listening.port,
        interface=Interfaces.RSGI,
        # Without TLS nobody speaks HTTP/2; and only where it looks for none does granian hang up on who says nothing.
        http=HTTPModes.auto if listening.tls else HTTPModes.http1,
        websockets=False,
        log_enabled=False,
        ssl_cert=listening.tls.certificate if listening.tls else None,
        ssl_key=listening.tls.key if listening.tls else None,
        ssl_protocol_min=SSLProtocols.tls12,
    )
    loop = asyncio.get_running_loop()
    enough = asyncio.Event()

    def stop(number: int) -> None:
        if enough.is_set():
            LOG.warning("stopped at once")
            _leave(_STOPPED_BY + number)
        enough.set()

    def reload() -> None:
        if listening.tls is None:
            return
        try:
            listening.tls.check()
        except CertificateError as error:
            LOG.error("the certificate stays as it was: %s", error)  # noqa: TRY400 - the error says all
            return
        LOG.info("the certificate is read again")
        server.reload()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop, number)
    loop.add_signal_handler(signal.SIGHUP, reload)
    serving = asyncio.create_task(server.serve())
    asked = asyncio.create_task(enough.wait())
    telling = asyncio.create_task(_tell_when_ready(listening))
    rest = asyncio.create_task(_do_afterwards(afterwards)) if afterwards is not None else None
    await asyncio.wait({serving, asked}, return_when=asyncio.FIRST_COMPLETED)
    for task in filter(None, (telling, rest)):
        task.cancel()
    _tell_systemd("STOPPING=1")
    server.stop()
    _, late = await asyncio.wait({serving}, timeout=listening.grace)
    if late:
        LOG.warning("requests were still in flight after %g seconds: they are cut", listening.grace)
        return 0
    return 0 if serving.exception() is None and enough.is_set() else 1


async def _do_afterwards(rest: Callable[[], Awaitable[None]]) -> None:
    """Do what can wait, once the first to ask have their answers."""
    await asyncio.sleep(_SETTLED)
    try:
        await rest()
    except WheelhouseError as error:
        LOG.warning("%s", error)


async def _tell_when_ready(listening: Listening) -> None:
    """Tell systemd once connections are taken: granian does not say when that is."""
    if _NOTIFY not in os.environ:
        return
    host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(listening.host, listening.host)  # noqa: S104 - named, not bound
    while True:
        try:
            _, writer = await asyncio.open_connection(host, listening.port)
        except OSError:
            await asyncio.sleep(0.02)
        else:
            writer.close()
            break
    _tell_systemd("READY=1")


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
