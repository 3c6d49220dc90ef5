"""What this minion can build with, as `wheelhouse machine` tells it: the grain `wheelhouse`, where there is a command.

It is asked for once an hour at most, and again when the command or a container engine came or changed: grains are
gathered often.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    __opts__: dict[str, Any]

#: Where the formula installs it.
_USUAL_COMMAND = "/opt/wheelhouse/bin/wheelhouse"
_KEPT = 3600
_PATIENCE = 60


def main() -> dict[str, dict[str, Any]]:
    """Return the grain."""
    settings = __opts__.get("wheelhouse")
    chosen = settings.get("command") if isinstance(settings, dict) else None
    command = chosen or shutil.which("wheelhouse") or _USUAL_COMMAND
    try:
        status = Path(command).stat()
    except OSError:
        return {}
    engines = [shutil.which(engine) for engine in ("podman", "docker")]
    stamp = f"{command} {status.st_mtime_ns} {status.st_ino} {engines}"
    memory = Path(__opts__["cachedir"]) / "wheelhouse-grains.json"
    known = _read(memory)
    if known is None or known.get("stamp") != stamp or abs(time.time() - known.get("asked", 0)) > _KEPT:
        told = _ask(command)
        if told is None:
            return {}
        known = {"stamp": stamp, "asked": time.time(), "told": told}
        _write(memory, known)
    return {"wheelhouse": known["told"]}


def _ask(command: str) -> dict[str, Any] | None:
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "LD_LIBRARY_PATH"))
    }
    try:
        ran = subprocess.run(
            [command, "machine", "--json"],
            capture_output=True,
            check=True,
            cwd="/",
            env=environment,
            stdin=subprocess.DEVNULL,
            timeout=_PATIENCE,
        )
        told = json.loads(ran.stdout)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return told if isinstance(told, dict) else None


def _read(path: Path) -> dict[str, Any] | None:
    try:
        known = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return known if isinstance(known, dict) else None


def _write(path: Path, known: dict[str, Any]) -> None:
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    draft.write_text(json.dumps(known), "utf-8")
    draft.replace(path)
