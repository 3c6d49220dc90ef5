"""The recipes that come with wheelhouse: sound as data, true to the index, and a few of them built."""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from packaging.version import Version

from wheelhouse.config import configured_index, index_url, load_config
from wheelhouse.job import make_jobs
from wheelhouse.recipe import load_recipe
from wheelhouse.registry import Registry
from wheelhouse.target import Selection, native_arch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wheelhouse.recipe import Recipe

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "recipes"
CONFIG = load_config(ROOT / "wheelhouse.toml")
PROJECTS = Registry(folder=FOLDER).projects()
#: What the benchmarks build, and other tools were measured with.
MEASURED = {
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
#: Built by hand only.
TOO_HEAVY = {"numpy"}
#: Statuses of a patch, as Yocto has them; the first two say where.
STATUS = re.compile(r"(Submitted|Backport) https://\S+|Pending|Inappropriate: \S.+")
PYTHON = f"cp{sys.version_info[0]}{sys.version_info[1]}"


@pytest.fixture(params=PROJECTS)
def recipe(request: pytest.FixtureRequest) -> Recipe:
    return load_recipe(FOLDER / request.param / "recipe.toml")


def test_recipes__all_load_and_every_folder_is_one() -> None:
    survey = Registry(folder=FOLDER).survey()

    assert survey.problems == ()
    assert {path.name for path in FOLDER.iterdir()} == set(survey.recipes)


def test_recipes__no_archive_stands_in_two_places() -> None:
    hashes = Counter(entry.sha256 for project in PROJECTS for entry in Registry(folder=FOLDER).recipe(project).version)

    assert [sha256 for sha256, count in hashes.items() if count > 1] == []


def test_recipes__what_the_benchmarks_build() -> None:
    registry = Registry(folder=FOLDER)

    lacking = [name for name, text in MEASURED.items() if Version(text) not in registry.recipe(name).versions]

    assert lacking == []


def test_recipes__ci_installs_the_libraries_of_those_it_builds() -> None:
    installed = set((ROOT / ".ci" / "debian-packages.txt").read_text().split())
    recipes = Registry(folder=FOLDER).survey().recipes

    built = [recipe for project, recipe in recipes.items() if project not in TOO_HEAVY]
    wanted = {name for recipe in built for name in recipe.system_packages.debian}

    assert wanted - installed == set()


def test_recipe__test_proves_that_the_wheel_works(recipe: Recipe) -> None:
    command = recipe.test.command

    assert command is not None
    for program in _python_programs(command):
        # It has to tell right from wrong by itself: an import alone is what `test.imports` is for.
        assert any(isinstance(node, ast.Assert) for node in ast.walk(ast.parse(program)))


def test_recipe__packages_for_every_image_family(recipe: Recipe) -> None:
    families = dict(recipe.system_packages)

    assert all(families.values()) or not any(families.values())


def test_recipe__patches_say_what_upstream_knows(recipe: Recipe) -> None:
    for patch in recipe.source.patches:
        assert STATUS.fullmatch(patch.upstream_status), patch.file


def test_recipe__patches_are_all_listed(recipe: Recipe) -> None:
    there = {path.name for path in recipe.folder.iterdir()}

    assert there == {"recipe.toml", *(patch.file for patch in recipe.source.patches)}


def test_recipe__newest_version_has_jobs_for_the_newest_pythons(recipe: Recipe) -> None:
    targets = Selection(build=CONFIG.targets.build, archs=frozenset({"x86_64"})).identifiers()

    jobs = make_jobs(recipe, next(iter(recipe.versions)), targets, CONFIG)

    assert {"cp312", "cp313", "cp314"} <= {str(job.target).partition("-")[0] for job in jobs}


@pytest.mark.network
def test_recipe__hashes_are_those_of_the_index(recipe: Recipe) -> None:
    import pypi_simple  # noqa: PLC0415 - the one test that asks

    with pypi_simple.PyPISimple(index_url(CONFIG, os.environ)) as index:
        page = index.get_project_page(recipe.project)

    published = {file.version: file.digests.get("sha256") for file in page.packages if file.package_type == "sdist"}
    assert {entry.version: entry.sha256 for entry in recipe.version} == {
        entry.version: published.get(entry.version) for entry in recipe.version
    }


def _registry(folder: Path, *projects: str, toolchain: str = "system") -> Path:
    """Return a registry of some of our recipes, with a state of its own."""
    index = configured_index(CONFIG, os.environ)
    (folder / "wheelhouse.toml").write_text(
        f'[build]\ntoolchain = "{toolchain}"\n' + (f'[index]\nurl = "{index}"\n' if index else "")
    )
    for project in projects:
        shutil.copytree(FOLDER / project, folder / "recipes" / project)
    return folder


def _build(registry: Path, *words: str) -> dict[str, Any]:
    """Build with the host builder, for the Python that runs the tests; return the one record."""
    target = f"{PYTHON}-manylinux_{native_arch()}"
    options = ["--only", target, "--builder", "host", "--json"]
    command = [sys.executable, "-m", "wheelhouse", "--registry", str(registry), "build", *words, *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (record,) = json.loads(done.stdout)
    assert isinstance(record, dict)
    return record


def _python_programs(command: str) -> Iterator[str]:
    """Yield what a shell command hands to `python -c`."""
    words = shlex.split(command)
    for before, word in pairwise(words):
        if before == "-c":
            yield word


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.skipif(sys.platform != "linux" or shutil.which("c++") is None, reason="needs Linux and a C++ compiler")
@pytest.mark.parametrize(
    ("project", "extension", "grafted"),
    [
        pytest.param("markupsafe", "markupsafe/_speedups.*.so", [], id="markupsafe: C"),
        pytest.param("msgpack", "msgpack/_cmsgpack.*.so", [], id="msgpack: C that Cython wrote"),
        pytest.param("kiwisolver", "kiwisolver/_cext.*.so", [], id="kiwisolver: C++"),
        pytest.param("webrtcvad", "_webrtcvad.*.so", [], id="webrtcvad: with a patch"),
        pytest.param("rpi-gpio", "RPi/_GPIO.*.so", [], id="rpi-gpio: runs on another machine only"),
        pytest.param(
            "pylibacl",
            "posix1e.*.so",
            ["libacl"],
            id="pylibacl: as recipe new wrote it",
            marks=pytest.mark.skipif(not Path("/usr/include/sys/acl.h").exists(), reason="needs libacl's headers"),
        ),
        pytest.param(
            "pyyaml",
            "yaml/_yaml.*.so",
            ["libyaml"],
            id="pyyaml: with a library",
            marks=pytest.mark.skipif(not Path("/usr/include/yaml.h").exists(), reason="needs libyaml's headers"),
        ),
    ],
)
def test_build__recipe_from_the_command_line(project: str, extension: str, grafted: list[str], tmp_path: Path) -> None:
    record = _build(_registry(tmp_path, project), project)

    assert (record["status"], record["executed"], record["builder"]) == ("built", True, "host")
    wheel = tmp_path / "dist" / record["wheel"]["filename"]
    assert re.search(rf"-{PYTHON}-{PYTHON}-\S*manylinux_2_\d+_\w+\.whl$", wheel.name)
    assert [re.split(r"[-.]", library["name"])[0] for library in record["grafted"]] == grafted
    names = subprocess.run([sys.executable, "-m", "zipfile", "-l", wheel], capture_output=True, text=True, check=True)
    assert re.search(rf"^{extension}", names.stdout, re.MULTILINE)


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.skipif(sys.platform != "linux" or shutil.which("cc") is None, reason="needs Linux and a C compiler")
def test_build__abi3_serves_every_python(tmp_path: Path) -> None:
    record = _build(_registry(tmp_path, "psutil"), "psutil")

    assert "-cp36-abi3-manylinux" in record["wheel"]["filename"]


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.skipif(sys.platform != "linux" or shutil.which("cc") is None, reason="needs Linux and a C compiler")
def test_build__older_version_of_a_recipe_and_the_same_bytes_again(tmp_path: Path) -> None:
    record = _build(_registry(tmp_path, "markupsafe"), "markupsafe==3.0.2", "--verify")

    assert record["status"] == "built"
    assert record["wheel"]["filename"].startswith("markupsafe-3.0.2-")
