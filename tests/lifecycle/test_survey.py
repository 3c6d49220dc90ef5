from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

import pytest
from packaging.utils import canonicalize_name
from packaging.version import Version

from wheelhouse.diagnose.lookup import KnownPackages
from wheelhouse.errors import SourceError
from wheelhouse.lifecycle.draft import recipe_text
from wheelhouse.lifecycle.editing import write_text
from wheelhouse.lifecycle.literals import asked_of_pkg_config, declared_extensions
from wheelhouse.lifecycle.sdist import Found
from wheelhouse.lifecycle.survey import survey
from wheelhouse.lifecycle.wanted import merged, merged_commands

if TYPE_CHECKING:
    from pathlib import Path

    from wheelhouse.lifecycle.survey import Survey

SETUP = """
from setuptools import setup, Extension
libs = []
if True:
    libs.append("acl")
setup(name="spam", ext_modules=[Extension("spam._eggs", ["eggs.c"], libraries=libs)])
"""


def look(root: Path, **files: str) -> Survey:
    """Survey a source of these files; `__` in a name stands for a slash, `_` before its suffix for the dot."""
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return survey(root, epoch=0, lookup=KnownPackages())


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ('Extension("a.b", [])', "a.b"),
        ('Extension(name="a/b", sources=[])', "a.b"),
        ('NAME = "a"\nsetuptools.Extension(NAME, [])', "a"),
        ('Pybind11Extension("a", [])', "a"),
        ('Extension("pkg.__init__", [])', "pkg"),
        ('N = "a"\nN = "b"\nExtension(N, [])', ""),
        ('Extension("a-py%s" % version, [])', ""),
        ('Extension("pkg.*", [])', ""),
    ],
)
def test_declared_extensions__name(source: str, name: str) -> None:
    assert [extension.name for extension in declared_extensions(source.encode())] == [name]


@pytest.mark.parametrize("source", [b"print 'python 2'", b"\xff\xfe", b"x = 1\0", b"(" * 500])
def test_declared_extensions__no_python__none(source: bytes) -> None:
    assert declared_extensions(source) == ()
    assert asked_of_pkg_config(source) == ()


@pytest.mark.parametrize(
    "source",
    [
        "subprocess.check_output(['pkg-config', '--cflags', 'fuse3'])",
        "pkg_config('fuse3', cflags=True)",
        "pkgconfig('fuse3')",
    ],
)
def test_asked_of_pkg_config__module(source: str) -> None:
    assert asked_of_pkg_config(source.encode()) == ("fuse3",)


def test_survey__setup_py__extension_and_library(tmp_path: Path) -> None:
    said = look(tmp_path, setup_dot_py=SETUP, eggs_dot_c="")

    assert [(extension.name, extension.where) for extension in said.extensions] == [("spam._eggs", "setup.py")]
    assert merged(said.packages) == {
        "manylinux": ("libacl-devel",),
        "musllinux": ("acl-dev",),
        "debian": ("libacl1-dev",),
    }
    assert [proposal.why for proposal in said.packages] == ["-lacl: setup.py"]


def test_survey__meson__modules_and_dependencies_without_condition(tmp_path: Path) -> None:
    build = """
    dependency('dbus-1', version: '>=1.8')
    dependency('cairo', required: false)
    # dependency('zlib')
    py.extension_module('_x', 'x.c', dependencies: [dbus_dep], subdir: 'pkg/sub', install: true)
    """
    pyproject = '[build-system]\nrequires = ["meson-python"]\nbuild-backend = "mesonpy"\n'
    said = look(tmp_path, meson_dot_build=build, pyproject_dot_toml=pyproject, setup_dot_py=SETUP)

    assert [extension.name for extension in said.extensions] == ["pkg.sub._x"]
    assert merged(said.packages)["debian"] == ("libdbus-1-dev", "pkgconf")


def test_survey__cmake__required_packages(tmp_path: Path) -> None:
    lists = "find_package(ZLIB REQUIRED)\nfind_package(OpenSSL)\npkg_check_modules(X REQUIRED libusb-1.0>=1)\n"
    pyproject = '[build-system]\nrequires = ["scikit-build-core"]\nbuild-backend = "scikit_build_core.build"\n'
    said = look(tmp_path, CMakeLists_dot_txt=f"{lists}pybind11_add_module(_core x.cpp)", pyproject_dot_toml=pyproject)

    assert [extension.name for extension in said.extensions] == ["_core"]
    assert set(merged(said.packages)["debian"]) == {"zlib1g-dev", "libusb-1.0-0-dev", "pkgconf"}


def test_survey__file_names__cython_and_init_functions(tmp_path: Path) -> None:
    cython = look(tmp_path / "a", setup_dot_py="", src__pkg____init___dot_py="", src__pkg__fast_dot_pyx="")
    plain = look(tmp_path / "b", setup_dot_py="", x_dot_c="PyMODINIT_FUNC PyInit_spam(void) {}")

    assert [extension.name for extension in plain.extensions] == ["spam"]
    assert "fast" in cython.extensions[0].name


def test_survey__headers__only_those_that_are_always_included(tmp_path: Path) -> None:
    source = """
    #ifndef GUARD
    #define GUARD
    #include <stdio.h>
    #include <portaudio.h>
    #ifdef WITH_SSL
    #include <openssl/ssl.h>
    #endif
    #include <own.h>
    #endif
    """
    setup = 'Extension("spam", ["x.c"])'
    aside = "#include <zlib.h>\n"
    files = {"setup_dot_py": setup, "x_dot_h": source, "x_dot_c": "", "own_dot_h": "", "tests__t_dot_c": aside}
    said = look(tmp_path, **files, plugins__y_dot_c=aside)

    assert merged(said.packages)["debian"] == ("portaudio19-dev",)


def test_survey__upstreams_own_tables__are_hints(tmp_path: Path) -> None:
    pyproject = """
    [tool.cibuildwheel.linux]
    before-all = "yum install -y krb5-devel || apk add --no-cache krb5-dev"
    [external]
    build-requires = ["dep:virtual/compiler/c"]
    host-requires = ["dep:generic/lzo2"]
    """
    said = look(tmp_path, setup_dot_py="", pyproject_dot_toml=pyproject)

    assert merged(said.packages) == {
        "manylinux": ("krb5-devel", "lzo-devel"),
        "musllinux": ("krb5-dev", "lzo-dev"),
        "debian": ("liblzo2-dev",),
    }
    assert [proposal.why.split(":")[0] for proposal in said.packages] == ["pyproject.toml", "pyproject.toml"]


@pytest.mark.parametrize(
    ("command", "found"),
    [
        ("yum -y install a-devel b", {"manylinux": ("a-devel", "b")}),
        ("apt-get update && sudo apt-get install -y libx-dev", {"debian": ("libx-dev",)}),
        (
            "if [ -x /sbin/apk ]; then apk add x-dev; else dnf install -y x; fi",
            {"musllinux": ("x-dev",), "manylinux": ("x",)},
        ),
        ("yum install -y $PACKAGES 'unclosed", {}),
        ("yum install -y $PACKAGES ./local.rpm", {}),
        ("pip install cmake", {}),
    ],
)
def test_merged_commands__packages(command: str, found: dict[str, tuple[str, ...]]) -> None:
    assert merged_commands([command]) == found


def test_survey__metadata__names_and_licence(tmp_path: Path) -> None:
    info = "Metadata-Version: 2.5\nName: spam\nImport-Name: eggs\nImport-Name: eggs.fried\nLicense-Expression: MIT\n"
    said = look(tmp_path, setup_dot_py=SETUP, PKG_INFO=info)
    assert said.import_names is not None
    assert said.import_names.where == "the extension modules"

    (tmp_path / "PKG-INFO").write_text(info)
    said = look(tmp_path)
    assert said.import_names is not None
    assert said.licence is not None
    assert (said.import_names.value, said.licence.value) == (("eggs",), ("MIT",))


def test_survey__no_source__is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"neither pyproject\.toml nor setup\.py"):
        look(tmp_path, README="")


def test_recipe_text__hostile_words__stay_comments(tmp_path: Path) -> None:
    said = look(tmp_path / "source", setup_dot_py=SETUP, eggs_dot_c="")
    (tmp_path / "source" / "PKG-INFO").write_text(
        'Classifier: License :: x\u2028[source]\nClassifier: License :: a"]\n'
    )
    said = look(tmp_path / "source")
    found = Found(
        project=canonicalize_name("spam"), version=Version("1.0"), sha256="0" * 64, archive=tmp_path, origin="me\nx = 1"
    )

    text = recipe_text(found, said)
    recipe = write_text(tmp_path / "recipes" / "spam" / "recipe.toml", text)

    assert set(tomllib.loads(text)) == {"package", "version", "system-packages", "test"}
    assert recipe.test.imports == ("spam._eggs",)
    assert "ExtensionFileLoader" in (recipe.test.command or "")
