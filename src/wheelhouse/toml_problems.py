"""A pydantic error in, its problems in a recipe author's words out. Imported only when a file has a mistake."""

from __future__ import annotations

import datetime as dt
import difflib
from typing import TYPE_CHECKING, Any

import pydantic

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic_core import ErrorDetails

    from wheelhouse.errors import Location

#: What a value must be, by pydantic's error type.
_EXPECTED = {
    "string_type": "a text in quotes",
    "tuple_type": "a list in [ ]",
    "model_type": "a table",
    "mapping_type": "a table",
    "dict_type": "a table",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "bool_type": "true or false",
}


def explain(
    error: pydantic.ValidationError, model: type[pydantic.BaseModel], table: Mapping[str, Any]
) -> dict[Location, str]:
    """Return one message for each place in `table` that has something wrong, in the model's order."""
    places: dict[Location, list[ErrorDetails]] = {}
    for entry in error.errors(include_url=False):
        if entry["type"] == "too_short" and entry["input"]:
            continue  # pydantic counts the items that are valid
        places.setdefault(_place(entry, table), []).append(entry)
    return {place: _message(place, entries, model) for place, entries in places.items()}


def _place(entry: ErrorDetails, table: Mapping[str, Any]) -> Location:
    """Return the error's location without the names that pydantic adds for the members of a union."""
    location = entry["loc"]
    if entry["type"] == "missing":
        return location
    value: Any = table
    for depth, part in enumerate(location):
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            return location[:depth]
    return location


def _message(place: Location, entries: list[ErrorDetails], model: type[pydantic.BaseModel]) -> str:
    first = entries[0]
    kind, value = first["type"], first.get("input")
    if kind == "extra_forbidden":
        return _unknown(place, model)
    if kind == "missing":
        return "this key is missing" + _purpose(place, model)
    if kind in _EXPECTED:
        return _wrong_type(place, entries, value, model)
    if kind == "literal_error":
        return _choice(first)
    if kind in {"too_short", "string_too_short"}:
        return "must not be empty"
    message = first["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    return f"{message[:1].lower()}{message[1:]}"


def _wrong_type(place: Location, entries: list[ErrorDetails], value: object, model: type[pydantic.BaseModel]) -> str:
    if place and isinstance(name := place[-1], str):
        tables = bool(_models_at(model, place))
        if entries[0]["type"] == "tuple_type" and tables:
            return f"must be a list of tables: begin each with `[[{name}]]`, not {_name(value)}"
        if entries[0]["type"] == "model_type" and isinstance(value, list):
            return f"there is only one such table: write `[{name}]`, not `[[{name}]]`"
    # The members of a union each have an error: one sentence for all.
    expected = list(dict.fromkeys(_EXPECTED[entry["type"]] for entry in entries if entry["type"] in _EXPECTED))
    return f"must be {' or '.join(expected)}, not {_name(value)}"


def _name(value: object) -> str:
    """Name the type of a TOML value."""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, (int, float, dt.date, dt.time)):
        text = str(value)
        return f"the bare value {text}" if len(text) < 40 else "a bare value"  # noqa: PLR2004 - as fits on a line
    names: dict[type, str] = {str: "a text", list: "a list", dict: "a table"}
    return names.get(type(value), "that")


def _choice(entry: ErrorDetails) -> str:
    expected = str(entry.get("ctx", {}).get("expected", "")).replace("'", "`")
    known = [word.strip("`") for word in expected.replace(" or ", ", ").split(", ")]
    near = difflib.get_close_matches(str(entry.get("input")), known, n=1)
    return f"must be {expected}" + (f"; did you mean `{near[0]}`?" if near else "")


def _unknown(place: Location, model: type[pydantic.BaseModel]) -> str:
    *table, key = place
    known = [alias for kind in _models_at(model, tuple(table)) for alias in _aliases(kind)]
    if near := difflib.get_close_matches(str(key).replace("_", "-"), known, n=1):
        return f"unknown key; did you mean `{near[0]}`?"
    if elsewhere := [path for path in _paths(model) if path.rpartition(".")[2] == key]:
        return f"unknown key here; did you mean `{'` or `'.join(elsewhere[:3])}`?"
    return f"unknown key; known here: {', '.join(known)}"


def _purpose(place: Location, model: type[pydantic.BaseModel]) -> str:
    """Return what the missing key is for."""
    for table in _models_at(model, place[:-1]):
        for field in table.model_fields.values():
            if field.alias == place[-1] and field.description:
                return f": {field.description}"
    return ""


def _models_at(model: type[pydantic.BaseModel], location: Location) -> list[type[pydantic.BaseModel]]:
    """Return the models of the table at `location`, by following the fields."""
    kinds = [model]
    for part in location:
        if isinstance(part, str):
            kinds = [
                kind
                for table in kinds
                for field in table.model_fields.values()
                if part == field.alias
                for kind in _models_in(field.annotation)
            ]
    return kinds


def _models_in(annotation: object) -> list[type[pydantic.BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        return [annotation]
    return [kind for inner in getattr(annotation, "__args__", ()) for kind in _models_in(inner)]


def _aliases(model: type[pydantic.BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def _paths(model: type[pydantic.BaseModel], prefix: str = "") -> list[str]:
    """Return every key path of a model, shallow ones first."""
    own = [prefix + alias for alias in _aliases(model)]
    inner = [
        path
        for field in model.model_fields.values()
        for kind in _models_in(field.annotation)
        for path in _paths(kind, f"{prefix}{field.alias}.")
    ]
    return sorted(own + inner, key=lambda path: path.count("."))
