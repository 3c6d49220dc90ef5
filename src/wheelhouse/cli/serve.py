"""`wheelhouse serve`: a package index on this machine."""

from __future__ import annotations

import os
import socket
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from wheelhouse.cli.session import pass_session
from wheelhouse.errors import MachineError

if TYPE_CHECKING:
    from wheelhouse.cli.session import Session
    from wheelhouse.index.serving.listening import Listening
    from wheelhouse.index.settings import Settings

_EVERYWHERE = {"0.0.0.0", "::", ""}  # noqa: S104 - what they mean is said to the user


@click.command(
    epilog="""\b
Examples:
  wheelhouse serve
  wheelhouse serve --port 9000 --store /srv/wheels
  wheelhouse serve --offline
  wheelhouse serve --host 0.0.0.0 --store s3://wheels/index
  wheelhouse serve --host 0.0.0.0 --port 443 --tls-cert fullchain.pem --tls-key privkey.pem
  wheelhouse serve --url https://wheels.example/pypi/     # behind a proxy, which speaks https
"""
)
@click.option("--host", metavar="ADDRESS", help="Address to listen on. [default: 127.0.0.1]")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help="Port to listen on; 0: any that is free. [default: 8080]",
)
@click.option(
    "--store",
    metavar="PLACE",
    help="Where files are kept: a folder or s3://bucket/prefix. [default: .wheelhouse/index]",
)
@click.option(
    "--tls-cert",
    metavar="FILE",
    help="Speak https, with the certificate and its chain in this PEM file. SIGHUP reads it again.",
)
@click.option("--tls-key", metavar="FILE", help="The certificate's key, a PEM file.")
@click.option(
    "--url",
    metavar="ADDRESS",
    help="Address that the index is known by, where a proxy stands before it: https://wheels.example/pypi/.",
)
@click.option("--log-format", type=click.Choice(["text", "json"]), help="Form of the log's lines. [default: text]")
@click.option(
    "--grace",
    metavar="DURATION",
    help="How long requests in flight are given when the server is told to stop. [default: 30s]",
)
@click.option("--check", is_flag=True, help="Look at the settings, the certificate and the store, and end.")
@click.option(
    "--offline", is_flag=True, envvar="WHEELHOUSE_OFFLINE", help="Ask no other index: serve what was fetched before."
)
@click.option("--no-mirror", is_flag=True, envvar="WHEELHOUSE_NO_MIRROR", help="Serve our own files alone.")
@click.option("--allow-anonymous-upload", is_flag=True, help="Let programs on this machine upload without a token.")
@pass_session
def serve(
    session: Session,
    /,
    *,
    host: str | None,
    port: int | None,
    store: str | None,
    tls_cert: str | None,
    tls_key: str | None,
    url: str | None,
    log_format: str | None,
    grace: str | None,
    check: bool,
    offline: bool,
    no_mirror: bool,
    allow_anonymous_upload: bool,
) -> None:
    """Serve a package index until Ctrl-C or SIGTERM. Uploads need a token: `wheelhouse token create`."""
    try:
        from wheelhouse.index.environment import with_options, with_variables  # noqa: PLC0415 - likewise
        from wheelhouse.index.serving.app import make_app  # noqa: PLC0415 - start-up time
        from wheelhouse.index.serving.front import Front  # noqa: PLC0415 - likewise
        from wheelhouse.index.serving.listening import Listening  # noqa: PLC0415 - likewise
        from wheelhouse.index.serving.server import serve_until_stopped  # noqa: PLC0415 - likewise
        from wheelhouse.index.settings import Settings  # noqa: PLC0415 - likewise
        from wheelhouse.index.stores.opening import open_store  # noqa: PLC0415 - likewise
        from wheelhouse.index.telling.logs import start_log  # noqa: PLC0415 - likewise
        from wheelhouse.index.upstream.setup import mirror_setup  # noqa: PLC0415 - likewise
    except ModuleNotFoundError as error:
        raise MachineError(
            f"the index needs {error.name}, which is not installed", hint="pip install 'wheelhouse[index]'"
        ) from error

    said = {
        "host": host,
        "port": port,
        "store": store,
        "tls_cert": tls_cert,
        "tls_key": tls_key,
        "url": url,
        "log": log_format,
        "grace": grace,
        "anonymous_upload": "local" if allow_anonymous_upload else None,
    }
    chosen = with_options(with_variables(session.workspace.config.serve, os.environ), said)
    config = session.workspace.config
    mirror = config.mirror.model_copy(
        update={"offline": offline or config.mirror.offline, "enabled": config.mirror.enabled and not no_mirror}
    )
    settings = replace(
        Settings.of(session.workspace, chosen),
        mirror=mirror_setup(session.workspace, mirror, os.environ, serve=chosen),
    )
    listening = Listening.of(chosen, base=session.workspace.state.parent)
    app = make_app(settings)
    if check:
        app.close()
        open_store(settings.store).projects()
        session.talk.print(f"all is well: {settings.store} answers, and the settings go together", markup=False)
        return
    taken = listening.bind()
    start_log(chosen.log, quiet=session.quiet)
    _greet(session, listening, settings, port=taken.getsockname()[1])
    serve_until_stopped(Front(app, prefix=listening.prefix), listening, taken, afterwards=app.go_on)


def _greet(session: Session, listening: Listening, settings: Settings, *, port: int) -> None:
    host = socket.gethostname() if listening.host in _EVERYWHERE else listening.host
    here = f"{listening.scheme}://{f'[{host}]' if ':' in host else host}:{port}"
    root = (settings.public or here).rstrip("/")
    if session.quiet:
        return
    click.echo(  # not by rich: it takes a tenth of the time until the first answer
        f"serving {settings.store} at {here}/simple/\n"
        f"  pip install --index-url {root}/simple/ PACKAGE\n"
        f"  uv pip install --default-index {root}/simple/ PACKAGE\n"
        f"  twine upload --repository-url {root}/legacy/ FILES",
        err=True,
    )
