"""A local image in, the system packages in it out, name to version: asked once an image, remembered by its digest."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING

from wheelhouse.builders.engine import oci_platform
from wheelhouse.builders.image import PROBE_SECONDS, last_line
from wheelhouse.errors import MachineError
from wheelhouse.record import write_atomically

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from wheelhouse.builders.engine import Engine
    from wheelhouse.builders.image import Family, Image
    from wheelhouse.process import Processes

#: One package a line. What was removed but for its settings is none.
_QUERIES: Mapping[Family, str] = {
    "debian": "dpkg-query -W -f '${db:Status-Abbrev} ${Package}=${Version}\\n' | sed -n 's/^[ih]. *//p'",
    # apk says `libpq-15.3-r0`, where neither version nor release has a dash.
    "musllinux": "apk info -v 2>/dev/null | sed 's/-\\([^-]*-r[0-9]*\\)$/=\\1/'",
    "manylinux": "rpm -qa --qf '%{NAME}=%{VERSION}-%{RELEASE}\\n'",
}


class PackageLists:
    """What the images of one engine have installed."""

    def __init__(self, engine: Engine, processes: Processes, cache: Path) -> None:
        self._engine = engine
        self._processes = processes
        self._memory = cache / "images"

    def recall(self, digest: str) -> Mapping[str, str] | None:
        """Return what is remembered of an image; None: it was never asked. Starts no process."""
        with contextlib.suppress(OSError, ValueError):
            table = json.loads(self._place(digest).read_bytes())
            if isinstance(table, dict):
                return {str(name): str(version) for name, version in table.items()}
        return None

    def read(self, image: Image, family: Family) -> Mapping[str, str]:
        """Return what an image has installed. Raises MachineError where it does not say."""
        assert image.digest is not None  # noqa: S101 - a local image has one
        if (known := self.recall(image.digest)) is not None:
            return known
        command = self._engine.run_command(
            image.digest, ["sh", "-c", _QUERIES[family]], platform=oci_platform(image.arch)
        )
        said = self._processes.run(command, env=self._engine.environment, check=False, timeout=PROBE_SECONDS)
        if said.returncode != 0:
            raise MachineError(
                f"the image {image.reference} does not say which packages it has: {last_line(said.output)}",
                hint="its package manager must work",
            )
        found: dict[str, str] = {}
        for line in said.output.splitlines():
            name, separator, version = line.partition("=")
            if separator:  # a package may be installed for two architectures
                found[name] = f"{found[name]}, {version}" if found.get(name, version) != version else version
        write_atomically(self._place(image.digest), json.dumps(found, sort_keys=True).encode())
        return found

    def _place(self, digest: str) -> Path:
        return self._memory / f"{digest.removeprefix('sha256:')}.packages.json"
