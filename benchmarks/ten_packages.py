"""Ten packages, one Python: `pip wheel` in a loop against `wheelhouse build`, and a second run with nothing to do.

Run with `python benchmarks/ten_packages.py [--rounds N]`. `pip wheel` only builds; wheelhouse also repairs, checks and import-tests.
Both start with warm download caches. To reach: less CPU, at most 0.6 of the wall time on two processors, nothing to do
under 0.5 s of CPU.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from measure import Contender, compare

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


def pip_loop(folder: Path) -> list[str]:
    loop = "; ".join(
        f"{sys.executable} -m pip wheel -q --no-deps --no-binary {name} {name}=={version} -w {folder}/out || exit 1"
        for name, version in TEN.items()
    )
    return ["sh", "-c", loop]


def wheelhouse(registry: Path) -> list[str]:
    packages = [f"{name}=={version}" for name, version in TEN.items()]
    return [
        *(sys.executable, "-m", "wheelhouse", "--registry", str(registry), "--dist", str(registry / "dist")),
        *("build", *packages, "--builder", "host", "--python", PYTHON),
    ]


def copy_of_registry(folder: Path) -> Path:
    """Return a workspace that has built nothing yet."""
    shutil.copytree(REGISTRY / "recipes", folder / "recipes")
    shutil.copy(REGISTRY / "wheelhouse.toml", folder)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=1)
    rounds = parser.parse_args().rounds
    done = copy_of_registry(Path(tempfile.mkdtemp(prefix="ten-")))
    compare(
        "ten packages, built (the first run of wheelhouse also warms its cache of sources and build requirements)",
        [
            Contender(name="pip wheel, one after another", command=pip_loop),
            Contender(name="wheelhouse build", command=lambda folder: wheelhouse(copy_of_registry(folder))),
        ],
        rounds=rounds,
    )
    compare("into the workspace of the next", [Contender(name="wheelhouse build", command=lambda _: wheelhouse(done))], rounds=1)
    compare("nothing to do", [Contender(name="wheelhouse build", command=lambda _: wheelhouse(done))], rounds=5)
    shutil.rmtree(done)


if __name__ == "__main__":
    main()
