"""`wheelhouse serve`: a package index on this machine."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from wheelhouse.cli.session import pass_session
from wheelhouse.errors import MachineError

if TYPE_CHECKING:
    from wheelhouse.cli.session import Session
    from wheelhouse.config import ServeSettings
    from wheelhouse.index.app import IndexApp

_EVERYWHERE = {"0.0.0.0", "::", ""}  # noqa: S104 - what they mean is said to the user


@click.command(
    epilog="""\b
Examples:
  wheelhouse serve
  wheelhouse serve --port 9000 --store /srv/wheels
  wheelhouse serve --host 0.0.0.0 --store s3://wheels/index
"""
)
@click.option("--host", metavar="ADDRESS", envvar="WHEELHOUSE_HOST", help="Address to listen on. [default: 127.0.0.1]")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    envvar="WHEELHOUSE_PORT",
    help="Port to listen on; 0: any that is free. [default: 8080]",
)
@click.option(
    "--store",
    metavar="PLACE",
    envvar="WHEELHOUSE_STORE",
    help="Where files are kept: a folder or s3://bucket/prefix. [default: .wheelhouse/index]",
)
@click.option("--allow-anonymous-upload", is_flag=True, help="Let programs on this machine upload without a token.")
@pass_session
def serve(
    session: Session, /, *, host: str | None, port: int | None, store: str | None, allow_anonymous_upload: bool
) -> None:
    """Serve a package index until Ctrl-C or SIGTERM. Uploads need a token: `wheelhouse token create`."""
    try:
        from wheelhouse.index.app import make_app  # noqa: PLC0415 - start-up time
        from wheelhouse.index.settings import Settings  # noqa: PLC0415 - likewise
    except ModuleNotFoundError as error:
        raise MachineError(
            f"the index needs {error.name}, which is not installed", hint="pip install 'wheelhouse[index]'"
        ) from error

    said = {
        "host": host,
        "port": port,
        "store": str(Path(store).absolute()) if store is not None and "://" not in store else store,
        "anonymous_upload": "local" if allow_anonymous_upload else None,
    }
    chosen = session.workspace.config.serve.model_copy(
        update={key: value for key, value in said.items() if value is not None}
    )
    settings = Settings.of(session.workspace, chosen)
    chosen = chosen.model_copy(update={"port": _free_port(chosen)})
    app = make_app(settings)
    logging.basicConfig(level=logging.WARNING if session.quiet else logging.INFO, format="%(asctime)s %(message)s")
    _greet(session, chosen, settings.store)
    asyncio.run(_run(app, chosen))
    _leave()


def _free_port(chosen: ServeSettings) -> int:
    """Return the port, after a look whether it can be had: two servers could share one, and neither would notice."""
    family = socket.AF_INET6 if ":" in chosen.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((chosen.host, chosen.port))
        except OSError as error:
            raise MachineError(
                f"cannot listen on {chosen.host} port {chosen.port}: {error.strerror or error}",
                hint="another program may be there: choose another with --port, or 0 for any that is free",
            ) from error
        return int(probe.getsockname()[1])


async def _run(app: IndexApp, chosen: ServeSettings) -> None:
    from granian.constants import Interfaces  # noqa: PLC0415 - start-up time
    from granian.server.embed import Server  # noqa: PLC0415 - likewise

    server = Server(
        app, address=chosen.host, port=chosen.port, interface=Interfaces.ASGI, websockets=False, log_enabled=False
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, server.stop)
    await server.serve()


def _leave() -> NoReturn:
    """End the process at once: granian's threads still reach for the interpreter, and abort it while it is torn down.

    Every answer has been sent by now, and what was acknowledged is on disk.
    """
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _greet(session: Session, chosen: ServeSettings, store: str) -> None:
    host = socket.gethostname() if chosen.host in _EVERYWHERE else chosen.host
    root = f"http://{f'[{host}]' if ':' in host else host}:{chosen.port}"
    session.talk.print(
        f"serving {store} at {root}/simple/\n"
        f"  pip install --index-url {root}/simple/ PACKAGE\n"
        f"  uv pip install --default-index {root}/simple/ PACKAGE\n"
        f"  twine upload --repository-url {root}/legacy/ FILES",
        markup=False,
    )
