"""What several tests are handed: a container engine, and images made on the spot."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import dockerd
from images import debian
from wheelhouse.builders import Unavailable
from wheelhouse.builders.engine import Engine, find_engine
from wheelhouse.process import Processes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(scope="session")
def engine() -> Engine:
    """Give the engine of this machine; skip where none works."""
    found = find_engine(Processes(), os.environ)
    if isinstance(found, Unavailable):
        pytest.skip(f"no container engine: {found.reason}")
    return found


@pytest.fixture(scope="session")
def sysroot() -> Path:
    """Give a folder with Debian's Python for aarch64, to be run under emulation; skip where it cannot be made."""
    chosen = os.environ.get("WHEELHOUSE_SYSROOT_AARCH64")
    if chosen:
        return Path(chosen)
    missing = [program for program in ("mmdebstrap", "qemu-aarch64-static") if shutil.which(program) is None]
    if missing or os.geteuid() != 0:
        pytest.skip(f"no sysroot for aarch64: needs root, and {' and '.join(missing) or 'root'} is not here")
    return debian.ensure_sysroot("aarch64")


@pytest.fixture(scope="session")
def image_of(engine: Engine) -> Callable[[str], str]:
    """Give the reference of an image by its name in `images/debian.py`, made where it is missing."""

    def ensure(name: str) -> str:
        missing = debian.missing_for(name, engine)
        if missing:
            pytest.skip(f"the image {name} cannot be made or run here: {missing}")
        return debian.ensure(name, engine=engine.name)

    return ensure


@pytest.fixture(scope="session")
def docker() -> Iterator[Engine]:
    """Give a docker engine with a daemon of its own; skip where none runs."""
    if (missing := dockerd.missing()) is not None:
        pytest.skip(f"no docker: {missing}")
    with contextlib.ExitStack() as stack:
        # Not pytest's folder: the paths of a daemon's sockets have to be short.
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dockerd-")))
        try:
            engine = stack.enter_context(dockerd.running(folder))
        except dockerd.NotRunningError as error:
            pytest.skip(f"dockerd does not run here: {error}")
        yield engine
