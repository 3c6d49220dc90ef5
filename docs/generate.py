"""Write the reference pages that follow from code: `python docs/generate.py`. A test holds the pages against it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from wheelhouse import errors
from wheelhouse.cibuildwheel_options import OWNED
from wheelhouse.cli import cli
from wheelhouse.index.routes.openapi import document
from wheelhouse.recipe_schema import config_schema, recipe_schema

REFERENCE = Path(__file__).parent / "reference"
_NOTE = "<!-- Written by docs/generate.py from the source code; change the docstrings there. -->\n"
_RECIPE = """\
How to build one project's wheels: `recipes/<project>/recipe.toml`. The folder has the project's normalised name, and
holds the patches too.

Nothing is templated; in `source.url` alone, `{name}` and `{version}` are filled in. Unknown keys are refused. Beyond
the types below, these rules hold, and `wheelhouse recipe lint` tells every breach of them in all recipes at once:

- Versions stand newest first, none twice, each with the sha256 of its source.
- A patch lies beside the recipe and says what became of it upstream.
- Selectors are cibuildwheel's, and each has to pick something that the installed cibuildwheel knows.
- An override says why it is there, and changes something. Of several that apply, the later wins, key by key; variables
  of `build.environment` and `build.config-settings` are merged one by one.

For an editor: `wheelhouse recipe schema > recipe.schema.json`, and `#:schema ./recipe.schema.json` as the first line of
a recipe.
"""
_CLI = """\
stdout carries data, stderr carries talk. [Exit codes](exit-codes.md) are stable. `NO_COLOR` and `FORCE_COLOR` are
honoured. `WHEELHOUSE_REGISTRY` stands for `--registry`, `WHEELHOUSE_CACHE` for the folder of downloads,
`WHEELHOUSE_WORK_ROOT` for the folder in which builds run, and `WHEELHOUSE_ENGINE` for podman or docker.
"""
_CONFIG = """\
Defaults for all recipes of a registry; the file lies beside `recipes/`, and every key may be left out.
`wheelhouse recipe schema --config` prints its schema for an editor.
"""
_OWNED = """\

## Options of cibuildwheel that a recipe cannot set

Everything else in `[cibuildwheel]` is handed over as it is, after a check against cibuildwheel's own schema.

| option | instead |
|---|---|
"""


def pages() -> dict[str, str]:
    """Return the text of each page by its file name."""
    owned = "".join(f"| `{option}` | {advice} |\n" for option, advice in sorted(OWNED.items()))
    return {
        "recipe.md": f"# recipe.toml\n\n{_NOTE}\n{_RECIPE}{_tables(recipe_schema())}{_OWNED}{owned}",
        "wheelhouse-toml.md": f"# wheelhouse.toml\n\n{_NOTE}\n{_CONFIG}{_tables(config_schema())}",
        "cli.md": f"# Command line\n\n{_NOTE}\n{_CLI}{_commands(cli, 'wheelhouse')}",
        "exit-codes.md": f"# Exit codes\n\n{_NOTE}\n{_exit_codes()}",
        "openapi.json": json.dumps(document(), indent=1) + "\n",
    }


def _commands(command: click.Command, path: str) -> str:
    """Return the help of a command and of all below it, as the terminal shows it."""
    names = ["-h", "--help"]  # as `wheelhouse` hands them down to each
    context = click.Context(command, info_name=path, terminal_width=110, max_content_width=110, help_option_names=names)
    text = f"\n## `{path}`\n\n```text\n{command.get_help(context)}\n```\n"
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None  # noqa: S101 - it was listed
            text += _commands(inner, f"{path} {name}")
    return text


def _exit_codes() -> str:
    kinds = {kind.exit_code: kind for kind in _all_errors(errors.WheelhouseError)}
    rows = [(0, "everything was done"), *((code, kinds[code].summary) for code in sorted(kinds))]
    return "| code | meaning |\n|---|---|\n" + "".join(f"| {code} | {meaning} |\n" for code, meaning in rows)


def _all_errors(kind: type[errors.WheelhouseError]) -> list[type[errors.WheelhouseError]]:
    return [kind, *(found for below in kind.__subclasses__() for found in _all_errors(below))]


def _tables(schema: dict[str, Any]) -> str:
    text, plain = "", ""
    for key, value in schema["properties"].items():
        if key == "cibuildwheel":
            continue
        heading = f"\n## `[[{key}]]`\n" if value.get("type") == "array" else f"\n## `[{key}]`\n"
        reference = value.get("$ref") or value.get("items", {}).get("$ref")
        if reference is None:
            plain += f"{heading}\n{value['description']}\n"
            continue
        table = schema["$defs"][reference.rsplit("/", 1)[1]]
        text += f"{heading}\n{table['description']}\n\n| key | type | default | |\n|---|---|---|---|\n"
        text += "".join(_rows(table, schema["$defs"]))
    return text + plain


def _rows(table: dict[str, Any], tables: dict[str, Any]) -> list[str]:
    required = set(table.get("required", ()))
    rows = []
    for key, value in table["properties"].items():
        default = "required" if key in required else _default(value)
        rows.append(f"| `{key}` | {_kind(value)} | {default} | {value.get('description', _meaning(value, tables))} |\n")
        inner = tables.get(value.get("items", {}).get("$ref", "").rsplit("/", 1)[-1])
        if inner is not None:
            rows += [row.replace("| `", f"| `{key}[].", 1) for row in _rows(inner, tables)]
    return rows


def _meaning(value: dict[str, Any], tables: dict[str, Any]) -> str:
    table = tables.get(value.get("$ref", "").rsplit("/", 1)[-1], {})
    return str(table.get("description", ""))


def _default(value: dict[str, Any]) -> str:
    default = value.get("default")
    if default in (None, "", []):
        return ""
    return f"`{str(default).lower() if isinstance(default, bool) else default}`".replace("'", '"')


def _kind(value: dict[str, Any]) -> str:
    if "enum" in value:
        return " or ".join(f"`{word}`" for word in value["enum"])
    if "anyOf" in value:
        return " or ".join(_kind(option) for option in value["anyOf"])
    kind = str(value.get("type", "table"))
    if kind == "array":
        return f"list of {_kind(value['items'])}s"
    return {"string": "text", "integer": "number", "boolean": "true or false", "object": "table"}.get(kind, kind)


if __name__ == "__main__":
    REFERENCE.mkdir(exist_ok=True)
    for name, page in pages().items():
        (REFERENCE / name).write_text(page, "utf-8")
