"""Three Pythons of markupsafe, built, repaired, checked and import-tested: plain cibuildwheel, and both our builders.

Run as root with `python benchmarks/three_pythons.py [--rounds N]`; it needs podman and mmdebstrap, and
CPython 3.9, 3.11 and 3.13 on the machine for the host builder. All containers are of the same image, made on the spot.
To reach, by wall time: host at least 5x less than plain cibuildwheel with its test step, our container builder with
warm caches at least 4x.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from measure import Contender, compare

from wheelhouse import source
from wheelhouse.config import Config, index_url, user_cache
from wheelhouse.job import SourceSpec
from wheelhouse.registry import Registry

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from images.debian import ensure

REGISTRY = Path(__file__).parents[1]
PYTHONS = ("3.9", "3.11", "3.13")
ARCH = os.uname().machine
_CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
IDENTIFIERS = [f"cp{python.replace('.', '')}-manylinux_{ARCH}" for python in PYTHONS]


def sdist(folder: Path) -> Path:
    """Return markupsafe's sdist, from the cache that building it once has filled."""
    recipe = Registry(folder=REGISTRY / "recipes").recipe("markupsafe")
    version = next(iter(recipe.versions))
    spec = SourceSpec(project=recipe.project, version=version, sha256=recipe.versions[version].sha256, url=None)
    archive = source.fetch(spec, cache=user_cache(os.environ), index=lambda: index_url(Config(), os.environ))
    copy = folder / f"markupsafe-{version}.tar.gz"
    shutil.copy(archive, copy)
    assert hashlib.sha256(copy.read_bytes()).hexdigest() == spec.sha256
    return copy


def plain(archive: Path, image: str, frontend: str) -> Contender:
    volume = "--volume=/etc/ssl/certs:/etc/ssl/certs:ro"  # the host's certificates, where TLS is intercepted
    environment = {
        "CIBW_BUILD": " ".join(IDENTIFIERS),
        "CIBW_ARCHS": ARCH,
        "CIBW_CONTAINER_ENGINE": f"podman; create_args: --network=host {volume}",
        f"CIBW_MANYLINUX_{ARCH.upper()}_IMAGE": image,
        "CIBW_BUILD_FRONTEND": frontend,
        "CIBW_TEST_COMMAND": "python -c 'import markupsafe._speedups'",
        "CIBW_ENVIRONMENT": " ".join(f"{name}={_CERTIFICATES}" for name in ("PIP_CERT", "SSL_CERT_FILE")),
    }

    def command(folder: Path) -> list[str]:
        copy = Path(shutil.copy(archive, folder))
        return [sys.executable, "-m", "cibuildwheel", "--platform", "linux", "--output-dir", "out", str(copy)]

    return Contender(name=f"cibuildwheel, front end {frontend}", command=command, environment=environment)


def ours(builder: str, image: str) -> Contender:
    def command(folder: Path) -> list[str]:
        shutil.copytree(REGISTRY / "recipes" / "markupsafe", folder / "recipes" / "markupsafe")
        (folder / "wheelhouse.toml").write_text(f'[images]\nmanylinux_{ARCH} = "{image}"\n')
        only = [word for identifier in IDENTIFIERS for word in ("--only", identifier)]
        return [sys.executable, "-m", "wheelhouse", "build", "markupsafe", "--builder", builder, *only]

    return Contender(name=f"wheelhouse, {builder}", command=command)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    image = ensure(f"trixie-{ARCH}")
    with tempfile.TemporaryDirectory(prefix="three-") as name:
        archive = sdist(Path(name))
        warm = Path(name) / "warm"
        for builder in ("host", "cibuildwheel"):
            warm.mkdir()
            subprocess.run(ours(builder, image).command(warm), cwd=warm, check=True)
            shutil.rmtree(warm)
        compare(
            "three Pythons of markupsafe, with a test of each",
            [
                plain(archive, image, "build"),
                plain(archive, image, "build[uv]"),
                ours("host", image),
                ours("cibuildwheel", image),
            ],
            rounds=rounds,
        )


if __name__ == "__main__":
    main()
