"""A recipe's file and changes to it in; the file with those changes, and all else as its author wrote it, out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tomlkit
from tomlkit.exceptions import ParseError
from tomlkit.items import AbstractTable, Array, Item

from wheelhouse.errors import InvalidFileError, Problem
from wheelhouse.recipe import load_recipe
from wheelhouse.record import write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from tomlkit import TOMLDocument

    from wheelhouse.recipe import Recipe

#: An array that is longer than this is written one entry a line.
_WIDTH = 110


def read_document(path: Path) -> TOMLDocument:
    """Read a recipe with its comments and layout. Raises InvalidFileError."""
    try:
        return tomlkit.parse(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, ParseError) as error:
        problem = Problem(file=path, message=f"cannot be read: {error}")
        raise InvalidFileError(f"{path} is not valid", problems=[problem]) from error


def write_document(path: Path, document: TOMLDocument) -> Recipe:
    """Write a changed recipe, and return it as read back. Raises InvalidFileError; the file is then as it was."""
    return write_text(path, tomlkit.dumps(document))


def write_text(path: Path, text: str) -> Recipe:
    """Write a recipe's text, and return it as read back. Raises InvalidFileError; the file is then as it was."""
    before = path.read_bytes() if path.exists() else None
    write_atomically(path, text.encode())
    path.chmod(0o644)  # a temporary file is its owner's alone; a recipe is for all who work here
    try:
        return load_recipe(path)
    except InvalidFileError:
        if before is None:
            path.unlink()
        else:
            write_atomically(path, before)
            path.chmod(0o644)
        raise


def add_to_array(document: TOMLDocument, table: str, key: str, values: Iterable[str]) -> tuple[str, ...]:
    """Add texts to an array of a table, which is made where it is missing; return those that were not there."""
    place = _table(document, table)
    there = [str(value) for value in place.get(key, ())]
    fresh = tuple(value for value in dict.fromkeys(values) if value not in there)
    if fresh:
        array = place.get(key)
        if not isinstance(array, Array):
            array = place[key] = tomlkit.array()
            array = place[key]
        for value in fresh:
            array.append(value)
        if len(array.as_string()) > _WIDTH:
            array.multiline(True)  # noqa: FBT003 - tomlkit's signature
    return fresh


def remove_from_array(document: TOMLDocument, table: str, key: str, values: Iterable[str]) -> None:
    """Take texts out of an array; one that is empty then goes too."""
    place = _table(document, table)
    kept = [str(value) for value in place.get(key, ()) if str(value) not in set(values)]
    if kept:
        place[key] = kept
    elif key in place:
        del place[key]


def set_values(document: TOMLDocument, table: str, values: Mapping[str, object]) -> None:
    """Set keys of a table. A text of several lines, which holds no `'''`, is written as one."""
    place = _table(document, table)
    for key, value in values.items():
        several = isinstance(value, str) and "\n" in value
        place[key] = tomlkit.value(f"'''\n{value}'''") if several else value  # its first newline is layout


def drop_value(document: TOMLDocument, table: str, key: str) -> None:
    """Take a key out of a table, if it is there."""
    _table(document, table).pop(key, None)


def _table(document: TOMLDocument, dotted: str) -> Any:
    """Return a table by its dotted name, made at the end of the file where it is missing."""
    place: Any = document
    for part in dotted.split("."):
        if part not in place:
            if place is document and document.body and not _ends_blank(document):
                document.add(tomlkit.nl())
            place[part] = tomlkit.table()
        place = place[part]
    assert isinstance(place, AbstractTable)  # noqa: S101 - the recipe was read as one before
    return place


def _ends_blank(document: TOMLDocument) -> bool:
    item: Item | None = document.body[-1][1] if document.body else None
    return item is not None and item.as_string().endswith("\n\n")
