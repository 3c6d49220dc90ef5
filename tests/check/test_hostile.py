"""Bytes that somebody spoilt: a finding or InvalidWheelError, never another exception."""

from __future__ import annotations

import contextlib
import tempfile
import warnings
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from check.wheel_factory import binary, compiled
from wheelhouse.check import examine
from wheelhouse.check.elf import Elf, MalformedElfError, read_elf
from wheelhouse.errors import InvalidWheelError

QUICK = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.fixture(scope="module")
def sound() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return (
            binary(compiled("int PyInit__spam(void) { return 0; }", "-Wl,-z,x86-64-v3"))
            .write(Path(folder))
            .read_bytes()
        )


def spoil(data: bytes, changes: list[tuple[float, int]], kept: float) -> bytes:
    spoilt = bytearray(data[: max(1, int(len(data) * kept))])
    for place, value in changes:
        spoilt[int(place * (len(spoilt) - 1))] = value
    return bytes(spoilt)


CHANGES = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=12)
KEPT = st.sampled_from([1.0, 1.0, 1.0, 0.99, 0.5])


@QUICK
@given(changes=CHANGES, kept=KEPT)
def test_examine__spoilt_archive(sound: bytes, changes: list[tuple[float, int]], kept: float) -> None:
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        path = Path(folder) / "spam-1.0-cp311-cp311-manylinux_2_17_x86_64.whl"
        path.write_bytes(spoil(sound, changes, kept))
        with contextlib.suppress(InvalidWheelError):
            assert examine(path).name.version.major == 1


@QUICK
@given(changes=CHANGES, kept=KEPT)
def test_read_elf__spoilt(changes: list[tuple[float, int]], kept: float) -> None:
    data = spoil(compiled("int PyInit__spam(void) { return 0; }", "-Wl,-z,x86-64-v3"), changes, kept)
    with contextlib.suppress(MalformedElfError):
        assert isinstance(read_elf(data), Elf)


@QUICK
@given(text=st.binary(max_size=300), name=st.sampled_from(["METADATA", "WHEEL", "RECORD", "sboms/x.json"]))
def test_examine__any_text(text: bytes, name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        wheel = binary(compiled()).with_paths({f"spam-1.0.dist-info/{name}": text})
        if name == "RECORD":
            wheel = wheel.with_paths({f"spam-1.0.dist-info/{name}": None}).having(
                record=lambda _: text.decode("utf-8", "replace")
            )
        assert examine(wheel.write(Path(folder))).name.project == "spam"
