from __future__ import annotations

import pytest

from wheelhouse.index.model import FileName
from wheelhouse.index.web.grid import Fit, Grid, Platform, Row, make_grid, parse_platform


@pytest.mark.parametrize(
    ("tag", "said"),
    [
        ("any", [("any", "any platform")]),
        ("manylinux_2_28_x86_64", [("x86_64", "glibc 2.28+")]),
        ("manylinux2014_aarch64", [("aarch64", "glibc 2.17+")]),
        ("manylinux1_i686", [("i686", "glibc 2.5+")]),
        ("musllinux_1_2_x86_64", [("x86_64", "musl 1.2+")]),
        ("macosx_11_0_arm64", [("aarch64", "macOS 11.0+")]),
        ("macosx_10_9_universal2", [("aarch64", "macOS 10.9+"), ("x86_64", "macOS 10.9+")]),
        ("win_amd64", [("x86_64", "Windows")]),
        ("win32", [("i686", "Windows")]),
        ("linux_riscv64", [("riscv64", "Linux")]),
        ("android_21_arm64_v8a", [("arm64_v8a", "Android 21+")]),
        ("plan9", [("plan9", "plan9")]),
    ],
)
def test_parse_platform__of_each_kind__says_what_it_needs(tag: str, said: list[tuple[str, str]]) -> None:
    assert [(platform.arch, str(platform)) for platform in parse_platform(tag)] == said


def test_platform__order__goes_by_numbers() -> None:
    assert Platform("x86_64", "glibc", (2, 5)) < Platform("x86_64", "glibc", (2, 17))


def grid(*filenames: str) -> Grid:
    return make_grid(map(FileName.parse, filenames))


def test_make_grid__wheels_of_several_tags__are_laid_out_once_with_the_lowest_floor() -> None:
    new = "spam-1-cp313-cp313-manylinux_2_28_x86_64.manylinux2014_x86_64.whl"
    arm, musl = "spam-1-cp312-cp312-manylinux_2_28_aarch64.whl", "spam-1-cp313-cp313-musllinux_1_2_x86_64.whl"

    assert grid(arm, new, musl) == Grid(
        archs=("x86_64", "aarch64"),
        rows=(
            Row(
                python="CPython 3.13",
                cells=((Fit(filename=new, needs="glibc 2.17+"), Fit(filename=musl, needs="musl 1.2+")), ()),
            ),
            Row(python="CPython 3.12", cells=((), (Fit(filename=arm, needs="glibc 2.28+"),))),
        ),
    )


def test_make_grid__pythons__are_called_by_their_names_newest_first() -> None:
    found = grid(
        "spam-1-py2.py3-none-any.whl",
        "spam-1-pp310-pypy310_pp73-win_amd64.whl",
        "spam-1-cp39-abi3-win_amd64.whl",
        "spam-1-cp313-cp313t-win_amd64.whl",
        "spam-1-cp313-cp313-win_amd64.whl",
        "spam-1-cp311-none-win_amd64.whl",
    )
    assert [row.python for row in found.rows] == [
        "CPython 3.13",
        "CPython 3.13 free-threaded",
        "CPython 3.11 and later, without its ABI",
        "CPython 3.9 and later",
        "PyPy 3.10",
        "any Python 3",
    ]
    assert found.archs == ("any", "x86_64")


def test_make_grid__of_nothing__is_empty() -> None:
    assert grid() == Grid(archs=(), rows=())
