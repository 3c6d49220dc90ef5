from __future__ import annotations

from datetime import UTC, datetime

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename

from arrivals import WHEEL, sha256
from wheelhouse.errors import IndexRefusesError
from wheelhouse.index.model import File, FileName, Manifest, Sha256, parse_project, parse_sha256

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


def a_file(filename: str = WHEEL, version: str = "1.0") -> File:
    return File(filename=filename, version=version, sha256=sha256(b"spam"), size=4, upload_time=NOON)


def test_manifest__json__comes_back_the_same() -> None:
    file = a_file().model_copy(
        update={
            "yanked": "broken <&>",
            "hashes": {"blake2b": "00"},
            "requires_python": ">=3.9",
            "core_metadata": sha256(b"m"),
            "extra": {"gpg-sig": False, "of-upstream": {"deep": [1]}},
        }
    )
    manifest = Manifest(
        name=canonicalize_name("spam"),
        generation=7,
        policy="overlay",
        status="deprecated",
        status_reason="use ham",
        files=(file,),
        deleted={"spam-0.9.tar.gz": sha256(b"old")},
    )
    assert Manifest.from_json(manifest.to_json()) == manifest


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("sha256", "ABC"),
        ("sha256", "A" * 64),
        ("filename", "../evil.whl"),
        ("filename", ".hidden"),
        ("filename", "a b.whl"),
        ("upload_time", "2026-11-01T12:00:00"),
        ("requires_python", "three"),
        ("size", -1),
        ("size", "4"),
        ("surprise", 1),
    ],
)
def test_manifest__field_of_a_file_is_not_valid__is_refused(key: str, value: object) -> None:
    manifest = Manifest(name=canonicalize_name("spam"), files=(a_file(),))
    table = orjson.loads(manifest.to_json())
    table["files"][0][key] = value
    with pytest.raises(ValueError, match=key):
        Manifest.from_json(orjson.dumps(table))


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"name": "spam"', b'{"name": "Spam", "format": 1}', b"\xff"])
def test_manifest__torn_or_foreign_bytes__are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="Manifest"):
        Manifest.from_json(data)


def test_manifest__files__stand_in_order_of_versions() -> None:
    names = ["spam-1.10.tar.gz", "spam-1.9.tar.gz", "spam-1.10rc1.tar.gz"]
    files = [a_file(name, str(FileName.parse(name).version)) for name in names]
    manifest = Manifest(name=canonicalize_name("spam")).with_files(files)
    assert manifest.versions == ("1.9", "1.10rc1", "1.10")
    assert manifest.generation == 2


@pytest.mark.parametrize("name", ["spam.whl", "spam-1.0-py3.whl", "spam-1.0.exe", "spam.tar.gz", "", "spam-one.tar.gz"])
def test_filename__neither_wheel_nor_sdist__is_refused(name: str) -> None:
    with pytest.raises(IndexRefusesError):
        FileName.parse(name)


def test_filename__other_spelling__claims_the_same_place() -> None:
    one, other = FileName.parse("Spam_Egg-1.0-py3-none-any.whl"), FileName.parse("spam.egg-1.0.0-py3-none-any.whl")
    assert one.place == other.place
    assert hash(one.place) == hash(other.place)


@pytest.mark.parametrize(
    "filename",
    [
        WHEEL,
        "Spam_Egg-1.0-2b-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
        f"spam-1.0-py3-none-{'.'.join(f'p{number}' for number in range(30))}.whl",
        "spam-1.0-b-py3-none-any.whl",
        "spam-1.0-1-2-py3-none-any.whl",
        "spam-one-py3-none-any.whl",
        "spam-1.0-py3-none.whl",
        "spam-1.0-py3--any.whl",
        "spam-py3-none-any.whl",
        "spam__egg-1.0-py3-none-any.whl",
        "spam.whl",
        ".whl",
    ],
)
def test_filename__of_a_wheel__is_what_packaging_says(filename: str) -> None:
    try:
        expected = parse_wheel_filename(filename)
    except InvalidWheelFilename:
        with pytest.raises(IndexRefusesError):
            FileName.parse(filename)
        return
    found = FileName.parse(filename)
    assert (found.project, found.version, found.build, found.tags) == expected


def test_filename__other_build__claims_another_place() -> None:
    assert FileName.parse("spam-1.0-1-py3-none-any.whl").place != FileName.parse(WHEEL).place


@given(st.text(max_size=20))
def test_project__any_text__is_normalised_or_refused(text: str) -> None:
    try:
        name = parse_project(text)
    except IndexRefusesError:
        return
    assert parse_project(name) == name == canonicalize_name(text)


def test_sha256__upper_case__is_lowered() -> None:
    assert parse_sha256("AB" * 32) == Sha256("ab" * 32)


@pytest.mark.parametrize("text", ["", "ab", "g" * 64, "a" * 65, "a" * 64 + "\n"])
def test_sha256__none__is_refused(text: str) -> None:
    with pytest.raises(IndexRefusesError):
        parse_sha256(text)
