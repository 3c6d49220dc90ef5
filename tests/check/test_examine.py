from __future__ import annotations

import hashlib
import os
import warnings
from typing import TYPE_CHECKING

import pytest

from check import archive_cases, binary_cases, identity_cases
from check.binary_cases import linked
from check.spoilt import OURS
from check.wheel_factory import Wheel, binary, pure
from small_wheels import SmallWheel
from wheelhouse.check import examine
from wheelhouse.check.codes import Code
from wheelhouse.errors import InvalidWheelError
from wheelhouse.finding import Severity, errors
from wheelhouse.target import native_arch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.skipif(native_arch() != "x86_64", reason="the binaries to order are compiled for x86_64")

CASES = {**archive_cases.CASES, **identity_cases.CASES, **binary_cases.CASES}


@pytest.mark.parametrize("name", CASES)
def test_examine__one_fault(name: str, tmp_path: Path) -> None:
    code, make = CASES[name]
    case = make()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # zipfile warns of the duplicate that is the point
        path = case.wheel.write(tmp_path)
    if case.afterwards is not None:
        case.afterwards(path)

    findings = examine(path, case.expected, limits=case.limits).findings

    assert {finding.code for finding in findings} - {also.code for also in case.besides} == {code.code}
    found = [finding for finding in findings if finding.code == code.code]
    assert any(case.says in f"{finding.message} {finding.where}" for finding in found), found
    assert {finding.severity for finding in found} == {code.severity if case.expected else code.foreign}


def test_cases__every_code_has_one() -> None:
    assert {code for code, _ in CASES.values()} == set(Code)


@pytest.mark.parametrize("wheel", [pure(), "binary"], ids=["pure", "binary"])
def test_examine__sound_wheel(wheel: Wheel | str, tmp_path: Path) -> None:
    made = binary() if isinstance(wheel, str) else wheel

    examination = examine(made.write(tmp_path), None if made is wheel else OURS)

    assert examination.findings == ()
    assert examination.imports == ("spam",)


@pytest.mark.parametrize("size", [9, 9 << 20], ids=["in memory", "from disk"])
def test_examine__sha256_is_of_the_file(size: int, tmp_path: Path) -> None:
    path = SmallWheel(files={"spam/data.bin": os.urandom(size)}).write(tmp_path)

    examination = examine(path)

    assert examination.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert errors(examination.findings) == ()
    assert examination.unpacked > size


@pytest.mark.parametrize(
    ("code", "wheel"),
    [
        (Code.RPATH, lambda: linked("-Wl,-rpath,/opt/x")),
        (Code.LINUX_TAG, lambda: binary(tag="cp311-cp311-linux_x86_64")),
    ],
)
def test_examine__counts_less_in_foreign_wheels(code: Code, wheel: Callable[[], Wheel], tmp_path: Path) -> None:
    findings = examine(wheel().write(tmp_path)).findings

    assert [(finding.code, finding.severity) for finding in findings] == [(code.code, Severity.WARNING)]


@pytest.mark.parametrize(
    ("filename", "data"),
    [("spam-1.0-py3-none-any.whl", b"no zip"), ("spam.whl", b""), ("spam-1.0-py3-none-any.whl", None)],
)
def test_examine__no_wheel(filename: str, data: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / filename
    if data is not None:
        path.write_bytes(data)

    with pytest.raises(InvalidWheelError):
        examine(path)
