from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from wheelhouse.check import examine
from wheelhouse.egg import Tools, convert_egg, is_egg
from wheelhouse.errors import InvalidWheelError, WheelhouseError
from wheelhouse.finding import errors
from wheelhouse.job import RepairSpec
from wheelhouse.process import Processes
from wheelhouse.wheel import WheelName

PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"
TAG = f"cp{PYTHON.replace('.', '')}"
PLATFORM = f"linux-{os.uname().machine}"
DESCRIPTION = "A long description.\n\n  code\n\nThe end.\n"
INFO = f"Metadata-Version: 2.1\nName: Egg.Demo\nVersion: 1.2\nLicense-File: LICENSE\n\n{DESCRIPTION}"
EXTENSION = """\
#include <Python.h>
static PyObject *answer(PyObject *self, PyObject *none) { return PyLong_FromLong(42); }
static PyMethodDef methods[] = {{"answer", answer, METH_NOARGS, NULL}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_speed", NULL, -1, methods};
PyMODINIT_FUNC PyInit__speed(void) { return PyModule_Create(&module); }
"""
SETUP = """\
from setuptools import Extension, setup
setup(
    name="Egg.Demo", version="1.2", packages=["egg_demo"], scripts=["bin/egg-script"],
    entry_points={"console_scripts": ["egg-demo = egg_demo:main"]}, install_requires=["packaging>=20"],
    ext_modules=[Extension("egg_demo._speed", ["speed.c"])] if EXTENSION else [],
)
"""
#: The one thing in these tests that an index must give: a setuptools that still makes eggs.
OLD_SETUPTOOLS = "setuptools<80"


def convert(egg: Path, tmp_path: Path) -> Path:
    work = tmp_path / "work"
    work.mkdir()
    tools = Tools(processes=Processes(), environment=os.environ, work=work, repair=RepairSpec())
    return convert_egg(egg, destination=tmp_path / "out", tools=tools)


def make_egg(folder: Path, name: str, files: dict[str, str | bytes]) -> Path:
    """Write an egg file with these members and a PKG-INFO."""
    path = folder / name
    with zipfile.ZipFile(path, "w") as archive:
        for member, data in {"EGG-INFO/PKG-INFO": INFO, **files}.items():
            archive.writestr(member, data)
    return path


def names_in(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if not name.endswith("/")}


def read(wheel: Path, name: str) -> str:
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(name).decode()


def run(*command: str | Path, cwd: Path) -> str:
    return subprocess.run(
        [os.fspath(word) for word in command], cwd=cwd, check=True, capture_output=True, text=True
    ).stdout


@pytest.fixture(scope="module")
def old_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make an environment with a setuptools that has `bdist_egg`."""
    folder = tmp_path_factory.mktemp("old") / "env"
    uv = Path(sys.executable).parent / "uv"
    run(uv, "venv", "--quiet", "--python", sys.executable, folder, cwd=folder.parent)
    run(uv, "pip", "install", "--quiet", "--python", folder / "bin/python", OLD_SETUPTOOLS, cwd=folder.parent)
    return folder / "bin/python"


def build_egg(folder: Path, python: Path, *, extension: bool) -> Path:
    """Let setuptools itself make an egg."""
    (folder / "egg_demo").mkdir(parents=True)
    (folder / "bin").mkdir()
    (folder / "setup.py").write_text(SETUP.replace("EXTENSION", str(extension)))
    (folder / "speed.c").write_text(EXTENSION)
    (folder / "bin/egg-script").write_text("#!/usr/bin/python\nprint('script')\n")
    body = "from egg_demo._speed import answer" if extension else "def answer(): return 42"
    (folder / "egg_demo/__init__.py").write_text(f"{body}\ndef main(): print(answer())\n")
    run(python, "-W", "ignore", "setup.py", "-q", "bdist_egg", cwd=folder)
    (egg,) = (folder / "dist").glob("*.egg")
    return egg


def install_and_run(wheel: Path, folder: Path, *installer: str) -> str:
    """Install a wheel with a real installer into a new environment, and run what it brings."""
    run(Path(sys.executable).parent / "uv", "venv", "--quiet", "--seed", "--python", sys.executable, "env", cwd=folder)
    run(*installer, wheel, cwd=folder)
    return "".join(run(folder / "env/bin" / program, cwd=folder) for program in ("egg-demo", "egg-script"))


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.parametrize("extension", [True, False])
@pytest.mark.parametrize("unpacked", [True, False])
def test_convert_egg__real_one_of_setuptools(
    old_python: Path, tmp_path: Path, *, extension: bool, unpacked: bool
) -> None:
    if extension and shutil.which("cc") is None:
        pytest.skip("no C compiler")
    egg = build_egg(tmp_path / "project", old_python, extension=extension)
    if unpacked:
        folder = tmp_path / "unpacked" / egg.name
        with zipfile.ZipFile(egg) as archive:
            archive.extractall(folder)
        egg = folder

    wheel = convert(egg, tmp_path)

    (tag, *_) = sorted(map(str, WheelName.parse(wheel.name).tags))
    assert tag.startswith(f"{TAG}-{TAG}-manylinux" if extension else f"py{PYTHON.replace('.', '')}-none-any")
    assert errors(examine(wheel).findings) == ()
    assert not [name for name in names_in(wheel) if name.endswith((".pyc", "_speed.py")) or "EGG-INFO" in name]
    assert "Requires-Dist: packaging>=20" in read(wheel, "egg_demo-1.2.dist-info/METADATA")
    python = tmp_path / "env/bin/python"
    installer: tuple[str, ...] = (str(python), "-m", "pip", "--quiet", "install", "--no-deps")
    if unpacked:
        uv = Path(sys.executable).parent / "uv"
        installer = (str(uv), "pip", "install", "--quiet", "--no-deps", "--python", str(python))
    assert install_and_run(wheel, tmp_path, *installer) == "42\nscript\n"


def test_convert_egg__pure(tmp_path: Path) -> None:
    egg = make_egg(
        tmp_path,
        "Egg.Demo-1.2-py3.11.egg",
        {
            "egg_demo/__init__.py": "x = 1\n",
            "egg_demo/__pycache__/__init__.cpython-311.pyc": b"bytecode",
            "egg_demo/kept.pyc": b"a module that comes without its source",
            "EGG-INFO/scripts/tool": "#!/opt/python3.11/bin/python3.11 -E\nprint(1)\n",
            "EGG-INFO/entry_points.txt": "[console_scripts]\negg-demo = egg_demo:x\n",
        },
    )
    before = egg.read_bytes()

    wheel = convert(egg, tmp_path)

    assert wheel.name == "egg_demo-1.2-py311-none-any.whl"
    assert egg.read_bytes() == before
    assert names_in(wheel) == {
        "egg_demo/__init__.py",
        "egg_demo/kept.pyc",
        "egg_demo-1.2.data/scripts/tool",
        "egg_demo-1.2.dist-info/METADATA",
        "egg_demo-1.2.dist-info/WHEEL",
        "egg_demo-1.2.dist-info/RECORD",
        "egg_demo-1.2.dist-info/entry_points.txt",
    }
    assert read(wheel, "egg_demo-1.2.data/scripts/tool").startswith("#!python -E\n")
    metadata = read(wheel, "egg_demo-1.2.dist-info/METADATA")
    assert "License-File" not in metadata
    assert metadata.endswith(f"Version: 1.2\n\n{DESCRIPTION}\n")
    assert errors(examine(wheel).findings) == ()


def test_convert_egg__twice_gives_the_same_bytes(tmp_path: Path) -> None:
    egg = make_egg(tmp_path, "Egg.Demo-1.2-py3.11.egg", {"x.py": "", "EGG-INFO/scripts/tool": "#!/bin/sh\n"})
    wheels = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        wheels.append(convert(egg, tmp_path / name).read_bytes())

    assert wheels[0] == wheels[1]


def test_convert_egg__version_that_is_not_in_normal_form(tmp_path: Path) -> None:
    egg = make_egg(tmp_path, "Egg.Demo-1.2-py3.11.egg", {"x.py": ""})
    with zipfile.ZipFile(egg, "w") as archive:
        archive.writestr("EGG-INFO/PKG-INFO", INFO.replace("1.2\n", "1.2-beta3\n"))
        archive.writestr("x.py", "")

    wheel = convert(egg, tmp_path)

    assert wheel.name == "egg_demo-1.2b3-py311-none-any.whl"
    assert errors(examine(wheel).findings) == ()


def test_convert_egg__python_whose_abi_tag_has_an_m(tmp_path: Path) -> None:
    egg = make_egg(
        tmp_path, "Egg.Demo-1.2-py3.7-win-amd64.egg", {"x.cp37-win_amd64.pyd": b"MZ", "y.so": b"not an ELF file"}
    )

    wheel = convert(egg, tmp_path)

    assert wheel.name == "egg_demo-1.2-cp37-cp37m-win_amd64.whl"


def test_convert_egg__windows_installer(tmp_path: Path) -> None:
    path = tmp_path / "Egg.Demo-1.2.win32-py3.4.exe"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("PURELIB/egg_demo/__init__.py", "x = 1\n")
        archive.writestr("PURELIB/egg_demo-1.2-py3.4.egg-info/PKG-INFO", INFO)
    path.write_bytes(b"MZ, and then the program that unpacks" + path.read_bytes())

    wheel = convert(path, tmp_path)

    assert "egg_demo/__init__.py" in names_in(wheel)
    assert WheelName.parse(wheel.name).project == "egg-demo"


@pytest.mark.parametrize(
    ("name", "files", "words"),
    [
        ("a-1-py2.7.egg", {"x.py": ""}, "Python 2.7"),
        ("a-1.egg", {"x.so": b"\x7fELF"}, "for which Python and platform"),
        ("a-1-py3.11.egg", {"../x.py": ""}, "is not an egg"),
        ("a-1-py3.11.egg", {"/x.py": ""}, "is not an egg"),
        ("a-1-py3.11.egg", {"EGG-INFO/PKG-INFO": "Name: spam\n"}, "no version"),
        ("a-1-py3.11.egg", {"EGG-INFO/PKG-INFO": "Name: spam\nVersion: blue\n"}, "PEP 440"),
        ("a-1.win32.exe", {"x.py": ""}, "bdist_wininst"),
    ],
)
def test_convert_egg__what_has_no_wheel(name: str, files: dict[str, str | bytes], words: str, tmp_path: Path) -> None:
    egg = make_egg(tmp_path, name, files)

    with pytest.raises(InvalidWheelError, match=words):
        convert(egg, tmp_path)

    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("data", [b"", b"no zip at all", b"PK\x03\x04 cut off"])
@pytest.mark.parametrize("name", ["a-1-py3.11.egg", "a-1.win32.exe"])
def test_convert_egg__broken_file(name: str, data: bytes, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(data)

    with pytest.raises(InvalidWheelError):
        convert(path, tmp_path)


def test_convert_egg__folder_with_a_link_out_of_it(tmp_path: Path) -> None:
    folder = tmp_path / "a-1-py3.11.egg"
    (folder / "EGG-INFO").mkdir(parents=True)
    (folder / "EGG-INFO/PKG-INFO").write_text(INFO)
    (folder / "secret").symlink_to("/etc/passwd")

    with pytest.raises(InvalidWheelError, match="links"):
        convert(folder, tmp_path)


def test_convert_egg__binary_of_another_architecture(tmp_path: Path) -> None:
    egg = make_egg(tmp_path, f"a-1-py{PYTHON}-linux-x86_64.egg", {"x.so": b"\x7fELF and nothing more"})

    with pytest.raises(WheelhouseError, match="a-1"):
        convert(egg, tmp_path)


def test_is_egg__by_name_or_contents(tmp_path: Path) -> None:
    (tmp_path / "spam/EGG-INFO").mkdir(parents=True)

    assert is_egg(tmp_path / "spam")
    assert is_egg(Path("a.egg"))
    assert is_egg(Path("a.win32-py3.4.exe"))
    assert not is_egg(tmp_path)
    assert not is_egg(Path("a.whl"))
