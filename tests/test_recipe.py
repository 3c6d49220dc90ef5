from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from packaging.version import Version

from recipes import HASH, VERSION, problems_of, read, write_recipe
from wheelhouse.recipe import load_recipe

if TYPE_CHECKING:
    from pathlib import Path


def _version(text: str, sha256: str = HASH) -> str:
    return f'[[version]]\nversion = "{text}"\nsha256 = "{sha256}"\n'


def test_load_recipe__ten_lines_are_enough(tmp_path: Path) -> None:
    recipe = read(tmp_path, versions=_version("2.0") + _version("1.10") + _version("1.9"))

    assert recipe.project == "demo"
    assert recipe.folder == tmp_path / "recipes" / "demo"
    assert list(recipe.versions) == [Version("2.0"), Version("1.10"), Version("1.9")]
    assert recipe.import_names == ("demo",)


def test_load_recipe__every_key(tmp_path: Path) -> None:
    path = write_recipe(
        tmp_path,
        """
        [source]
        url = "https://example.org/{name}/{version}.tar.gz"
        subdirectory = "python"
        patches = [{ file = "a.patch", when-version = "<2", upstream-status = "Submitted https://example.org/1" }]
        [system-packages]
        manylinux = ["libpq-devel", "pkgconfig(libpq)"]
        debian = ["libpq-dev"]
        [depends]
        build = ["other"]
        [targets]
        build = ["cp312-*"]
        skip = ["*-musllinux_{i686,s390x}"]
        abi3 = true
        [build]
        requires = ["cython<3.1"]
        constraints = ["setuptools<80"]
        environment = { CFLAGS = "-O2" }
        config-settings = { a = "b", c = ["d", "e"] }
        toolchain = "system"
        extension = false
        [[override]]
        select = "*-musllinux_*"
        when-version = ">=1"
        reason = "no such library there"
        cibuildwheel.before-all = ["true", "true"]
        [cibuildwheel]
        before-build = "true"
        manylinux-x86_64-image = "manylinux_2_28"
        linux.before-all = "true"
        [repair]
        allow-grafted = ["libpq"]
        exclude = ["libcuda.so.1"]
        strip = false
        [test]
        imports = ["demo._c"]
        command = "python -c 'import demo'"
        requires = ["pytest"]
        [resources]
        timeout = "2h"
        memory = "1.5 GB"
        """,
    )
    (path.parent / "a.patch").touch()

    recipe = load_recipe(path)

    assert recipe.resources.timeout == 7200.0
    assert recipe.build.config_settings == {"a": "b", "c": ("d", "e")}
    assert recipe.override[0].cibuildwheel == {"before-all": ["true", "true"]}


def test_import_names__default_of_a_name_with_dashes(tmp_path: Path) -> None:
    assert load_recipe(write_recipe(tmp_path, name="python-ldap")).import_names == ("python_ldap",)


@pytest.mark.parametrize(
    ("text", "key", "part"),
    [
        ("[targets]\nbuild = []", "targets.build", "must not be empty"),
        ('[targets]\nbuild = ["cp399-*"]', "targets.build[0]", "picks no build identifier; did you mean `cp39-*`?"),
        ('[targets]\nskip = ["*-muslinux_i686"]', "targets.skip[0]", "did you mean `*-musllinux_i686`?"),
        ('[source]\nurl = "ftp://x"', "source.url", "starts with https://"),
        ('[source]\nurl = "https://x/{arch}"', "source.url", "only {name} and {version} are filled in, not {arch}"),
        ('[source]\nsubdirectory = "../x"', "source.subdirectory", "leaves its folder"),
        ('[depends]\nbuild = ["Demo"]', "depends.build[0]", "a recipe cannot depend on itself"),
        ('[system-packages]\ndebian = ["a b"]', "system-packages.debian[0]", "is not the name of one system package"),
        ('[system-packages]\ndebian = ["--yes"]', "system-packages.debian[0]", "is not the name of one system package"),
        ('[build]\nrequires = ["a =="]', "build.requires[0]", "is not a requirement (PEP 508)"),
        (
            '[build]\nenvironment = { "A-B" = "c" }',
            "build.environment.A-B",
            "is not the name of an environment variable",
        ),
        ('[build]\nenvironment = { A = "\\u0000" }', "build.environment.A", "holds a NUL character"),
        (
            "[build]\nconfig-settings = { a = 1 }",
            "build.config-settings.a",
            "must be a text in quotes or a list in [ ]",
        ),
        ('[build]\ntoolchain = "zigg"', "build.toolchain", "did you mean `zig`?"),
        ('[test]\nimports = ["a-b"]', "test.imports[0]", "cannot be imported"),
        ('[resources]\nmemory = "4"', "resources.memory", "should match pattern"),
        ('[[override]]\nreason = "x"', "override[0]", "changes nothing"),
        ("[[override]]\nskip = true", "override[0].reason", "this key is missing"),
        ('[[override]]\nreason = ""\nskip = true', "override[0].reason", "must not be empty"),
        (
            '[[override]]\nreason = "x"\nskip = true\nwhen-version = "2"',
            "override[0].when-version",
            "version specifier",
        ),
        ('[[override]]\nreason = "x"\nskip = true\nselect = ""', "override[0].select", "an empty selector"),
        ('[[override]]\nreason = "x"\ncibuildwheel.skip = "*"', "override[0].cibuildwheel.skip", "use `targets.skip`"),
        ('[override]\nreason = "x"', "override", "begin each with `[[override]]`"),
        ('[cibuildwheel]\nbefore-biuld = "x"', "cibuildwheel.before-biuld", "did you mean `before-build`?"),
        ('cibuildwheel = "x"', "version[0].cibuildwheel", "unknown key here; did you mean `cibuildwheel`"),
        ("[buidl]\nrequires = []", "buidl", "did you mean `build`?"),
        (
            '[build]\nenvironment = { A = "b" }\n[cibuildwheel]\nenvironment = "A=b"',
            "cibuildwheel.environment",
            "keep that one, which both builders follow",
        ),
    ],
)
def test_load_recipe__one_mistake(tmp_path: Path, text: str, key: str, part: str) -> None:
    problems = problems_of(write_recipe(tmp_path, text))

    assert list(problems) == [key]
    assert part in problems[key]


@pytest.mark.parametrize(
    ("versions", "key", "part"),
    [
        ('version = "1.0"\n', "package.version", "unknown key here; did you mean `version`"),
        ("", "version", "this key is missing"),
        ('[version]\nversion = "1"\n', "version", "begin each with `[[version]]`, not a table"),
        ('[[version]]\nversion = "1"\n', "version[0].sha256", "a source without its sha256 is refused"),
        (_version("1", HASH[:-1]), "version[0].sha256", "has 64 hex digits; this has 63 characters"),
        (_version("1", HASH.upper()), "version[0].sha256", f"in lower case: {HASH}"),
        (_version("1", f"sha256:{HASH}"), "version[0].sha256", f"hex digits alone, in lower case: {HASH}"),
        (_version("1", "g" * 64), "version[0].sha256", "hex digits only"),
        (_version("one"), "version[0].version", "is not a version (PEP 440)"),
        (_version("1") + "build-number = true\n", "version[0].build-number", "must be a whole number, not `true`"),
        (_version("1.9") + _version("1.10"), "version[1].version", "1.10 is newer than 1.9, which stands before it"),
        (_version("1.0") + _version("1.0.0"), "version[1].version", "stands twice, the first time as 1.0"),
    ],
)
def test_load_recipe__mistakes_in_versions(tmp_path: Path, versions: str, key: str, part: str) -> None:
    problems = problems_of(write_recipe(tmp_path, versions=versions))

    assert part in problems[key]


def test_load_recipe__several_versions_at_one_address(tmp_path: Path) -> None:
    path = write_recipe(tmp_path, '[source]\nurl = "https://x/a.tar.gz"', versions=_version("2") + _version("1"))

    assert problems_of(path) == {
        "source.url": "2 versions, and the same address for all: write {version} where it differs"
    }


@pytest.mark.parametrize("file", ["none.patch", "x" * 5000])
def test_load_recipe__patch_that_is_not_there(tmp_path: Path, file: str) -> None:
    text = f'[source]\npatches = [{{ file = "{file}", upstream-status = "Pending" }}]'

    assert problems_of(write_recipe(tmp_path, text)) == {
        "source.patches[0].file": f"{file} does not exist beside the recipe"
    }


def test_load_recipe__folder_with_another_name(tmp_path: Path) -> None:
    path = write_recipe(tmp_path)
    path.write_text(f'[package]\nname = "Other.Name"\n{VERSION}')

    assert problems_of(path) == {
        "package.name": "the folder is `demo`, the project `other-name`: they must be the same (PEP 503)"
    }


def test_load_recipe__all_problems_of_model_and_rules_at_once(tmp_path: Path) -> None:
    path = write_recipe(
        tmp_path,
        '[targets]\nbuild = ["cp399-*"]\n[test]\ncomand = "x"\n[cibuildwheel]\nbefore-build = 3\ntest-command = "x"',
        versions=_version("1", "zz") + _version("2"),
    )

    assert set(problems_of(path)) == {
        "version[0].sha256",
        "version[1].version",
        "targets.build[0]",
        "test.comand",
        "cibuildwheel.before-build",
        "cibuildwheel.test-command",
    }
