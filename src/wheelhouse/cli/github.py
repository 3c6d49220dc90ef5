"""What a step of GitHub Actions tells the steps after it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from wheelhouse.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping


def outputs_file() -> Path:
    """Return the file that takes the outputs of this step. Raises UsageError outside of GitHub Actions."""
    name = os.environ.get("GITHUB_OUTPUT")
    if not name:
        raise UsageError(
            "GITHUB_OUTPUT names no file", hint="--github-output is for jobs of GitHub Actions; see --json"
        )
    return Path(name)


def write_outputs(file: Path, outputs: Mapping[str, str]) -> None:
    """Append outputs, whatever stands in them."""
    import secrets  # noqa: PLC0415 - start-up time

    end = secrets.token_hex(16)  # nothing that stands in a value can end it
    with file.open("a", encoding="utf-8") as stream:
        stream.writelines(f"{name}<<{end}\n{value}\n{end}\n" for name, value in outputs.items())
