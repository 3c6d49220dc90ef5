"""Ten packages, one Python: `pip wheel` in a loop against `wheelhouse build`, and a second run with nothing to do.

Run with `python benchmarks/ten_packages.py [--rounds N]`. `pip wheel` only builds; wheelhouse also repairs, checks and
import-tests. Each starts with warm caches of downloads, and wheelhouse of build environments, from one run that does
not count; neither has built wheels to fall back on. To reach: less CPU, at most 0.6 of the wall time on two processors,
nothing to do under 0.5 s of CPU.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from measure import Contender, compare, measure
from uv import find_uv_bin

TEN = {
    "markupsafe": "3.0.2",
    "pyyaml": "6.0.2",
    "cffi": "1.17.1",
    "msgpack": "1.1.0",
    "frozenlist": "1.5.0",
    "multidict": "6.1.0",
    "wrapt": "1.17.2",
    "psutil": "6.1.1",
    "ujson": "5.10.0",
    "lz4": "4.3.3",
}
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
REGISTRY = Path(__file__).parents[1]


def pip_loop(scratch: Path) -> Contender:
    """Return pip with a cache of its own, of which only the downloads outlive a run."""
    subprocess.run(
        [find_uv_bin(), "venv", "--quiet", "--seed", "--python", sys.executable, scratch / "pip"], check=True
    )
    cache = scratch / "pip-cache"
    wheel = f"{scratch}/pip/bin/python -m pip wheel -q --no-deps"
    loop = " && ".join(f"{wheel} --no-binary {name} {name}=={version} -w out" for name, version in TEN.items())
    return Contender(
        name="pip wheel, one after another",
        command=lambda _: ["sh", "-c", f"rm -rf {cache}/wheels && {loop}"],
        environment={"PIP_CACHE_DIR": str(cache), "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
    )


def wheelhouse(registry: Path) -> list[str]:
    """Return the command that builds the ten in a workspace."""
    packages = [f"{name}=={version}" for name, version in TEN.items()]
    return [
        *(sys.executable, "-m", "wheelhouse", "--registry", str(registry), "build", *packages),
        *("--builder", "host", "--python", PYTHON),
    ]


def copy_of_registry(folder: Path) -> Path:
    """Return a workspace that has built nothing yet."""
    shutil.copytree(REGISTRY / "recipes", folder / "recipes")
    shutil.copy(REGISTRY / "wheelhouse.toml", folder)
    return folder


def main() -> None:
    """Compare, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=1)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory(prefix="ten-") as name:
        scratch = Path(name)
        workspace = scratch / "workspace"
        workspace.mkdir()
        done = Contender(name="wheelhouse build", command=lambda _: wheelhouse(workspace))
        pip = pip_loop(scratch)
        measure(pip)
        copy_of_registry(workspace)
        measure(done)
        fresh = Contender(name="wheelhouse build", command=lambda folder: wheelhouse(copy_of_registry(folder)))
        compare("ten packages", [pip, fresh], rounds=rounds)
        compare("ten packages, nothing to do", [done], rounds=5)


if __name__ == "__main__":
    main()
