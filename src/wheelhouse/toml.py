"""A TOML file and a pydantic model in, a frozen value out, or all problems of the file at once.

Unknown keys are refused with the nearest known one; every message names the file and the key path. Rules that a model
cannot say (`rules`) look at the bare table: what they find is told even where the model refuses the file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, TypeVar

import pydantic
import tomli

from wheelhouse.errors import InvalidFileError, Location, Problem

if TYPE_CHECKING:
    from pathlib import Path


class Strict(pydantic.BaseModel):
    """A table of a TOML file: frozen, unknown keys forbidden, `a-b` in the file is `a_b` here."""

    model_config = pydantic.ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=lambda name: name.replace("_", "-"),
        validate_by_name=False,
        validate_by_alias=True,
        serialize_by_alias=True,
        defer_build=True,  # a model inside another one never validates by itself, and there are many
    )


Model = TypeVar("Model", bound=Strict)
#: A bare table in; what is wrong in it, and where, out. Must bear values of any type.
Rules: TypeAlias = Callable[[Mapping[str, Any]], Iterator[tuple[Location, str]]]

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def _seconds(value: object) -> object:
    if isinstance(value, str):
        found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)\s*([smh])", value)
        if found is None:
            raise ValueError('a duration is a number and a unit, as in "90s", "30m" or "2h"')
        return float(found[1]) * _UNITS[found[2]]
    raise ValueError('a duration is a text with its unit, as in "90s", "30m" or "2h"')


def _age(value: object) -> object:
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)\s*([smhd])", value) if isinstance(value, str) else None
    if found is None:
        raise ValueError('an age is a number and a unit, as in "12h" or "14d"; "0s" is none')
    return float(found[1]) * {**_UNITS, "d": 86400.0}[found[2]]


#: `"90s"`, `"30m"`, `"2h"` in the file; seconds here.
Duration = Annotated[
    float,
    pydantic.BeforeValidator(
        _seconds, json_schema_input_type=Annotated[str, pydantic.Field(pattern=r"^\d{1,9}(\.\d{1,9})?\s*[smh]$")]
    ),
    pydantic.Field(gt=0),
]
#: `"0s"`, `"12h"`, `"14d"` in the file; seconds here.
Age = Annotated[
    float,
    pydantic.BeforeValidator(
        _age, json_schema_input_type=Annotated[str, pydantic.Field(pattern=r"^\d{1,9}(\.\d{1,9})?\s*[smhd]$")]
    ),
]
#: true or false, and nothing that could pass for it.
Flag = Annotated[bool, pydantic.Field(strict=True)]
#: A whole number from 0; no text that looks like one.
Count = Annotated[int, pydantic.Field(strict=True, ge=0, le=999_999)]


def section() -> Any:
    """Return the default of a table that may be left out: what it is when it is empty.

    `default_factory=Model` would make pydantic build a validator of its own for each such model, which is dear.
    """
    return pydantic.Field(default_factory=dict, validate_default=True)


def no_rules(table: Mapping[str, Any]) -> Iterator[tuple[Location, str]]:  # noqa: ARG001 - the form of all rules
    """Find nothing wrong."""
    yield from ()


def load_toml(path: Path, model: type[Model], *, rules: Rules = no_rules) -> Model:
    """Read a TOML file into a model.

    Raises InvalidFileError, which holds every problem as `file: key.path: message`.
    """
    table = read_table(path)
    problems: dict[Location, str] = {}
    try:
        value = model.model_validate(table)
    except pydantic.ValidationError as error:
        from wheelhouse.toml_problems import explain  # noqa: PLC0415 - only on a mistake

        problems = explain(error, model, table)
    for location, message in rules(table):
        problems.setdefault(location, message)
    if problems:
        told = [Problem(file=path, key=key_path(location), message=message) for location, message in problems.items()]
        raise InvalidFileError(f"{path} is not valid", problems=told)
    return value


def read_table(path: Path) -> dict[str, Any]:
    """Read and parse a TOML file. Raises InvalidFileError."""
    try:
        return tomli.loads(path.read_bytes().decode("utf-8"))
    except FileNotFoundError:
        problem = "there is no such file"
    except UnicodeDecodeError as error:
        problem = f"not UTF-8, which TOML has to be: {error.reason} at byte {error.start}"
    except OSError as error:
        problem = f"cannot be read: {error.strerror or error}"
    except RecursionError:
        problem = "not valid TOML: nested too deeply"
    except ValueError as error:  # tomli's own error, and the interpreter's for numbers of thousands of digits
        problem = f"not valid TOML: {error}"
    raise InvalidFileError(f"{path} is not valid", problems=[Problem(file=path, message=problem)])


def key_path(location: Location) -> str:
    """Return `version[0].sha256` for `("version", 0, "sha256")`."""
    text = ""
    for part in location:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if _BARE_KEY.fullmatch(part) else f'."{part}"'
    return text.removeprefix(".")


def find_all(table: object, *pattern: str) -> Iterator[tuple[Location, Any]]:
    """Yield every value at `pattern` in a bare table, and where it is; `*` stands for each item of a list.

    What is not there, or is of another type than the pattern supposes, yields nothing.
    """
    if not pattern:
        yield (), table
        return
    head, *rest = pattern
    if head == "*":
        items: list[tuple[int | str, Any]] = list(enumerate(table)) if isinstance(table, list) else []
    else:
        items = [(head, table[head])] if isinstance(table, dict) and head in table else []
    for key, value in items:
        for location, found in find_all(value, *rest):
            yield (key, *location), found
