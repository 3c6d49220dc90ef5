"""A folder in; the workflows of GitHub Actions for its registry out, as they come with wheelhouse."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wheelhouse import __version__
from wheelhouse.config import bundled
from wheelhouse.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_FOLDER = ".github/workflows"
#: What calls the others; wheelhouse's own takes wheelhouse from the checkout.
CALLER = "registry.yml"
_CALLED = ("wheels.yml", "wheels-stage.yml", "bump.yml")
_OWN = "wheelhouse: ."


def workflow_files(folder: Path) -> Mapping[Path, str]:
    """Return the workflows of a repository whose root is `folder`, with this version of wheelhouse.

    Raises UsageError where one of them would be overwritten.
    """
    files = {}
    for name in (CALLER, *_CALLED):
        path = folder / _FOLDER / name
        if path.exists():
            raise UsageError(f"{path} is there already, and nothing was changed", hint="move it away, or edit it")
        text = (bundled() / _FOLDER / name).read_text("utf-8")
        files[path] = text.replace(_OWN, f"wheelhouse: wheelhouse[attestations]=={__version__}")
    return files
