"""What tests of our workflows share: a git repository that `init --github` has filled, and uv for its jobs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from uv import find_uv_bin

from index_server import wheelhouse as command
from wheelhouse import __version__

ROOT = Path(__file__).parents[1]
#: What the jobs install in place of the release that `init --github` names: this checkout.
REQUIREMENT = f"wheelhouse[attestations] @ {ROOT.as_uri()}"


def git(folder: Path, *words: str) -> str:
    settings = ("-c", "user.name=Test", "-c", "user.email=test@example.invalid", "-c", "init.defaultBranch=main")
    done = subprocess.run(["git", "-C", folder, *settings, *words], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def output_of(*words: str) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()


def make_repository(registry: Path) -> Path:
    """Make a git repository of a registry, with the workflows as they are written but for what they install."""
    command(registry, "init", str(registry), "--github")
    caller = registry / ".github/workflows/registry.yml"
    text, released = caller.read_text("utf-8"), f"wheelhouse: wheelhouse[attestations]=={__version__}\n"
    assert text.count(released) == 2
    caller.write_text(text.replace(released, f"wheelhouse: {REQUIREMENT}\n"))
    (registry / ".gitignore").write_text("/dist/\n/.wheelhouse/\n")
    git(registry, "init", "-q")
    git(registry, "add", ".")
    git(registry, "commit", "-q", "-m", "Begin")
    return registry


def environment_of_jobs(folder: Path, **more: str) -> dict[str, str]:
    """Return what jobs have around them: uv and a folder for what it installs, shared by all of them."""
    tools = folder / "bin"
    return {
        **{key: value for key, value in os.environ.items() if not key.startswith(("GITHUB_", "WHEELHOUSE_"))},
        "PATH": os.pathsep.join([str(tools), str(Path(find_uv_bin()).parent), os.environ["PATH"]]),
        "UV_TOOL_DIR": str(folder / "tools"),
        "UV_TOOL_BIN_DIR": str(tools),
        "UV_PYTHON": sys.executable,
        "UV_CACHE_DIR": os.environ.get("UV_CACHE_DIR") or output_of(find_uv_bin(), "cache", "dir"),
        "WHEELHOUSE_CACHE": str(folder / "downloads"),
        "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
        **more,
    }
