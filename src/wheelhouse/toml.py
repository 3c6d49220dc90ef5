"""A TOML file and a pydantic model in, a frozen value out, or all problems of the file at once.

Unknown keys are refused with the nearest known one; every message names the file and the key path.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import pydantic

from wheelhouse.errors import InvalidFileError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Strict(pydantic.BaseModel):
    """A table of a TOML file: frozen, unknown keys forbidden, `a-b` in the file is `a_b` here."""

    model_config = pydantic.ConfigDict(
        frozen=True,
        extra="forbid",
        strict=False,
        alias_generator=lambda name: name.replace("_", "-"),
        validate_by_name=False,
        validate_by_alias=True,
        serialize_by_alias=True,
    )


Model = TypeVar("Model", bound=Strict)

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


def _seconds(value: object) -> object:
    if isinstance(value, str):
        found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh])", value)
        if found is None:
            raise ValueError('a duration is a number and a unit, as in "90s", "30m" or "2h"')
        return float(found[1]) * _UNITS[found[2]]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        raise ValueError('a duration needs its unit, as in "90s", "30m" or "2h"')  # noqa: TRY004 - pydantic takes ValueError
    return value


#: `"90s"`, `"30m"`, `"2h"` in the file; seconds here.
Duration = Annotated[
    float,
    pydantic.BeforeValidator(
        _seconds, json_schema_input_type=Annotated[str, pydantic.Field(pattern=r"^\d+(\.\d+)?\s*[smh]$")]
    ),
    pydantic.Field(gt=0),
]


def load_toml(path: Path, model: type[Model], *, context: dict[str, Any] | None = None) -> Model:
    """Read a TOML file into a model.

    Raises InvalidFileError, which holds every problem as `file: key.path: message`.
    """
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        raise InvalidFileError(f"{path} does not exist") from None
    except IsADirectoryError:
        raise InvalidFileError(f"{path} is a folder, not a file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidFileError(f"{path} cannot be read: {error}") from error
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidFileError(f"{path} is not valid TOML", problems=[f"{path}: {error}"]) from error
    try:
        return model.model_validate(table, context=context)
    except pydantic.ValidationError as error:
        problems = [f"{path}: {problem}" for problem in _problems(error, model)]
        raise InvalidFileError(f"{path} is not valid", problems=problems) from None


def _problems(error: pydantic.ValidationError, model: type[pydantic.BaseModel]) -> Iterator[str]:
    for entry in error.errors(include_url=False):
        location = entry["loc"]
        where = key_path(location)
        if entry["type"] == "extra_forbidden":
            near = difflib.get_close_matches(str(location[-1]), _known_keys(model, location[:-1]), n=1)
            yield f"{where}: unknown key" + (f"; did you mean `{near[0]}`?" if near else "")
        elif entry["type"] == "missing":
            yield f"{where}: this key is missing"
        else:
            message = entry["msg"].removeprefix("Value error, ")
            yield f"{where}: {message[:1].lower()}{message[1:]}" if where else message


def key_path(location: tuple[int | str, ...]) -> str:
    """Return `version[0].sha256` for `("version", 0, "sha256")`."""
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".")


def _known_keys(model: type[pydantic.BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """Return the keys of the table at `location`, by following the model's fields."""
    kinds: list[Any] = [model]
    for part in location:
        if isinstance(part, int):
            continue
        kinds = [
            kind
            for table in kinds
            for field in table.model_fields.values()
            if part == field.alias
            for kind in _models_in(field.annotation)
        ]
    return [field.alias or name for table in kinds for name, field in table.model_fields.items()]


def _models_in(annotation: object) -> list[type[pydantic.BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        return [annotation]
    return [kind for inner in getattr(annotation, "__args__", ()) for kind in _models_in(inner)]
