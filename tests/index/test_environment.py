from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest

from wheelhouse.config import ServeSettings
from wheelhouse.errors import UsageError
from wheelhouse.index.environment import variable, with_options, with_variables

DEFAULT = ServeSettings()
#: Texts that are no key's default; one of them fits each key.
TEXTS = (
    "9000",
    "90s",
    "somewhere",
    "nobody",
    "local",
    "json",
    "none",
    "everybody",
    "https://wheels.example/",
    "mongodb://db/audited",
    "true",
    "all",
    "refuse",
    '["10.0.0.0/8"]',
)


def fitting(key: str) -> tuple[str, Any]:
    """Return a text that a key takes and that changes it, and its value then."""
    choices = get_args(ServeSettings.model_fields[key].annotation)
    for text in (*(choice for choice in choices if isinstance(choice, str)), *TEXTS):
        try:
            value = getattr(with_variables(DEFAULT, {variable(key): text}), key)
        except UsageError:
            continue
        if value != getattr(DEFAULT, key):
            return text, value
    raise AssertionError(f"{key} takes none of the texts")


@pytest.mark.parametrize("key", [key for key in ServeSettings.model_fields if key != "trusted_publishers"])
def test_variable__of_every_key__changes_it(key: str) -> None:
    text, value = fitting(key)
    file = with_variables(DEFAULT, {variable(key): text, "WHEELHOUSE_OTHER": "x"})
    assert file == DEFAULT.model_copy(update={key: value})


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("port", "9000", 9000),
        ("grace", "2m", 120.0),
        ("grace", '"2m"', 120.0),
        ("host", "127.0.0.1", "127.0.0.1"),
        ("host", "::", "::"),
        ("store", "s3://wheels/here", "s3://wheels/here"),
        ("store", "wheels", str(Path.cwd() / "wheels")),
        ("tls_cert", "/etc/cert.pem", "/etc/cert.pem"),
    ],
)
def test_variable__value__is_as_in_the_file(key: str, text: str, value: object) -> None:
    assert getattr(with_variables(DEFAULT, {variable(key): text}), key) == value


@pytest.mark.parametrize(
    ("name", "text"), [("WHEELHOUSE_PORT", "many"), ("WHEELHOUSE_PORT", "70000"), ("WHEELHOUSE_GRACE", "30")]
)
def test_variable__unfit_value__is_told_with_its_name(name: str, text: str) -> None:
    with pytest.raises(UsageError, match=name):
        with_variables(DEFAULT, {name: text})


def test_variable__empty__says_nothing() -> None:
    assert with_variables(DEFAULT, {"WHEELHOUSE_PORT": ""}) == DEFAULT


def test_options__go_before_variables__and_those_before_the_file() -> None:
    file = ServeSettings.model_validate({"host": "a", "port": 1, "grace": "1s"})
    chosen = with_options(
        with_variables(file, {"WHEELHOUSE_HOST": "b", "WHEELHOUSE_PORT": "2"}), {"host": "c", "port": None}
    )
    assert (chosen.host, chosen.port, chosen.grace) == ("c", 2, 1.0)


def test_options__unfit_value__is_told_with_the_option() -> None:
    with pytest.raises(UsageError, match=r"--grace: a duration is"):
        with_options(DEFAULT, {"grace": "soon"})
