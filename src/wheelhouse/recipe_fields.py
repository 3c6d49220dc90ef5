"""Texts of a recipe in; checked texts out: versions, specifiers, requirements, names, hashes, paths.

Each type checks once, where the file is read, and also says in the JSON Schema what an editor can check.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Annotated

import pydantic
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import InvalidName, canonicalize_name
from packaging.version import InvalidVersion, Version

_SHA256 = "^[0-9a-f]{64}$"
_DIGITS = 64
_NAME = "^([A-Za-z0-9]|[A-Za-z0-9][A-Za-z0-9._-]*[A-Za-z0-9])$"
_SUBSTITUTIONS = {"name", "version"}


def _version(value: str) -> str:
    try:
        Version(value)
    except InvalidVersion as error:
        raise ValueError(f"`{value}` is not a version (PEP 440)") from error
    return value


def _specifier(value: str) -> str:
    try:
        SpecifierSet(value)
    except InvalidSpecifier as error:
        raise ValueError(f"`{value}` is not a version specifier (PEP 440), as in `<2.9.11`") from error
    return value


def _requirement(value: str) -> str:
    if not is_requirement(value):
        raise ValueError(f"`{value}` is not a requirement (PEP 508), as in `setuptools<80`")
    return value


def is_requirement(text: str) -> bool:
    """Say whether a text is a requirement (PEP 508)."""
    from packaging.requirements import InvalidRequirement, Requirement  # noqa: PLC0415 - start-up time: its parser

    try:
        Requirement(text)
    except InvalidRequirement:
        return False
    return True


def _name(value: str) -> str:
    try:
        canonicalize_name(value, validate=True)
    except InvalidName as error:
        raise ValueError(f"`{value}` is not a project name (PEP 508)") from error
    return value


def _import_name(value: str) -> str:
    if not all(part.isidentifier() for part in value.split(".")):
        raise ValueError(f"`{value}` cannot be imported: write a dotted module name")
    return value


def _sha256(value: str) -> str:
    if re.fullmatch(_SHA256, value):
        return value
    bare = value.removeprefix("sha256:").removeprefix("sha256=").lower()
    if bare != value and re.fullmatch(_SHA256, bare):
        raise ValueError(f"a sha256 is written as hex digits alone, in lower case: {bare}")
    if len(value) != _DIGITS:
        raise ValueError(f"a sha256 has {_DIGITS} hex digits; this has {len(value)} characters")
    raise ValueError("a sha256 has hex digits only, 0 to 9 and a to f")


def _path_inside(value: str) -> str:
    path = PurePosixPath(value)
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"`{value}` leaves its folder")
    return _plain(value)


def _url(value: str) -> str:
    if unknown := set(re.findall(r"{([^{}]*)}", value)) - _SUBSTITUTIONS:
        raise ValueError(f"only {{name}} and {{version}} are filled in, not {{{min(unknown)}}}")
    if not re.match(r"(https?|file)://[^\s]+$", value):
        raise ValueError("a source URL starts with https://, http:// or file:// and has no blanks")
    return value


def _package(value: str) -> str:
    # Handed to a package manager as one word of its command line: never an option, never two words.
    if value.startswith("-") or len(value.split()) != 1:
        raise ValueError(f"`{value}` is not the name of one system package")
    return _plain(value)


def _plain(value: str) -> str:
    if "\0" in value:
        raise ValueError("holds a NUL character, which no command line, environment or path can carry")
    return value


def _variable(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", value):
        raise ValueError(f"`{value}` is not the name of an environment variable")
    return value


Text = Annotated[str, pydantic.AfterValidator(_plain)]
Reason = Annotated[str, pydantic.Field(min_length=1)]
VersionText = Annotated[str, pydantic.AfterValidator(_version)]
SpecifierText = Annotated[str, pydantic.AfterValidator(_specifier)]
RequirementText = Annotated[str, pydantic.AfterValidator(_requirement)]
NameText = Annotated[str, pydantic.AfterValidator(_name), pydantic.Field(json_schema_extra={"pattern": _NAME})]
ImportName = Annotated[str, pydantic.AfterValidator(_import_name)]
Sha256 = Annotated[str, pydantic.AfterValidator(_sha256), pydantic.Field(json_schema_extra={"pattern": _SHA256})]
SourceUrl = Annotated[
    str, pydantic.AfterValidator(_url), pydantic.Field(json_schema_extra={"pattern": r"^(https?|file)://\S+$"})
]
PathInside = Annotated[str, pydantic.AfterValidator(_path_inside)]
SystemPackage = Annotated[
    str, pydantic.AfterValidator(_package), pydantic.Field(json_schema_extra={"pattern": r"^[^-\s]\S*$"})
]
VariableName = Annotated[
    str, pydantic.AfterValidator(_variable), pydantic.Field(json_schema_extra={"pattern": "^[A-Za-z_][A-Za-z0-9_]*$"})
]
FolderText = Annotated[str, pydantic.Field(min_length=1), pydantic.AfterValidator(_plain)]
Memory = Annotated[str, pydantic.Field(pattern=r"^\d{1,6}(\.\d{1,3})? ?(MB|GB)$")]
