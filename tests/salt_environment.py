"""Salt in an environment of its own, with our extension in it: `WHEELHOUSE_TEST_SALT`, or made once and kept.

Salt pins libraries that wheelhouse's own cannot live with, is an sdist, and takes minutes to install. So the big
environment is made once for each release of Salt and Python, in `WHEELHOUSE_TEST_CACHE` (default: the user's cache
folder). Ours is a small one on top of it, made anew whenever a file of the extension has changed; the big one is never
written to.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs
import pytest
from filelock import FileLock
from uv import find_uv_bin

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).parents[1]
EXTENSION = ROOT / "saltext"
FORMULA = ROOT / "salt"
#: The release that the tests are for; another one is chosen by an environment that has it.
SALT = "salt>=3008.3,<3009"
#: Seconds that an sdist with its dependencies may take on a busy machine.
_PATIENCE = 1200


class NoSaltError(Exception):
    """Salt cannot be had here."""


def ensure_salt() -> Path:
    """Return an environment with Salt, its commands, and the extension from a wheel. Raises NoSaltError."""
    salt = _salt()
    name = hashlib.sha256(f"{salt}\n{_digest(EXTENSION)}".encode()).hexdigest()[:16]
    folder = _cache() / f"saltext-{name}"
    with FileLock(f"{folder}.lock"):
        if not folder.is_dir():
            _forget_older(folder)
            _extend(salt, folder)
    return folder


def salt_or_skip() -> Path:
    """Return the environment; skip with the reason where there is none."""
    try:
        return ensure_salt()
    except NoSaltError as error:
        pytest.skip(f"no Salt: {error}")


def _salt() -> Path:
    chosen = os.environ.get("WHEELHOUSE_TEST_SALT")
    if chosen:
        folder = Path(chosen).absolute()
        if not (folder / "bin/salt-call").is_file():
            raise NoSaltError(f"WHEELHOUSE_TEST_SALT names {folder}, which has no bin/salt-call")
        return folder
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    folder = _cache() / f"salt-{hashlib.sha256(SALT.encode()).hexdigest()[:8]}-py{python}"
    with FileLock(f"{folder}.lock"):
        if not (folder / ".complete").is_file():
            shutil.rmtree(folder, ignore_errors=True)
            _run([find_uv_bin(), "venv", "--quiet", "--python", sys.executable, str(folder)])
            _run([find_uv_bin(), "pip", "install", "--quiet", "--python", str(folder / "bin/python"), SALT])
            (folder / ".complete").touch()
    return folder


def _extend(salt: Path, folder: Path) -> None:
    """Make an environment that sees all of Salt's and has the extension's wheel."""
    draft = folder.with_suffix(".draft")
    shutil.rmtree(draft, ignore_errors=True)
    python = str(draft / "bin/python")
    _run([find_uv_bin(), "venv", "--quiet", "--relocatable", "--python", str(salt / "bin/python"), str(draft)])
    with tempfile.TemporaryDirectory() as made:
        _run([find_uv_bin(), "build", "--quiet", "--wheel", "--out-dir", made, str(EXTENSION)])
        (wheel,) = Path(made).glob("*.whl")
        _run([find_uv_bin(), "pip", "install", "--quiet", "--no-deps", "--python", python, str(wheel)])
    (below,) = (salt / "lib").glob("python3*/site-packages")
    (above,) = (draft / "lib").glob("python3*/site-packages")
    (above / "salt-below.pth").write_text(f"import site; site.addsitedir({str(below)!r})\n")
    for script in (salt / "bin").glob("salt*"):
        text = script.read_text("utf-8").replace(f"{salt}/bin/", f"{folder}/bin/")
        (draft / "bin" / script.name).write_text(text, "utf-8")
        (draft / "bin" / script.name).chmod(0o755)
    draft.rename(folder)


def _run(command: Sequence[str]) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=_PATIENCE)
    except subprocess.CalledProcessError as error:
        last = [line for line in error.stderr.splitlines() if line.strip()][-1:]
        raise NoSaltError(f"{Path(command[0]).name} {command[1]} failed: {' '.join(last)}") from error
    except subprocess.TimeoutExpired as error:
        raise NoSaltError(f"{Path(command[0]).name} {command[1]} took longer than {_PATIENCE} s") from error


def _digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(f"{path.relative_to(folder)}\0{path.stat().st_size}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def _forget_older(folder: Path) -> None:
    """Keep the last few, since tests of other work trees may be using theirs."""
    older = sorted(folder.parent.glob("saltext-*/"), key=lambda path: path.stat().st_mtime)
    for stale in older[:-8]:
        shutil.rmtree(stale, ignore_errors=True)


def _cache() -> Path:
    chosen = os.environ.get("WHEELHOUSE_TEST_CACHE")
    folder = Path(chosen) if chosen else Path(platformdirs.user_cache_dir("wheelhouse-tests", appauthor=False))
    folder.mkdir(parents=True, exist_ok=True)
    return folder
