"""On the master: what `wheelhouse build --farm salt` would do, and what its builders are doing.

The master's configuration may have, below `wheelhouse`, the `command` and the `registry` of the builds.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import salt.client
from salt.exceptions import CommandExecutionError, SaltInvocationError

if TYPE_CHECKING:
    __opts__: dict[str, Any]

_USUAL_COMMAND = "/opt/wheelhouse/bin/wheelhouse"
_BUILDERS = "G@wheelhouse:version:*"


def plan(*packages: str, python: str | None = None, arch: str | None = None, **kwargs: Any) -> list[dict[str, Any]]:
    """Return what would be built on the minions, job by job: where, and why, or why nowhere.

    CLI Example:

    .. code-block:: bash

        salt-run wheelhouse.plan
        salt-run wheelhouse.plan psycopg2 arch=aarch64
    """
    unknown = sorted(name for name in kwargs if not name.startswith("__"))
    if unknown:
        message = f"wheelhouse.plan has no argument `{unknown[0]}`"
        raise SaltInvocationError(message)
    words = ["plan", "--farm", "salt", "--json"]
    for name, value in (("--python", python), ("--arch", arch)):
        words += [name, _text(name[2:], value)] if value is not None else []
    told = _ask([*words, *(["--", *(_text("a package", package) for package in packages)] if packages else ["--all"])])
    return told if isinstance(told, list) else [told]


def status(tgt: str = _BUILDERS, tgt_type: str = "compound", timeout: int = 20) -> dict[str, Any]:
    """Return what the builders are doing and how their last jobs ended; `None` for one that does not answer.

    CLI Example:

    .. code-block:: bash

        salt-run wheelhouse.status
        salt-run wheelhouse.status 'builder*' tgt_type=glob
    """
    client = salt.client.LocalClient(__opts__["conf_file"])
    with client as asked:
        told = asked.cmd(tgt, "wheelhouse.status", tgt_type=tgt_type, timeout=timeout, full_return=True)
    return {
        minion: one["ret"] if isinstance(one, dict) and one.get("retcode") == 0 else None
        for minion, one in told.items()
    }


def _text(name: str, value: object) -> str:
    if isinstance(value, str):
        return value
    message = (
        f"{name} must be a text, and {value!r} came in as a {type(value).__name__}: YAML takes 1.10 for the number 1.1;"
        " quote it twice, as in '\"1.10\"'"
    )
    raise SaltInvocationError(message)


def _ask(words: list[str]) -> Any:
    settings = __opts__.get("wheelhouse") or {}
    command = settings.get("command") or shutil.which("wheelhouse") or _USUAL_COMMAND
    registry = settings.get("registry")
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "LD_LIBRARY_PATH"))
    }
    try:
        ran = subprocess.run(
            [command, *(["--registry", registry] if registry else []), *words],
            capture_output=True,
            check=False,
            env=environment,
            stdin=subprocess.DEVNULL,
            text=True,
        )
        return json.loads(ran.stdout)
    except FileNotFoundError:
        message = f"there is no {command}: `wheelhouse:command` in the master's configuration names it"
        raise CommandExecutionError(message) from None
    except ValueError:
        message = f"wheelhouse {words[0]}: {ran.stderr.strip() or ran.stdout.strip()}"
        raise CommandExecutionError(message) from None
