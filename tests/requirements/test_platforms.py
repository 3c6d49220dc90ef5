from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from uv import find_uv_bin

from wheelhouse.process import Processes
from wheelhouse.requirements.platforms import platform_of
from wheelhouse.target import BuildIdentifier, known_identifiers

if TYPE_CHECKING:
    from packaging.tags import Tag


def tags_of(target: str, image: str | None = None) -> list[str]:
    tags: tuple[Tag, ...] = platform_of(BuildIdentifier.parse(target), image=image).tags
    return [str(tag) for tag in tags]


@pytest.mark.parametrize("text", known_identifiers())
def test_platform__of_every_identifier_of_cibuildwheel(text: str) -> None:
    platform = platform_of(BuildIdentifier.parse(text))
    assert len(platform.tags) > 10
    assert "py3-none-any" in {str(tag) for tag in platform.tags}


def test_platform__names__are_those_of_the_installed_uv() -> None:
    known = Processes().run([find_uv_bin(), "pip", "compile", "--help"]).output
    names = {platform_of(target).uv for target in known_identifiers().values()} - {None}
    assert len(names) > 8
    assert [name for name in names if str(name) not in known] == []


@pytest.mark.parametrize(
    ("target", "image", "name", "uv"),
    [
        ("cp313-manylinux_x86_64", None, "manylinux_2_28_x86_64", "x86_64-manylinux_2_28"),
        ("cp313-manylinux_x86_64", "q/manylinux2014_x86_64", "manylinux_2_17_x86_64", "x86_64-manylinux_2_17"),
        ("cp313-manylinux_aarch64", "manylinux_2_34", "manylinux_2_34_aarch64", "aarch64-manylinux_2_34"),
        ("cp313-manylinux_ppc64le", None, "manylinux_2_28_ppc64le", None),
        ("cp313-musllinux_aarch64", None, "musllinux_1_2_aarch64", "aarch64-unknown-linux-musl"),
        ("cp314t-manylinux_x86_64", None, "manylinux_2_28_x86_64", None),
        ("pp311-manylinux_x86_64", None, "manylinux_2_28_x86_64", None),
    ],
)
def test_platform__names(target: str, image: str | None, name: str, uv: str | None) -> None:
    platform = platform_of(BuildIdentifier.parse(target), image=image)
    assert (platform.name, platform.uv) == (name, uv)


def test_platform__tags__best_first_and_of_its_own_abi() -> None:
    assert tags_of("cp313-manylinux_x86_64")[0] == "cp313-cp313-manylinux_2_28_x86_64"
    assert "cp313-cp313-manylinux_2_34_x86_64" not in tags_of("cp313-manylinux_x86_64")
    assert "cp39-abi3-manylinux2014_x86_64" in tags_of("cp313-manylinux_x86_64")
    assert tags_of("cp314t-manylinux_x86_64")[0].startswith("cp314-cp314t-")
    assert "cp39-abi3-manylinux2014_x86_64" not in tags_of("cp314t-manylinux_x86_64")
    assert tags_of("pp311-manylinux_x86_64")[0] == "pp311-pypy311_pp73-manylinux_2_28_x86_64"
