"""A recipe's `[cibuildwheel]` table in; what is wrong with it out, by the JSON Schema that cibuildwheel ships.

The table goes to cibuildwheel word for word, save for the options that wheelhouse answers for itself: those are
refused, with the key of a recipe that says the same for both builders.
"""

from __future__ import annotations

import difflib
import functools
import importlib.resources
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from jsonschema.exceptions import ValidationError

    from wheelhouse.errors import Location

_TESTED = "wheelhouse tests the wheel itself: use `test.imports`, `test.command`, `test.requires`"
#: Options that wheelhouse sets, and what to use instead.
OWNED: Mapping[str, str] = {
    "archs": "use `targets.build` and `targets.skip`, or --arch",
    "audit-command": "every wheel is checked by wheelhouse",
    "audit-requires": "every wheel is checked by wheelhouse",
    "before-test": _TESTED,
    "build": "use `targets.build`",
    "build-frontend": "wheelhouse takes the quickest that the image has",
    "container-engine": "set WHEELHOUSE_ENGINE to choose one",
    "dependency-versions": "use `build.constraints` to bound build requirements",
    "enable": "name the identifiers in `targets.build`, as in `pp311-*`",
    "inherit": "use `[[override]]`, where later ones win key by key",
    "overrides": "use `[[override]]`, which selects in the same way",
    "repair-wheel-command": "use `repair.exclude` and `repair.strip`",
    "skip": "use `targets.skip`, or an `[[override]]` with `skip = true`",
    "test-command": _TESTED,
    "test-environment": _TESTED,
    "test-extras": _TESTED,
    "test-groups": _TESTED,
    "test-requires": _TESTED,
    "test-runtime": _TESTED,
    "test-skip": _TESTED,
    "test-sources": _TESTED,
}
_PLATFORMS = ("linux", "macos", "windows", "android", "ios", "pyodide")
_TYPES = {
    "string": "a text",
    "array": "a list of texts",
    "object": "a table of texts",
    "integer": "a whole number",
    "boolean": "true or false",
}


def option_problems(table: Mapping[str, Any]) -> Iterator[tuple[Location, str]]:
    """Yield everything that is wrong with a table of cibuildwheel options, and where in the table it is."""
    schema = options_schema()
    remaining: dict[str, Any] = {}
    for key, value in table.items():
        if key in _PLATFORMS and isinstance(value, dict) and key in schema["properties"]:
            known = schema["properties"][key]["properties"]
            yield from (((key, *where), message) for where, message in _keys(value, known))
            remaining[key] = {name: option for name, option in value.items() if name in known}
        elif key in schema["properties"]:
            remaining[key] = value
    yield from _keys(table, schema["properties"])
    if remaining:
        yield from _values(remaining)


def _keys(table: Mapping[str, Any], known: Mapping[str, Any]) -> Iterator[tuple[Location, str]]:
    for key in table:
        if key in OWNED:
            yield (key,), f"wheelhouse sets this option; {OWNED[key]}"
        elif key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"; did you mean `{near[0]}`?" if near else ""
            yield (key,), f"unknown to cibuildwheel{hint}"


def _values(table: Mapping[str, Any]) -> Iterator[tuple[Location, str]]:
    import jsonschema  # noqa: PLC0415 - takes as long as all else together, and few recipes need it

    for error in jsonschema.Draft7Validator(options_schema()).iter_errors(table):
        yield tuple(error.absolute_path), _message(error)


def _message(error: ValidationError) -> str:
    options = error.validator_value if error.validator in {"oneOf", "anyOf"} else [error.schema]
    words: list[str] = []
    for option in options if isinstance(options, list) else []:
        if "enum" in option:
            words += [f"`{value}`" for value in option["enum"]]
        elif "pattern" not in option and "type" in option:
            words.append(_TYPES.get(str(option["type"]), str(option["type"])))
    if error.validator in {"oneOf", "anyOf", "type", "enum"} and words:
        return f"must be {' or '.join(dict.fromkeys(words))}"
    return f"cibuildwheel's schema refuses it: {error.message}"


@functools.cache
def options_schema() -> dict[str, Any]:
    """Return cibuildwheel's schema (draft 7) without the options that wheelhouse sets. Not to be changed by callers."""
    shipped = importlib.resources.files("cibuildwheel").joinpath("resources/cibuildwheel.schema.json")
    schema: dict[str, Any] = json.loads(shipped.read_text("utf-8"))
    # What options refer to stays whole.
    whole = {key: option for key, option in schema["properties"].items() if key not in {*_PLATFORMS, "overrides"}}
    for key in OWNED:
        schema["properties"].pop(key, None)
    for platform in _PLATFORMS:
        for key in OWNED:
            schema["properties"].get(platform, {}).get("properties", {}).pop(key, None)
    schema["$defs"] = {**schema["$defs"], "whole": whole}
    return {key: _rerouted(value) if key == "properties" else value for key, value in schema.items()}


def _rerouted(value: Any) -> Any:
    """Let references to options point at the whole set, which still has those that wheelhouse sets."""
    if isinstance(value, dict):
        return {
            key: inner.replace("#/properties/", "#/$defs/whole/") if key == "$ref" else _rerouted(inner)
            for key, inner in value.items()
        }
    return [_rerouted(inner) for inner in value] if isinstance(value, list) else value
