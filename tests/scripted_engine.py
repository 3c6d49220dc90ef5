"""A container engine that is a shell script: it answers as it is told, and notes what it was asked in `asked`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wheelhouse.builders.engine import Engine

if TYPE_CHECKING:
    from pathlib import Path


def scripted_engine(folder: Path, script: str) -> Engine:
    """Write the engine into a folder."""
    program = folder / "podman"
    program.write_text(f'#!/bin/sh\necho "$@" >> {folder}/asked\n{script}\n')
    program.chmod(0o755)
    path = f"{folder}:/usr/bin:/bin"
    return Engine(name="podman", version="5", arch="x86_64", remote=False, environment={"PATH": path})
