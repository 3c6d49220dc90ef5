"""Build wheels on this minion: by hand, or as the farm of `wheelhouse build --farm salt` asks for it.

Configuration, from pillar or the minion's own file, below `wheelhouse`:

- `command`: the wheelhouse command; default: PATH's, else `/opt/wheelhouse/bin/wheelhouse`
- `registry`: the folder with `wheelhouse.toml` that builds by hand are of
- `root`: where tickets and results are kept; default: `wheelhouse` in Salt's cache folder
- `environment`: variables for the command: `TWINE_USERNAME` and `TWINE_PASSWORD`, say
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import shutil
import zlib

from salt.exceptions import CommandExecutionError, SaltInvocationError

__virtualname__ = "wheelhouse"
__func_alias__ = {"list_": "list"}

#: Where the formula installs it.
USUAL_COMMAND = "/opt/wheelhouse/bin/wheelhouse"
#: What the files of a job may come to (bytes).
BUNDLE_BYTES = 4 * 1024 * 1024
#: How long a build by hand may take, unless somebody says (seconds).
LONGEST = 6 * 3600
_QUICK = 120


def __virtual__():
    return __virtualname__ if os.name == "posix" else (False, "wheelhouse builds on POSIX systems")


def build(
    *packages,
    job=None,
    ticket=None,
    bundle=None,
    builder=None,
    python=(),
    arch=(),
    force=False,
    upgrade=False,
    publish=False,
    timeout=LONGEST,
    **kwargs,
):
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
    texts = {"job": job, "ticket": ticket, "builder": builder, "publish": publish if publish is not True else ""}
    for name, value in texts.items():
        if value not in (None, False):
            _text(name, value)
    words = ["build", "--json"]
    for name, values in (("--python", python), ("--arch", arch)):
        for value in [values] if isinstance(values, (str, int, float)) else values:
            words += [name, _text(name[2:], value)]
    words += ["--builder", builder] if builder else []
    words += ["--publish"] if publish else []
    words += ["--force"] if force else []
    words += ["--upgrade-requirements"] if upgrade else []
    words += ["--job", job] if job else []
    words += [_text("a package", package) for package in packages]
    if not job and not packages:
        raise SaltInvocationError("name a package, as in `wheelhouse.build psycopg2`")
    ticket = ticket or f"by-hand-{__opts__.get('jid') or kwargs.get('__pub_jid') or os.urandom(8).hex()}"
    told = _start(words, ticket=ticket, job=job, bundle=bundle, publish=publish, timeout=timeout)
    if told["state"] == "running":
        told = __salt__["wheelhouse_jobs.wait"](_root(), ticket, timeout + 60)
    _set_code(told)
    return told if job else _summary(told)


def result(ticket):
    """Return what is known of a ticket: its state, and when it is done the records and the end of the log.

    CLI Example:

    .. code-block:: bash

        salt builder1 wheelhouse.result by-hand-20261128093000000000
    """
    return __salt__["wheelhouse_jobs.look"](_root(), _text("ticket", ticket))


def tickets(*wanted):
    """Return what is known of some tickets (default: those that are running), by ticket. Proves that we are alive.

    CLI Example:

    .. code-block:: bash

        salt '*' wheelhouse.tickets
    """
    look, root = __salt__["wheelhouse_jobs.look"], _root()
    if wanted:
        return {ticket: look(root, ticket) for ticket in wanted}
    told = {ticket: look(root, ticket) for ticket in __salt__["wheelhouse_jobs.known"](root)}
    return {ticket: one for ticket, one in told.items() if one["state"] == "running"}


def cancel(*wanted):
    """End what runs for these tickets; one that was never seen will not be started. Return their states.

    CLI Example:

    .. code-block:: bash

        salt builder1 wheelhouse.cancel by-hand-20261128093000000000
    """
    return {ticket: __salt__["wheelhouse_jobs.cancel"](_root(), _text("ticket", ticket))["state"] for ticket in wanted}


def plan(*packages, python=(), arch=(), **kwargs):
    """Return what `wheelhouse plan` would do here, job by job.

    CLI Example:

    .. code-block:: bash

        salt builder1 wheelhouse.plan psycopg2
    """
    _known_arguments("plan", kwargs)
    words = ["plan", "--json"]
    for name, values in (("--python", python), ("--arch", arch)):
        for value in [values] if isinstance(values, (str, int, float)) else values:
            words += [name, _text(name[2:], value)]
    return _ask([*words, *([_text("a package", package) for package in packages] or ["--all"])])


def status():
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


def deliver():
    """Deliver the wheels that wait here for an index that was down.

    CLI Example:

    .. code-block:: bash

        salt '*' wheelhouse.deliver
    """
    return _ask(["spool", "retry", "--json"])


def version():
    """Return the version of the wheelhouse command.

    CLI Example:

    .. code-block:: bash

        salt '*' wheelhouse.version
    """
    ran = _run(["--version"])
    if ran["retcode"] != 0:
        raise CommandExecutionError(f"{_command()} --version: {ran['stderr'] or ran['stdout']}")
    return ran["stdout"].split()[-1]


def capabilities():
    """Return what can be built here and how much of it at once, as the farm asks for it: from the grains.

    CLI Example:

    .. code-block:: bash

        salt '*' wheelhouse.capabilities
    """
    grains = __grains__.get("wheelhouse")
    if not isinstance(grains, dict) or not grains.get("version"):
        raise CommandExecutionError(
            f"this minion has no grain `wheelhouse:version`: is there a wheelhouse command? (`{_command()}`)"
        )
    own = {"arch": __grains__.get("cpuarch"), "processors": __grains__.get("num_cpus")}
    return {**own, **grains, "root": _root()}


def _start(words, *, ticket, job, bundle, publish, timeout):
    root = _root()
    environment = {**_environment(), "WHEELHOUSE_STATE": os.path.join(root, "state"), "WHEELHOUSE_TICKET": ticket}
    if isinstance(publish, str):
        environment["TWINE_REPOSITORY_URL"] = publish
    told = __salt__["wheelhouse_jobs.look"](root, ticket)
    if told["state"] != "unknown":
        return told
    command = [_command(), "--dist", os.path.join(root, "dist")]
    prepared = None
    if bundle is not None:
        prepared = __salt__["wheelhouse_jobs.draft"](root, _unpack(bundle))
        command += ["--registry", "{registry}"]
    elif (registry := __salt__["config.get"]("wheelhouse:registry")) is not None:
        command += ["--registry", registry]
    return __salt__["wheelhouse_jobs.start"](
        root, ticket, [*command, *words], environment, timeout, job=job, prepared=prepared
    )


def _unpack(bundle):
    """Return the bytes of each file of a registry, by path."""
    try:
        files = {
            _text("a path", name): base64.b64decode(text, validate=True)
            for name, text in json.loads(_inflate(bundle)).items()
        }
    except (TypeError, AttributeError, ValueError, zlib.error, binascii.Error) as error:
        raise SaltInvocationError(f"`bundle` is none: {error}") from error
    if "wheelhouse.toml" not in files:
        raise SaltInvocationError("`bundle` has no wheelhouse.toml")
    return files


def _inflate(bundle):
    engine = zlib.decompressobj()
    text = engine.decompress(base64.b64decode(bundle, validate=True), BUNDLE_BYTES)
    if engine.unconsumed_tail:
        raise SaltInvocationError(f"`bundle` has more than {BUNDLE_BYTES} bytes")
    return text


def _text(name, value):
    """Return a text as it is. Raises SaltInvocationError for a number that YAML has made of it."""
    if isinstance(value, str):
        return value
    raise SaltInvocationError(
        f"{name} must be a text, and {value!r} came in as a {type(value).__name__}: YAML takes 1.10 for the number 1.1;"
        f" quote it twice, as in '\"1.10\"'"
    )


def _known_arguments(function, arguments):
    unknown = sorted(name for name in arguments if not name.startswith("__"))
    if unknown:
        raise SaltInvocationError(f"wheelhouse.{function} has no argument `{unknown[0]}`")


def _summary(told):
    """Return what people want to read of a build."""
    records = told.get("output") if isinstance(told.get("output"), list) else []
    jobs = {
        record["job"]: record["wheel"]["filename"]
        if record["status"] == "built"
        else f"failed: {(record.get('cause') or {}).get('message', 'no cause known')}"
        for record in records
    }
    short = {"ticket": told["ticket"], "state": told["state"], "jobs": jobs}
    good = told["state"] == "done" and told.get("status") == 0
    return short if good else {**short, "log": told.get("log", "").splitlines()[-20:]}


def _set_code(told):
    """Let Salt know how it ended: its own commands would exit with 0."""
    if told["state"] != "done":
        __context__["retcode"] = 1
    elif told["status"] != 0:
        __context__["retcode"] = told["status"]


def _root():
    return __salt__["config.get"]("wheelhouse:root") or os.path.join(__opts__["cachedir"], "wheelhouse")


def _command():
    chosen = __salt__["config.get"]("wheelhouse:command")
    return chosen or shutil.which("wheelhouse") or USUAL_COMMAND


def _environment():
    """Return the minion's own environment, without Salt's Python in it, and what pillar adds."""
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "SALT_", "LD_LIBRARY_PATH"))
    }
    chosen = __salt__["config.get"]("wheelhouse:environment") or {}
    return {**inherited, **{name: _text(f"wheelhouse:environment:{name}", value) for name, value in chosen.items()}}


def _run(words):
    return __salt__["cmd.run_all"](
        [_command(), *words],
        python_shell=False,
        env={**_environment(), "WHEELHOUSE_STATE": os.path.join(_root(), "state")},
        clean_env=True,
        cwd=_existing(_root()),
        timeout=_QUICK,
        output_loglevel="debug",
    )


def _existing(folder):
    os.makedirs(folder, mode=0o750, exist_ok=True)
    return folder


def _ask(words):
    """Run a command that prints JSON, and return what it says."""
    registry = __salt__["config.get"]("wheelhouse:registry")
    ran = _run([*(["--registry", registry] if registry else []), *words])
    try:
        said = json.loads(ran["stdout"])
    except ValueError:
        raise CommandExecutionError(f"wheelhouse {words[0]}: {ran['stderr'] or ran['stdout']}") from None
    __context__["retcode"] = ran["retcode"]
    return said
