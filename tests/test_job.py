from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from packaging.version import Version

from recipes import HASH, read, write_recipe
from wheelhouse.config import Config
from wheelhouse.errors import InvalidFileError
from wheelhouse.job import Job, make_job, make_jobs
from wheelhouse.recipe import load_recipe
from wheelhouse.target import BuildIdentifier, Selection

if TYPE_CHECKING:
    from pathlib import Path

    from wheelhouse.recipe import Recipe

GLIBC = "cp313-manylinux_x86_64"
MUSL = "cp313-musllinux_x86_64"


def _job(recipe: Recipe, target: str = GLIBC, config: Config | None = None, version: str = "1.2") -> Job:
    job = make_job(recipe, Version(version), BuildIdentifier.parse(target), config or Config())
    assert job is not None
    return job


def test_make_job__overrides_win_key_by_key_and_variable_by_variable(tmp_path: Path) -> None:
    recipe = read(
        tmp_path,
        """
        [build]
        environment = { A = "1", B = "1" }
        requires = ["cython"]
        [cibuildwheel]
        before-all = "a"
        before-build = "b"
        [[override]]
        select = "*-musllinux_*"
        reason = "x"
        build.environment = { B = "2" }
        cibuildwheel.before-build = "c"
        test.command = "true"
        [[override]]
        select = "cp313-*"
        when-version = ">=1"
        reason = "x"
        build.environment = { B = "3", C = "3" }
        [[override]]
        when-version = "<1"
        reason = "not this one"
        build.environment = { A = "9" }
        """,
    )

    job = _job(recipe, MUSL)

    assert job.environment == {"A": "1", "B": "3", "C": "3"}
    assert job.requires == ("cython",)
    assert job.cibuildwheel == {"before-all": "a", "before-build": "c"}
    assert job.test.command == "true"
    assert job.test.imports == ("demo",)
    assert _job(recipe, "cp312-manylinux_x86_64").environment == {"A": "1", "B": "1"}


def test_make_job__skip(tmp_path: Path) -> None:
    recipe = read(tmp_path, '[[override]]\nselect = "*-musllinux_*"\nreason = "x"\nskip = true')

    assert make_job(recipe, Version("1.2"), BuildIdentifier.parse(MUSL), Config()) is None
    assert _job(recipe).id == "demo-1.2-cp313-manylinux_x86_64"


def test_make_job__recipe_before_config(tmp_path: Path) -> None:
    config = Config.model_validate(
        {
            "build": {"timeout": "5m", "toolchain": "zig"},
            "repair": {"strip": False},
            "images": {"manylinux_x86_64": "i"},
        }
    )
    plain = _job(read(tmp_path), config=config)
    own = _job(
        read(
            tmp_path,
            '[build]\ntoolchain = "system"\n[repair]\nstrip = true\n[resources]\ntimeout = "1h"\nmemory = "2 GB"',
        ),
        config=config,
    )

    assert (plain.timeout, plain.toolchain, plain.repair.strip, plain.image, plain.memory) == (
        300.0,
        "zig",
        False,
        "i",
        0,
    )
    assert (own.timeout, own.toolchain, own.repair.strip, own.memory) == (3600.0, "system", True, 2_000_000_000)


@pytest.mark.parametrize(
    ("target", "image"),
    [
        (GLIBC, "linux"),
        ("pp311-manylinux_x86_64", "pypy"),
        ("cp313-manylinux_aarch64", "aarch64"),
        (MUSL, "config"),
        ("cp313-musllinux_aarch64", None),
        ("cp313-macosx_arm64", None),
    ],
)
def test_make_job__image(tmp_path: Path, target: str, image: str | None) -> None:
    recipe = read(
        tmp_path,
        """
        [cibuildwheel]
        before-build = "x"
        manylinux-x86_64-image = "general"
        manylinux-aarch64-image = "aarch64"
        manylinux-pypy_x86_64-image = "pypy"
        linux.manylinux-x86_64-image = "linux"
        """,
    )
    config = Config.model_validate({"images": {"manylinux_x86_64": "config", "musllinux_x86_64": "config"}})

    job = _job(recipe, target, config)

    assert job.image == image
    assert job.cibuildwheel == {"before-build": "x"}


def test_make_job__source_as_the_address_spells_it(tmp_path: Path) -> None:
    versions = f'[[version]]\nversion = "2024.01.0"\nsha256 = "{HASH}"\n'
    recipe = read(tmp_path, '[source]\nurl = "https://x/{name}-{version}.tar.gz"', versions=versions)

    job = _job(recipe, version="2024.1.0")

    assert job.source.url == "https://x/demo-2024.01.0.tar.gz"
    assert str(job.version) == "2024.1.0"


def test_make_job__patches_of_the_version_are_in_the_digest(tmp_path: Path) -> None:
    path = write_recipe(
        tmp_path,
        """
        [source]
        patches = [
          { file = "old.patch", when-version = "<1", upstream-status = "Pending" },
          { file = "new.patch", when-version = ">=1", upstream-status = "Pending" },
        ]
        """,
    )
    (path.parent / "old.patch").write_text("old")
    (path.parent / "new.patch").write_text("new")

    source = _job(load_recipe(path)).source

    assert [(patch.path.name, patch.sha256) for patch in source.patches] == [
        ("new.patch", hashlib.sha256(b"new").hexdigest())
    ]
    assert source.digest != replace(source, patches=()).digest == HASH


def test_make_job__patch_that_went_away(tmp_path: Path) -> None:
    path = write_recipe(tmp_path, '[source]\npatches = [{ file = "a.patch", upstream-status = "Pending" }]')
    patch = path.parent / "a.patch"
    patch.touch()
    recipe = load_recipe(path)
    patch.unlink()

    with pytest.raises(InvalidFileError, match=r"a\.patch: cannot be read: No such file"):
        _job(recipe)


def test_make_jobs__the_same_as_one_by_one(tmp_path: Path) -> None:
    recipe = read(
        tmp_path,
        """
        [[override]]
        select = "*-musllinux_*"
        reason = "x"
        test.command = "true"
        [[override]]
        select = "cp312-*"
        reason = "x"
        skip = true
        [[override]]
        select = "*_aarch64"
        reason = "x"
        repair.exclude = ["libx.so"]
        """,
    )
    targets = Selection(build=("cp312-*", "cp313-*")).identifiers()

    jobs = make_jobs(recipe, Version("1.2"), targets, Config())

    one_by_one = [make_job(recipe, Version("1.2"), target, Config()) for target in targets]
    assert list(jobs) == [job for job in one_by_one if job is not None]
    assert 0 < len(jobs) < len(targets)


_LEFT_OUT = '[resources]\ntimeout = "1h"\nmemory = "1 GB"\n[test]\ncommand = "x"\n[repair]\nallow-grafted = ["libpq"]\n'


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (_LEFT_OUT, None),
        ('[system-packages]\ndebian = ["libpq-dev"]', "recipe.system-packages"),
        ('[build]\nrequires = ["a"]', "recipe.build.requires"),
        ('[build]\nconstraints = ["a"]', "recipe.build.constraints"),
        ('[build]\nenvironment = { A = "b" }', "recipe.build.environment"),
        ('[build]\nconfig-settings = { a = "b" }', "recipe.build.config-settings"),
        ('[build]\ntoolchain = "system"', "recipe.build.toolchain"),
        ('[cibuildwheel]\nbefore-all = "x"', "recipe.cibuildwheel"),
        ('[repair]\nexclude = ["x"]', "recipe.repair.exclude"),
        ("[repair]\nstrip = false", "recipe.repair.strip"),
        ('[source]\nsubdirectory = "x"', "source.subdirectory"),
    ],
)
def test_recipe_inputs__what_decides_the_bytes(tmp_path: Path, text: str, name: str | None) -> None:
    before = _job(read(tmp_path)).recipe_inputs()
    after = _job(read(tmp_path, text)).recipe_inputs()

    changed = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}

    assert changed == (set() if name is None else {name})
