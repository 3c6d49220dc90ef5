from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
import tomli

from recipes import HASH, VERSION
from wheelhouse.config import Config, bundled
from wheelhouse.recipe import Recipe
from wheelhouse.recipe_schema import config_schema, recipe_schema
from wheelhouse.toml import read_table

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pydantic

_MINIMAL = f'[package]\nname = "demo"\n{VERSION}'


def _accepts(schema: dict[str, Any], table: dict[str, Any]) -> bool:
    return bool(jsonschema.Draft202012Validator(schema).is_valid(table))


def _model_accepts(model: type[pydantic.BaseModel], table: dict[str, Any]) -> bool:
    try:
        model.model_validate(table)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("schema", [recipe_schema(), config_schema()], ids=["recipe", "config"])
def test_schema__keeps_to_its_metaschema(schema: dict[str, Any]) -> None:
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    jsonschema.Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("schema", [recipe_schema(), config_schema()], ids=["recipe", "config"])
def test_schema__every_reference_leads_somewhere(schema: dict[str, Any]) -> None:
    for reference in _references(schema):
        found: Any = schema
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]
        assert isinstance(found, dict)


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for inner in value.values():
            yield from _references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _references(inner)


@pytest.mark.parametrize("schema", [recipe_schema(), config_schema()], ids=["recipe", "config"])
def test_schema__every_key_is_described(schema: dict[str, Any]) -> None:
    tables = {name: table for name, table in schema["$defs"].items() if name != "CibuildwheelOptions"}

    missing = [
        f"{name}.{key}"
        for name, table in tables.items()
        for key, value in table["properties"].items()
        if "description" not in value and "$ref" not in value
    ]

    assert missing == []


@pytest.mark.parametrize(
    "path", sorted((bundled() / "recipes").glob("*/recipe.toml")), ids=lambda path: path.parent.name
)
def test_recipe_schema__accepts_every_recipe_of_the_registry(path: Path) -> None:
    jsonschema.validate(read_table(path), recipe_schema(), cls=jsonschema.Draft202012Validator)


@pytest.mark.parametrize(
    ("text", "good"),
    [
        (_MINIMAL, True),
        (f'{_MINIMAL}[cibuildwheel]\nbefore-all = "x"\nlinux.before-build = ["a"]', True),
        (f'{_MINIMAL}[resources]\ntimeout = "90s"\nmemory = "4 GB"', True),
        (f'{_MINIMAL}[build]\nconfig-settings = {{ a = ["b"], c = "d" }}\nenvironment = {{ A = "b" }}', True),
        (f'{_MINIMAL}[targets]\nabi3 = true\nbuild = ["cp312-*"]', True),
        ("", False),
        (f"{_MINIMAL}[zzz]", False),
        (f'[package]\nname = "-"\n{VERSION}', False),
        ('[package]\nname = "demo"\nversion = "1"', False),
        ('version = "1"\n[package]\nname = "demo"', False),
        ('version = []\n[package]\nname = "demo"', False),
        ('[package]\nname = "demo"\n[[version]]\nversion = "1"', False),
        (_MINIMAL.replace(HASH, "zz"), False),
        (f'{_MINIMAL}build-number = "1"', False),
        (f"{_MINIMAL}build-number = -1", False),
        (f"{_MINIMAL}build-number = 1.5", False),
        (f'{_MINIMAL}[source]\nurl = "ftp://x"', False),
        (f'{_MINIMAL}[targets]\nabi3 = "yes"', False),
        (f"{_MINIMAL}[targets]\nbuild = []", False),
        (f'{_MINIMAL}[targets]\nbuild = "cp312-*"', False),
        (f'{_MINIMAL}[build]\ntoolchain = "gcc"', False),
        (f'{_MINIMAL}[build]\nenvironment = {{ "A-B" = "c" }}', False),
        (f"{_MINIMAL}[build]\nenvironment = {{ A = 1 }}", False),
        (f'{_MINIMAL}[system-packages]\ndebian = ["a b"]', False),
        (f"{_MINIMAL}[resources]\ntimeout = 30", False),
        (f'{_MINIMAL}[resources]\ntimeout = "30"', False),
        (f'{_MINIMAL}[resources]\nmemory = "4"', False),
        (f"{_MINIMAL}[[override]]\nskip = true", False),
        (f'{_MINIMAL}[[override]]\nreason = ""\nskip = true', False),
    ],
)
def test_recipe_schema__says_what_the_model_says(text: str, *, good: bool) -> None:
    table = tomli.loads(text)

    assert _accepts(recipe_schema(), table) is good
    assert _model_accepts(Recipe, table) is good


@pytest.mark.parametrize(
    "options",
    ['test-command = "x"', "before-all = 1", 'zzz = "x"', 'linux.skip = "x"', 'overrides = [{ select = "*" }]'],
)
def test_recipe_schema__knows_cibuildwheels_options(options: str) -> None:
    assert not _accepts(recipe_schema(), tomli.loads(f"{_MINIMAL}[cibuildwheel]\n{options}"))
    assert not _accepts(
        recipe_schema(), tomli.loads(f'{_MINIMAL}[[override]]\nreason = "x"\n[override.cibuildwheel]\n{options}')
    )


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("", True),
        ('[build]\nbuilder = "host"\njobs = 2\ntimeout = "1h"\n[images]\nmanylinux_x86_64 = "x"', True),
        ('[build]\nbuilder = "docker"', False),
        ("[targets]\narchs = []", False),
        ('[paths]\ndist = ""', False),
        ("[repair]\nstrip = 1", False),
        ("zzz = 1", False),
    ],
)
def test_config_schema__says_what_the_model_says(text: str, *, good: bool) -> None:
    table = tomli.loads(text)

    assert _accepts(config_schema(), table) is good
    assert _model_accepts(Config, table) is good


@pytest.mark.parametrize(("text", "good"), [(_MINIMAL, True), (f'{_MINIMAL}[cibuildwheel]\nskip = "x"', False)])
def test_recipe_schema__taplo_takes_it(tmp_path: Path, text: str, *, good: bool) -> None:
    # The engine inside the TOML extensions of editors.
    taplo = shutil.which("taplo", path=str(Path(sys.executable).parent))
    assert taplo is not None
    schema = tmp_path / "recipe.schema.json"
    schema.write_text(json.dumps(recipe_schema()))
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(text)

    done = subprocess.run(
        [taplo, "lint", "--schema", schema.as_uri(), recipe], capture_output=True, text=True, check=False, cwd=tmp_path
    )

    assert (done.returncode == 0) is good, done.stderr
    assert good or "'skip' was unexpected" in done.stderr
