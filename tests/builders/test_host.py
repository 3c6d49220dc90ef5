from __future__ import annotations

import os
import re
import shutil
import sys
import time
import zipfile
from dataclasses import replace
from io import BytesIO
from typing import TYPE_CHECKING

import pytest
from elftools.elf.elffile import ELFFile

from fakes import a_job
from host_projects import PYTHON, a_project, a_request
from wheelhouse.builders.host import HostBuilder
from wheelhouse.builders.toolchain import Compilers
from wheelhouse.config import Config
from wheelhouse.errors import BuildError, BuildTimeoutError, MachineError
from wheelhouse.process import Processes
from wheelhouse.recipe import SystemPackages
from wheelhouse.requirements import Lock, Pin, Requirements
from wheelhouse.target import BuildIdentifier
from wheelhouse.wheel import sha256_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from wheelhouse.builders import BuildRequest
    from wheelhouse.config import Toolchain
    from wheelhouse.job import Job

pytestmark = pytest.mark.slow

MACHINE = os.uname().machine
NATIVE = f"{PYTHON}-manylinux_{MACHINE}"
FOREIGN = "aarch64" if MACHINE == "x86_64" else "x86_64"


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shared: zig compiles its start files for a target once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def processes() -> Processes:
    return Processes()


@pytest.fixture
def builder(processes: Processes, cache: Path) -> HostBuilder:
    return HostBuilder(processes, Config(), os.environ, cache)


@pytest.fixture
def request_for(tmp_path: Path, processes: Processes) -> Callable[..., BuildRequest]:
    def make(*, job: Job | None = None, **project: str | None) -> BuildRequest:
        root = a_project(tmp_path / "source", **project)  # type: ignore[arg-type]  # handed through as they are
        return a_request(tmp_path, root, processes, job=job)

    return make


def job_with(toolchain: Toolchain, target: str = NATIVE) -> Job:
    return replace(a_job(target=target), toolchain=toolchain)


def needs(program: str) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")


def elf_in(wheel: Path) -> ELFFile:
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".so"))
        return ELFFile(BytesIO(archive.read(name)))


def test_build__zig_reaches_an_old_glibc(builder: HostBuilder, request_for: Callable[..., BuildRequest]) -> None:
    built = builder.build(request_for(job=job_with("zig")))

    # Whatever auditwheel proves, but no newer: the module needs so little that it may be even older.
    assert "manylinux_2_17" in built.path.name or "manylinux1" in built.path.name
    assert built.details["toolchain"] == "zig"
    assert "2.17" in built.details["compiler"]
    assert 0 < built.details["back end seconds"] < 120


def test_build__system_compiler(builder: HostBuilder, request_for: Callable[..., BuildRequest]) -> None:
    needs("cc")

    built = builder.build(request_for(job=job_with("system")))

    assert built.path.name.startswith(f"spam-1.0-{PYTHON}-{PYTHON}-manylinux")
    assert built.details["toolchain"] == "system"


@pytest.mark.parametrize("toolchain", ["zig", "system"])
def test_build__leaves_no_path_of_this_machine(
    builder: HostBuilder, request_for: Callable[..., BuildRequest], toolchain: Toolchain
) -> None:
    needs("cc")
    request = request_for(job=job_with(toolchain), flags=f"-Wl,-rpath,{sys.prefix}/lib")

    built = builder.build(request)

    with zipfile.ZipFile(built.path) as archive:
        for name in archive.namelist():
            data = archive.read(name)
            assert os.fsencode(request.work) not in data, name
            assert os.fsencode(request.tree.root) not in data, name
            assert os.fsencode(sys.prefix) not in data, name


@pytest.mark.parametrize("toolchain", ["zig", "system"])
def test_build__twice_gives_the_same_bytes(builder: HostBuilder, tmp_path: Path, toolchain: Toolchain) -> None:
    needs("cc")
    digests = []
    for _ in range(2):
        folder = tmp_path / "job"
        shutil.rmtree(folder, ignore_errors=True)
        root = a_project(folder / "source")
        built = builder.build(a_request(folder, root, Processes(), job=job_with(toolchain)))
        digests.append(sha256_of(built.path))
        time.sleep(1.1)  # a time that gets in anywhere has changed by now

    assert digests[0] == digests[1]


def test_build__for_another_architecture(builder: HostBuilder, request_for: Callable[..., BuildRequest]) -> None:
    built = builder.build(request_for(job=job_with("auto", f"{PYTHON}-manylinux_{FOREIGN}")))

    assert built.path.name.endswith(f"manylinux_2_17_{FOREIGN}.whl")
    assert elf_in(built.path)["e_machine"] == {"aarch64": "EM_AARCH64", "x86_64": "EM_X86_64"}[FOREIGN]
    with zipfile.ZipFile(built.path) as archive:
        assert f"spam.cpython-3{sys.version_info[1]}-{FOREIGN}-linux-gnu.so" in archive.namelist()


def test_build__without_its_extension(builder: HostBuilder, request_for: Callable[..., BuildRequest]) -> None:
    with pytest.raises(BuildError, match="no extension module") as caught:
        builder.build(request_for(extension=None))

    assert "build.extension" in str(caught.value.hint)


def test_build__zig_fails_and_the_system_compiler_does_it(
    builder: HostBuilder, request_for: Callable[..., BuildRequest]
) -> None:
    needs("cc")
    # The first attempt must not be able to spoil the second: it works on a copy.
    first = "import os\nif 'zig' in os.environ['CC']:\n    os.unlink('spam.c'); raise SystemExit('not with zig')"
    request = request_for(first=first.replace("'zig' in os.environ['CC']", "'ZIG_GLOBAL_CACHE_DIR' in os.environ"))

    built = builder.build(request)

    assert built.details["toolchain"] == "system"
    assert built.details["toolchain-failed"] == "zig"
    assert "with the zig compiler: the build back end failed" in request.log.path.read_text()


def test_build__c_that_does_not_compile(builder: HostBuilder, request_for: Callable[..., BuildRequest]) -> None:
    request = request_for(extension="#include <spam_nowhere.h>\n")

    with pytest.raises(BuildError, match="back end failed with status"):
        builder.build(request)

    assert "spam_nowhere.h" in request.log.path.read_text()


def test_build__names_packages_that_are_not_installed(
    builder: HostBuilder, request_for: Callable[..., BuildRequest]
) -> None:
    needs("dpkg-query")
    job = replace(a_job(target=NATIVE), system_packages=SystemPackages(debian=("libspam-dev", "dpkg")))

    with pytest.raises(BuildError) as caught:
        builder.build(request_for(job=job, extension="#include <spam/spam.h>\n"))

    assert caught.value.hint == "apt-get install libspam-dev"


def test_build__dynamic_requirement_that_is_missing(
    builder: HostBuilder, request_for: Callable[..., BuildRequest]
) -> None:
    with pytest.raises(BuildError) as caught:
        builder.build(request_for(wanted="cython>=3\nold; python_version < '3'\n"))

    assert "needs cython>=3" in str(caught.value)
    assert caught.value.hint == "build.requires: cython>=3"


@pytest.mark.parametrize(
    ("backend", "script", "asked"),
    [
        ("setuptools.build_meta", "setup()", False),
        ("setuptools.build_meta:__legacy__", "setup(setup_requires=['cffi'])", True),
        ("backend", "setup()", True),
    ],
)
def test_build__asks_for_more_requirements_only_where_there_can_be_some(
    builder: HostBuilder,
    request_for: Callable[..., BuildRequest],
    backend: str,
    script: str,
    asked: bool,  # noqa: FBT001 - a parameter of the case
) -> None:
    request = request_for()
    (request.tree.root / "setup.py").write_text(script)
    facts = replace(request.tree.facts, backend=backend)

    builder.build(replace(request, tree=replace(request.tree, facts=facts)))

    assert ("get_requires_for_build_wheel" in request.log.path.read_text()) is asked


def test_build__time_is_up(builder: HostBuilder, request_for: Callable[..., BuildRequest]) -> None:
    request = replace(request_for(first="import time; time.sleep(60)"), timeout=2.0)
    started = time.monotonic()

    with pytest.raises(BuildTimeoutError):
        builder.build(request)

    assert time.monotonic() - started < 20


def test_build__sees_no_secret_and_no_home(processes: Processes, cache: Path, tmp_path: Path) -> None:
    first = (
        "import os\nbad = [n for n in os.environ if 'TOKEN' in n or n == 'SSH_AUTH_SOCK']\n"
        "assert not bad, bad\nassert os.environ['HOME'] != os.path.realpath('/root')\n"
        "assert os.environ['SOURCE_DATE_EPOCH'] == '1700000000'\n"
        "assert os.environ['SPAM'] == 'eggs' and '-DX' in os.environ['CFLAGS']\n"
    )
    environment = {**os.environ, "MY_TOKEN": "secret", "SSH_AUTH_SOCK": "/x"}
    builder = HostBuilder(processes, Config(), environment, cache)
    job = replace(a_job(target=NATIVE), environment={"SPAM": "eggs", "CFLAGS": "-DX"})

    assert builder.build(a_request(tmp_path, a_project(tmp_path / "source", first=first), processes, job=job)).path


def test_build__has_no_network_where_it_can_be_denied(
    builder: HostBuilder, request_for: Callable[..., BuildRequest]
) -> None:
    if not builder._network.prefix:
        pytest.skip("no way to deny the network here")
    first = "import socket\nnames = [name for _, name in socket.if_nameindex()]\nassert names == ['lo'], names\n"

    assert builder.build(request_for(first=first)).details["network"] == "denied"


def test_build__requirements_are_installed(builder: HostBuilder, request_for: Callable[..., BuildRequest]) -> None:
    request = request_for(wanted="eggs", first="import eggs; assert eggs.answer == 1")
    folder = request.requirements.folder
    name = "eggs-1.0-py3-none-any.whl"
    with zipfile.ZipFile(folder / name, "w") as archive:
        archive.writestr("eggs.py", "answer = 1\n")
        archive.writestr("eggs-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: eggs\nVersion: 1.0\n")
        archive.writestr("eggs-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("eggs-1.0.dist-info/RECORD", "")
    pin = Pin(name="eggs", version="1.0", filename=name, sha256="", url="")

    built = builder.build(replace(request, requirements=Requirements(lock=Lock(pins=(pin,)), folder=folder)))

    assert built.path.is_file()


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("cp313-macosx_arm64", "Linux wheels"),
        ("pp311-manylinux_x86_64", "CPython only"),
        (f"{PYTHON}-manylinux_i686", "i686 cannot be built"),
        (f"{PYTHON}-manylinux_s390x", "s390x cannot be built"),
        (f"{PYTHON}-musllinux_{MACHINE}", "musllinux wheels cannot be built"),
    ],
)
def test_unavailable__targets_for_other_builders(builder: HostBuilder, target: str, reason: str) -> None:
    answer = builder.unavailable(BuildIdentifier.parse(target))

    assert answer is not None
    assert re.search(reason, answer.reason)
    assert answer.hint


def test_unavailable__no_compiler(processes: Processes, cache: Path, tmp_path: Path) -> None:
    environment = {"PATH": str(tmp_path)}
    compilers = Compilers(processes, environment, cache, find_zig=lambda: None)
    builder = HostBuilder(processes, Config(), environment, tmp_path / "cache", compilers=compilers)

    answer = builder.unavailable(BuildIdentifier.parse(NATIVE))

    assert answer is not None
    assert answer.reason == "there is no C compiler"
    assert "wheelhouse[zig]" in str(answer.hint)
    with pytest.raises(MachineError, match="no C compiler"):
        builder.inputs(a_job(target=NATIVE))


def test_inputs__name_what_can_change_the_wheel(builder: HostBuilder) -> None:
    inputs = builder.inputs(a_job(target=NATIVE))

    assert {"tool.auditwheel", "tool.patchelf", "python.version", "toolchain.order"} <= inputs.keys()
    assert inputs["python.version"] == sys.version
    assert builder.inputs(a_job(target=NATIVE)) == inputs


def test_inputs__versions_of_system_packages(builder: HostBuilder) -> None:
    needs("dpkg-query")
    job = replace(a_job(target=NATIVE), system_packages=SystemPackages(debian=("dpkg", "libspam-dev")))

    inputs = builder.inputs(job)

    assert inputs["system.dpkg"][0].isdigit()
    assert inputs["system.libspam-dev"] == ""
