"""An image's Python and build requirements in, a folder of them installed out: mounted into builds, never written to.

Installed once by that very Python, with bytecode, in a container without network, and kept in the cache. Installing
and compiling setuptools anew in each container costs more than a small extension does.
"""

from __future__ import annotations

import hashlib
import json
import shlex
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wheelhouse.builders.cibuildwheel_config import INPUTS, INSTALLED, LIST, REQUIREMENTS
from wheelhouse.builders.engine import oci_platform
from wheelhouse.builders.kept import kept_folder
from wheelhouse.errors import MachineError
from wheelhouse.process import Failure

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from wheelhouse.builders.engine import Engine
    from wheelhouse.builders.image import Contents, Image
    from wheelhouse.joblog import JobLog
    from wheelhouse.process import Processes
    from wheelhouse.requirements import Requirements

#: Raised when folders are made otherwise.
_FORMAT = 1
#: The folder is on PYTHONPATH, whose entries' `.pth` files Python does not read by itself.
_SITE = "import os, site; site.addsitedir(os.path.dirname(__file__))"
_INSTALL = {
    "uv": "uv pip install --quiet --no-index --no-deps --require-hashes --compile-bytecode"
    " --python {python} --target {target} --find-links {wheels} -r {listed}",
    "build": "{python} -m pip install --quiet --no-index --no-deps --require-hashes --compile"
    " --target {target} --find-links {wheels} -r {listed}",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """What installing takes, for one build."""

    engine: Engine
    image: Image
    contents: Contents
    processes: Processes
    cache: Path
    log: JobLog
    deadline: float
    """Of the monotonic clock."""

    def folder(self, python: str, requirements: Requirements, inputs: Path) -> Path:
        """Return the folder for a Python (`/opt/python/cp313-cp313`) of the image; `inputs` holds the list of pins.

        Raises MachineError where they cannot be installed, and what `Processes.run` raises.
        """
        return kept_folder(
            self.cache / "installed",
            _digest(self.image, python, requirements),
            lambda target: self._install(target, python, requirements, inputs),
            go_on=self.processes.go_on,
        )

    def _install(self, target: Path, python: str, requirements: Requirements, inputs: Path) -> None:
        image = self.image
        fetched = python not in self.contents.pythons
        command = _INSTALL["uv" if self.contents.uv else "build"].format(
            python=f"{python}/bin/python", target=INSTALLED, wheels=REQUIREMENTS, listed=f"{INPUTS}/{LIST}"
        )
        script = [
            *([f"manylinux-interpreters ensure {shlex.quote(python.rsplit('/', 1)[1])}"] if fetched else []),
            f"mkdir -p {INSTALLED}",
            command,
            f"echo {shlex.quote(_SITE)} > {INSTALLED}/sitecustomize.py",
        ]
        name = f"wheelhouse-installs-{hashlib.sha256(str(target).encode()).hexdigest()[:32]}"
        run = self.engine.run_command(
            image.reference,
            ["sh", "-ec", "\n".join(script)],
            volumes={requirements.folder.absolute(): REQUIREMENTS, inputs.absolute(): INPUTS},
            network=fetched,
            platform=oci_platform(image.arch),
            # Nobody changes what lies in the cache, so no import has to look whether it is as it was.
            env={"PYC_INVALIDATION_MODE": "UNCHECKED_HASH", "UV_NO_CONFIG": "1", "UV_PYTHON_DOWNLOADS": "never"},
            name=name,
            keep=True,
        )
        try:
            self._run(run)
            self._run([self.engine.name, "cp", f"{name}:{INSTALLED}/.", target])
        except Failure as failure:
            raise MachineError(
                f"the build requirements cannot be installed in {image.reference}: {failure}",
                hint="the log has what the installer said",
            ) from failure
        finally:
            self.engine.remove_named(name)

    def _run(self, command: Sequence[str | Path]) -> None:
        left = max(self.deadline - time.monotonic(), 0.1)
        self.processes.run(command, env=self.engine.environment, log=self.log.path, timeout=left)


def _digest(image: Image, python: str, requirements: Requirements) -> str:
    pins = [[pin.filename, pin.sha256] for pin in requirements.lock.pins]
    return hashlib.sha256(json.dumps([_FORMAT, image.digest, python, pins]).encode()).hexdigest()
