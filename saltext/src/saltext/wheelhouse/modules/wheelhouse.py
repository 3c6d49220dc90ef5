"""Build wheels on this minion: by hand, or as the farm of `wheelhouse build --farm salt` asks for it.

Configuration, from pillar or the minion's own file, below `wheelhouse`:

- `command`: the wheelhouse command; default: PATH's, else `/opt/wheelhouse/bin/wheelhouse`
- `registry`: the folder with `wheelhouse.toml` that builds by hand are of
- `root`: where tickets and results are kept; default: `wheelhouse` in Salt's cache folder
- `environment`: variables for the command: `TWINE_USERNAME` and `TWINE_PASSWORD`, say
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from salt.exceptions import CommandExecutionError, SaltInvocationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Told = dict[str, Any]
    __salt__: dict[str, Callable[..., Any]]
    __opts__: dict[str, Any]
    __grains__: dict[str, Any]
    __context__: dict[str, Any]

#: Where the formula installs it.
USUAL_COMMAND = "/opt/wheelhouse/bin/wheelhouse"
#: What the files of a job may come to (bytes).
BUNDLE_BYTES = 4 * 1024 * 1024
#: How long a build by hand may take, unless somebody says (seconds).
LONGEST = 6 * 3600
_QUICK = 120
#: What ending a command may take beyond its time (seconds).
_SPARE = 60
_LAST_LINES = 20


def build(
    *packages: str,
    job: str | None = None,
    ticket: str | None = None,
    bundle: str | None = None,
    builder: str | None = None,
    python: str | list[str] = (),  # type: ignore[assignment]  # a tuple cannot be changed by accident
    arch: str | list[str] = (),  # type: ignore[assignment]  # likewise
    force: bool = False,
    upgrade: bool = False,
    publish: bool | str = False,
    timeout: float = LONGEST,
    **kwargs: Any,
) -> Told:
    """Build the wheels of recipes here, and wait for them. The return code is that of the command: 3: jobs failed.

    CLI Example:

    .. code-block:: bash

        salt -G 'cpuarch:aarch64' wheelhouse.build psycopg2
        salt builder1 wheelhouse.build psycopg2==2.9.10 python='"3.13"' publish=True

    python and arch
        Only for these. Quoted twice: YAML takes 3.10 for the number 3.1.
    builder
        `cibuildwheel` or `host`; default: the registry's.
    publish
        Upload what was built, or was there already, to the index of the registry.
    job, ticket, bundle
        What the farm sends: a job's id, the ticket under which it is built at most once, and the files of a registry.
    timeout
        Seconds after which it is ended.
    """
    _known_arguments("build", kwargs)
    if not job and not packages:
        message = "name a package, as in `wheelhouse.build psycopg2`"
        raise SaltInvocationError(message)
    words = ["build", "--json", *_options(python=python, arch=arch, builder=builder, job=job)]
    switches = {"--publish": publish, "--force": force, "--upgrade-requirements": upgrade}
    words += [name for name, wanted in switches.items() if wanted]
    words += ["--", *(_text("a package", package) for package in packages)]
    if ticket is None:
        ticket = f"by-hand-{kwargs.get('__pub_jid') or os.urandom(8).hex()}"
    told = _start(words, ticket=_text("ticket", ticket), job=job, bundle=bundle, publish=publish, timeout=timeout)
    if told["state"] == "running":
        told = __salt__["wheelhouse_jobs.wait"](_root(), ticket, timeout + _SPARE)
    _set_code(told)
    return told if job else _summary(told)


def result(ticket: str) -> Told:
    """Return what is known of a ticket: its state, and when it is done the records and the end of the log.

    CLI Example:

    .. code-block:: bash

        salt builder1 wheelhouse.result by-hand-20261128093000000000
    """
    return dict(__salt__["wheelhouse_jobs.look"](_root(), _text("ticket", ticket)))


def tickets(*wanted: str, of: dict[str, list[str]] | None = None, **kwargs: Any) -> dict[str, Told]:
    """Return what is known of some tickets (default: those that are running), by ticket. Proves that we are alive.

    `of` has those of several minions, by minion: the farm asks all of them at once.

    CLI Example:

    .. code-block:: bash

        salt '*' wheelhouse.tickets
    """
    _known_arguments("tickets", kwargs)
    look, root = __salt__["wheelhouse_jobs.look"], _root()
    if wanted or of is not None:
        return {ticket: look(root, ticket) for ticket in (*wanted, *(of or {}).get(__opts__["id"], ()))}
    told = {ticket: look(root, ticket) for ticket in __salt__["wheelhouse_jobs.known"](root)}
    return {ticket: one for ticket, one in told.items() if one["state"] == "running"}


def cancel(*wanted: str, tickets: Iterable[str] = (), **kwargs: Any) -> dict[str, str]:
    """End what runs for these tickets; one that was never seen will not be started. Return their states.

    CLI Example:

    .. code-block:: bash

        salt builder1 wheelhouse.cancel by-hand-20261128093000000000
    """
    _known_arguments("cancel", kwargs)
    return {
        ticket: __salt__["wheelhouse_jobs.cancel"](_root(), _text("ticket", ticket))["state"]
        for ticket in (*wanted, *tickets)
    }


def plan(
    *packages: str,
    python: str | list[str] = (),  # type: ignore[assignment]  # a tuple cannot be changed by accident
    arch: str | list[str] = (),  # type: ignore[assignment]  # likewise
    **kwargs: Any,
) -> list[Told]:
    """Return what `wheelhouse plan` would do here, job by job.

    CLI Example:

    .. code-block:: bash

        salt builder1 wheelhouse.plan psycopg2
    """
    _known_arguments("plan", kwargs)
    names = ["--", *(_text("a package", package) for package in packages)] if packages else ["--all"]
    told: list[Told] = _ask(["plan", "--json", *_options(python=python, arch=arch), *names])
    return told


def status() -> Told:
    """Return the version, what is running, and the last tickets with how they ended.

    CLI Example:

    .. code-block:: bash

        salt '*' wheelhouse.status
    """
    look, root = __salt__["wheelhouse_jobs.look"], _root()
    last = [look(root, ticket) for ticket in __salt__["wheelhouse_jobs.known"](root)[:20]]
    return {
        "version": version(),
        "running": {one["ticket"]: one["job"] for one in last if one["state"] == "running"},
        "ended": {one["ticket"]: one["state"] for one in last if one["state"] != "running"},
    }


def deliver() -> Any:
    """Deliver the wheels and records that wait here for an index that was down.

    CLI Example:

    .. code-block:: bash

        salt '*' wheelhouse.deliver
    """
    return _ask(["spool", "retry", "--json"])


def version() -> str:
    """Return the version of the wheelhouse command.

    CLI Example:

    .. code-block:: bash

        salt '*' wheelhouse.version
    """
    ran = _run(["--version"])
    if ran["retcode"] != 0:
        message = f"{_command()} --version: {ran['stderr'] or ran['stdout']}"
        raise CommandExecutionError(message)
    return str(ran["stdout"].split()[-1])


def capabilities() -> Told:
    """Return what can be built here and how much of it at once, as the farm asks for it: from the grains.

    CLI Example:

    .. code-block:: bash

        salt '*' wheelhouse.capabilities
    """
    grains = __grains__.get("wheelhouse")
    if not isinstance(grains, dict) or not grains.get("version"):
        message = f"this minion has no grain `wheelhouse:version`: is there a wheelhouse command? (`{_command()}`)"
        raise CommandExecutionError(message)
    return {**grains, "arch": __grains__.get("cpuarch", grains.get("arch"))}


def _options(**chosen: Any) -> list[str]:
    """Return options of the command, by name: one for each text."""
    words = []
    for name, given in chosen.items():
        values = given if isinstance(given, (list, tuple)) else [] if given is None else [given]
        for value in values:
            words += [f"--{name}", _text(name, value)]
    return words


def _start(
    words: list[str], *, ticket: str, job: str | None, bundle: str | None, publish: bool | str, timeout: float
) -> Told:
    root = _root()
    environment = {**_environment(), "WHEELHOUSE_TICKET": ticket}
    if isinstance(publish, str):
        environment["TWINE_REPOSITORY_URL"] = publish
    told: Told = __salt__["wheelhouse_jobs.look"](root, ticket)
    if told["state"] != "unknown":
        return told
    command = [_command(), "--dist", str(Path(root) / "dist")]
    prepared = None
    if bundle is not None:
        prepared = __salt__["wheelhouse_jobs.draft"](root, _unpack(bundle))
        command += ["--registry", "{registry}"]
    elif registry := _setting("registry"):
        command += ["--registry", registry]
    start = __salt__["wheelhouse_jobs.start"]
    log = str(Path(environment["WHEELHOUSE_STATE"]) / "jobs" / job / "log.txt") if job else None
    return dict(start(root, ticket, [*command, *words], environment, timeout, job=job, log=log, prepared=prepared))


def _unpack(bundle: str) -> dict[str, bytes]:
    """Return the bytes of each file of a registry, by path."""
    try:
        texts = json.loads(_inflate(_text("bundle", bundle)))
        files = {_text("a path", name): base64.b64decode(text, validate=True) for name, text in texts.items()}
    except (TypeError, AttributeError, ValueError, zlib.error) as error:
        message = f"`bundle` is none: {error}"
        raise SaltInvocationError(message) from error
    if "wheelhouse.toml" not in files:
        message = "`bundle` has no wheelhouse.toml"
        raise SaltInvocationError(message)
    return files


def _inflate(bundle: str) -> bytes:
    engine = zlib.decompressobj()
    data = engine.decompress(base64.b64decode(bundle, validate=True), BUNDLE_BYTES)
    if engine.unconsumed_tail:
        message = f"`bundle` has more than {BUNDLE_BYTES} bytes"
        raise SaltInvocationError(message)
    return data


def _text(name: str, value: object) -> str:
    """Return a text as it is. Raises SaltInvocationError for a number that YAML has made of it."""
    if isinstance(value, str):
        return value
    message = (
        f"{name} must be a text, and {value!r} came in as a {type(value).__name__}: YAML takes 1.10 for the number 1.1;"
        " quote it twice, as in '\"1.10\"'"
    )
    raise SaltInvocationError(message)


def _known_arguments(function: str, arguments: dict[str, Any]) -> None:
    unknown = sorted(name for name in arguments if not name.startswith("__"))
    if unknown:
        message = f"wheelhouse.{function} has no argument `{unknown[0]}`"
        raise SaltInvocationError(message)


def _summary(told: Told) -> Told:
    """Return what people want to read of a build."""
    output = told.get("output")
    jobs = {record["job"]: _outcome(record) for record in output} if isinstance(output, list) else {}
    short = {"ticket": told["ticket"], "state": told["state"], "jobs": jobs}
    good = told["state"] == "done" and told.get("status") == 0
    return short if good else {**short, "said": told.get("said", "").splitlines()[-_LAST_LINES:]}


def _outcome(record: Told) -> str:
    if record["status"] == "built":
        return str(record["wheel"]["filename"])
    return f"failed: {(record.get('cause') or {}).get('message', 'no cause known')}"


def _set_code(told: Told) -> None:
    """Let Salt know how it ended: its own commands would exit with 0."""
    code = 1 if told["state"] != "done" else told["status"]
    if code != 0:
        __context__["retcode"] = code


def _setting(name: str) -> Any:
    """Return what the minion's configuration or its pillar has below `wheelhouse`; None: nothing."""
    return __salt__["config.get"](f"wheelhouse:{name}", default=None) or None


def _root() -> str:
    return str(_setting("root") or Path(__opts__["cachedir"]) / "wheelhouse")


def _command() -> str:
    return str(_setting("command") or shutil.which("wheelhouse") or USUAL_COMMAND)


def _environment() -> dict[str, str]:
    """Return the minion's own environment, without Salt's Python in it, and what pillar adds."""
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "SALT_", "LD_LIBRARY_PATH"))
    }
    chosen = _setting("environment") or {}
    own = {"WHEELHOUSE_STATE": str(Path(_root()) / "state")}
    return {**inherited, **own, **{name: _text(f"environment:{name}", value) for name, value in chosen.items()}}


def _run(words: list[str]) -> Told:
    root = Path(_root())
    root.mkdir(mode=0o750, parents=True, exist_ok=True)
    ran: Told = __salt__["cmd.run_all"](
        [_command(), *words],
        python_shell=False,
        env=_environment(),
        clean_env=True,
        cwd=str(root),
        timeout=_QUICK,
        output_loglevel="debug",
        ignore_retcode=True,
    )
    return ran


def _ask(words: list[str]) -> Any:
    """Run a command that prints JSON, and return what it says."""
    registry = _setting("registry")
    ran = _run([*(["--registry", registry] if registry else []), *words])
    if ran["retcode"] != 0:
        __context__["retcode"] = ran["retcode"]
    try:
        return json.loads(ran["stdout"])
    except ValueError:
        message = f"wheelhouse {words[0]}: {ran['stderr'] or ran['stdout']}"
        raise CommandExecutionError(message) from None
