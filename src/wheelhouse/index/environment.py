"""Texts by key in, `[serve]` with them out: what variables and options say goes before what wheelhouse.toml says.

Each key has its variable: `tls-cert` is `WHEELHOUSE_TLS_CERT`. A value is written as in the file; the quotes of a text
may be left out.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pydantic
import tomli

from wheelhouse.config import ServeSettings
from wheelhouse.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Keys that hold a path: one from outside of the file is seen from where one is.
_PATHS = {"store", "tokens", "signing_key", "tls_cert", "tls_key"}


def variable(key: str) -> str:
    """Return the variable of a key of `[serve]`, which is given as the field's name."""
    return f"WHEELHOUSE_{key.upper()}"


def with_variables(serve: ServeSettings, environment: Mapping[str, str]) -> ServeSettings:
    """Return the settings with what the environment says. An empty variable says nothing. Raises UsageError."""
    texts = {key: environment.get(variable(key)) for key in ServeSettings.model_fields}
    said = {key: _value(key, text, where=variable(key)) for key, text in texts.items() if text}
    return serve.model_copy(update=said)


def with_options(serve: ServeSettings, options: Mapping[str, object]) -> ServeSettings:
    """Return the settings with what the command line says; None says nothing. Raises UsageError."""
    said = {
        key: _value(key, value, where=f"--{_alias(key)}") if isinstance(value, str) else value
        for key, value in options.items()
        if value is not None
    }
    return serve.model_copy(update=said)


def _value(key: str, text: str, *, where: str) -> Any:
    try:
        value = _parse(key, text)
    except pydantic.ValidationError as error:
        told = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
        raise UsageError(
            told[:1].lower() + told[1:], where=where, hint=f"`[serve] {_alias(key)}` has a word on it"
        ) from error
    if key in _PATHS and "://" not in text:
        return str(Path(text).absolute())
    return value


def _parse(key: str, text: str) -> Any:
    """Take a text as it is if that is what the key has, else as TOML."""
    try:
        return _validated(key, text)
    except pydantic.ValidationError:
        try:
            value = tomli.loads(f"value = {text}")["value"]
        except ValueError:
            value = text
        return _validated(key, value)


def _validated(key: str, value: object) -> Any:
    return getattr(ServeSettings.model_validate({_alias(key): value}), key)


def _alias(key: str) -> str:
    return key.replace("_", "-")
