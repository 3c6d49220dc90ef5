"""The models of recipes and `wheelhouse.toml` in, their JSON Schemas out: for editors, and for the reference pages.

Descriptions are the docstrings of the fields; the `[cibuildwheel]` table has cibuildwheel's own schema inside.
"""

from __future__ import annotations

import ast
import inspect
import sys
from typing import TYPE_CHECKING, Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

from wheelhouse.cibuildwheel_options import options_schema
from wheelhouse.config import Config
from wheelhouse.recipe import Recipe

if TYPE_CHECKING:
    from pydantic_core import core_schema

    from wheelhouse.toml import Strict

_OPTIONS = "CibuildwheelOptions"
_MINUTE, _HOUR = 60, 3600


class _ForEditors(GenerateJsonSchema):
    """TOML has no null: what may be left out is not to be written as null."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        if schema.get("default") is None:
            return self.generate_inner(schema["schema"])
        return super().default_schema(schema)

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - pydantic's signature
        return False


def recipe_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of `recipe.toml`."""
    schema = _schema_of(Recipe, title="wheelhouse recipe")
    shipped = options_schema()
    schema["$defs"][_OPTIONS] = {
        "description": "Options that go to cibuildwheel word for word, without those that wheelhouse sets itself.",
        "type": "object",
        "additionalProperties": False,
        "properties": _moved(shipped["properties"]),
        "$defs": _moved(shipped["$defs"]),
    }
    for table in (schema, schema["$defs"]["OverrideTable"]):
        table["properties"]["cibuildwheel"] = {"$ref": f"#/$defs/{_OPTIONS}"}
    return schema


def config_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of `wheelhouse.toml`."""
    return _schema_of(Config, title="wheelhouse.toml")


def _schema_of(model: type[Strict], *, title: str) -> dict[str, Any]:
    schema = model.model_json_schema(by_alias=True, mode="validation", schema_generator=_ForEditors)
    documents = {key: text for module in _modules(model) for key, text in _docstrings(module).items()}
    for name, table in [(model.__name__, schema), *schema.get("$defs", {}).items()]:
        table.pop("title", None)
        for key, value in table.get("properties", {}).items():
            _describe(value, documents.get((name, key.replace("-", "_"))))
    return {"$schema": GenerateJsonSchema.schema_dialect, "title": title, **schema}


def _modules(model: type[Strict]) -> list[Any]:
    """Return the modules that a model and its tables are written in."""
    tables = [field.annotation for field in model.model_fields.values() if isinstance(field.annotation, type)]
    return [sys.modules[name] for name in dict.fromkeys(table.__module__ for table in (model, *tables))]


def _describe(field: dict[str, Any], text: str | None) -> None:
    field.pop("gt", None)  # pydantic's, where a text becomes a number; no keyword of JSON Schema
    if text is not None:
        field["description"] = text
    if isinstance(field.get("default"), float):
        field["default"] = _duration(field["default"])
    if "patternProperties" in field:
        field["additionalProperties"] = False


def _duration(seconds: float) -> str:
    for size, unit in ((_HOUR, "h"), (_MINUTE, "m")):
        if seconds % size == 0:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds:g}s"


def _docstrings(module: Any) -> dict[tuple[str, str], str]:
    """Return the text below each attribute of each class of a module.

    Read here, from the source, and not by pydantic at import: that would cost every start of every command.
    """
    found: dict[tuple[str, str], str] = {}
    for node in ast.parse(inspect.getsource(module)).body:
        if isinstance(node, ast.ClassDef):
            for field, text in zip(node.body, node.body[1:], strict=False):
                if (
                    isinstance(field, ast.AnnAssign)
                    and isinstance(field.target, ast.Name)
                    and isinstance(text, ast.Expr)
                    and isinstance(text.value, ast.Constant)
                    and isinstance(text.value.value, str)
                ):
                    found[node.name, field.target.id] = inspect.cleandoc(text.value.value)
    return found


def _moved(value: Any) -> Any:
    """Let the references of cibuildwheel's schema find their targets inside ours."""
    if isinstance(value, dict):
        return {
            key: inner.replace("#/", f"#/$defs/{_OPTIONS}/", 1) if key == "$ref" else _moved(inner)
            for key, inner in value.items()
        }
    return [_moved(inner) for inner in value] if isinstance(value, list) else value
