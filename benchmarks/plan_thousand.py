"""Plan 1,000 recipes for 16 build identifiers each: must take under 2 s.

Run with `python benchmarks/plan_thousand.py`. The plan prints JSON, and nothing was ever built. Once with the builder
that is chosen by itself (a container engine, if there is one, is asked which images are there), once with the host
builder; and `recipe lint` over the same recipes.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from measure import Contender, compare

RECIPES = 1000
RECIPE = """
[package]
name = "{name}"

[[version]]
version = "1.0"
sha256 = "{digest}"

[system-packages]
manylinux = ["libfoo-devel"]
debian = ["libfoo-dev"]

[repair]
allow-grafted = ["libfoo"]

[test]
imports = ["{module}._native"]
"""
TARGETS = """
[targets]
build = ["cp311-*", "cp312-*", "cp313-*", "cp314-*"]
archs = ["x86_64", "aarch64"]
"""


def registry(folder: Path) -> Path:
    """Write a registry of 1,000 recipes; with two architectures and two libcs each has 16 build identifiers."""
    (folder / "wheelhouse.toml").write_text(TARGETS)
    for number in range(RECIPES):
        name = f"project-{number:04}"
        path = folder / "recipes" / name / "recipe.toml"
        path.parent.mkdir(parents=True)
        path.write_text(RECIPE.format(name=name, module=name.replace("-", "_"), digest=f"{number:064x}"))
    return folder


def main() -> None:
    folder = registry(Path(tempfile.mkdtemp(prefix="plan-")))
    wheelhouse = [sys.executable, "-m", "wheelhouse", "--registry", str(folder)]
    try:
        compare(
            f"{RECIPES} recipes x 16 build identifiers",
            [
                Contender(name="wheelhouse plan --all", command=lambda _: [*wheelhouse, "plan", "--all", "--json"]),
                Contender(
                    name="wheelhouse plan --all --builder host",
                    command=lambda _: [*wheelhouse, "plan", "--all", "--json", "--builder", "host"],
                ),
                Contender(name="wheelhouse recipe lint", command=lambda _: [*wheelhouse, "recipe", "lint"]),
            ],
        )
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
