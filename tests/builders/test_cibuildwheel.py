from __future__ import annotations

import dataclasses
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import zipfile
from typing import TYPE_CHECKING

import pytest
from packaging.utils import parse_wheel_filename

from fakes import a_job
from host_projects import a_project, a_request
from wheelhouse import requirements, source
from wheelhouse.builders.cibuildwheel import CibuildwheelBuilder
from wheelhouse.builders.engine import OWNER_LABEL
from wheelhouse.config import Config, configured_index, index_url
from wheelhouse.errors import BuildError, BuildTimeoutError, CanceledError, MachineError
from wheelhouse.job import RepairSpec, SourceSpec
from wheelhouse.process import Processes
from wheelhouse.recipe import SystemPackages
from wheelhouse.target import BuildIdentifier

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from wheelhouse.builders import BuildRequest
    from wheelhouse.builders.engine import Engine
    from wheelhouse.job import Job

X86_64 = "cp311-manylinux_x86_64"
ABSENT = "echo Error: image not known; exit 125"
DIGEST = f"sha256:{'a' * 64}"
SOURCES = {
    "markupsafe": ("3.0.2", "ee55d3edf80167e48ea11a923c7386f4669df67d7994554387f84e7d8b0a2bf0"),
    "psycopg2": ("2.9.10", "12ec0b40b0273f95296233e8750441339298e6a572f7039da5b260e3c8b60e11"),
}


def a_builder(
    folder: Path,
    *,
    images: dict[str, str] | None = None,
    processes: Processes | None = None,
    environment: dict[str, str] | None = None,
    pull: bool = False,
) -> CibuildwheelBuilder:
    return CibuildwheelBuilder(
        processes or Processes(),
        Config.model_validate({"images": images or {}}),
        dict(os.environ) if environment is None else environment,
        folder / "cache",
        pull=pull,
    )


def fake_podman(folder: Path, inspect: str) -> dict[str, str]:
    """Write a podman that works but has only what `inspect` says; return the environment that finds it."""
    program = folder / "podman"
    program.write_text(
        f'#!/bin/sh\ncase "$1" in\nversion) echo 5.0 linux/amd64 false ;;\nimage) {inspect} ;;\n*) exit 1 ;;\nesac\n'
    )
    program.chmod(0o755)
    return {"PATH": f"{folder}:/usr/bin:/bin"}


def containers(engine: Engine, job: Job) -> list[str]:
    command = [engine.name, "ps", "--all", "--quiet", f"--filter=label=wheelhouse.job={job.id}"]
    return Processes().run(command, env=engine.environment).output.split()


def a_package(folder: Path, project: str, target: str, *, image: str, packages: tuple[str, ...] = ()) -> BuildRequest:
    """Return a request for a package of the index, its build requirements resolved."""
    version, digest = SOURCES[project]
    job = a_job(project, version, target)
    spec = SourceSpec(project=job.project, version=job.version, sha256=digest, url=None)
    job = dataclasses.replace(job, source=spec, image=image, system_packages=SystemPackages(debian=packages))
    base = a_request(folder, folder / "source", Processes(), job=job)

    def index() -> str:
        return index_url(Config(), os.environ)

    tree = source.prepare(spec, cache=folder / "cache", index=index, destination=folder / "source", log=base.log)
    lock = requirements.resolve(
        tree.facts,
        job,
        state_locks=folder / "locks",
        cache=folder / "cache",
        index=configured_index(Config(), os.environ),
        own_wheels=(),
        log=base.log,
        processes=base.processes,
    )
    gathered = requirements.gather(lock, cache=folder / "cache", folder=folder / "gathered")
    return dataclasses.replace(base, tree=tree, requirements=gathered, timeout=300.0)


def test_unavailable__no_engine(tmp_path: Path) -> None:
    problem = a_builder(tmp_path, environment={"PATH": str(tmp_path)}).unavailable(BuildIdentifier.parse(X86_64))

    assert problem is not None
    assert problem.reason.startswith("no container engine")


@pytest.mark.skipif(sys.platform != "linux", reason="there, these are native")
@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("cp313-macosx_arm64", "cp313-macosx_arm64 is built on macos only"),
        ("cp313-win_amd64", "cp313-win_amd64 is built on windows only"),
        ("cp313-pyodide_wasm32", "wheelhouse does not build for pyodide"),
    ],
)
def test_unavailable__another_system(tmp_path: Path, target: str, reason: str) -> None:
    problem = a_builder(tmp_path).unavailable(BuildIdentifier.parse(target))

    assert problem is not None
    assert problem.reason == reason


def test_unavailable__image_is_not_here(tmp_path: Path) -> None:
    environment = fake_podman(tmp_path, ABSENT)
    target = BuildIdentifier.parse(X86_64)

    problem = a_builder(tmp_path, environment=environment).unavailable(target)

    assert problem is not None
    assert "is not on this machine" in problem.reason
    assert (problem.hint or "").startswith("`podman pull ")
    assert a_builder(tmp_path, environment=environment, pull=True).unavailable(target) is None


def test_unavailable__engine_is_broken(tmp_path: Path) -> None:
    environment = fake_podman(tmp_path, "echo Error: database is damaged; exit 125")

    problem = a_builder(tmp_path, environment=environment).unavailable(BuildIdentifier.parse(X86_64))

    assert problem is not None
    assert problem.reason == "podman does not work: it said `Error: database is damaged`"


def test_unavailable__image_has_not_this_python(tmp_path: Path) -> None:
    environment = fake_podman(tmp_path, f"echo {DIGEST} linux/amd64")
    (tmp_path / "podman").write_text(
        (tmp_path / "podman").read_text().replace("*) exit 1", "run) echo python=/opt/python/cp39-cp39 ;;\n*) exit 1")
    )

    problem = a_builder(tmp_path, environment=environment).unavailable(BuildIdentifier.parse(X86_64))

    assert problem is not None
    assert "has no /opt/python/cp311-cp311 (it has cp39-cp39)" in problem.reason


def test_inputs__image_by_digest_need_not_be_here(tmp_path: Path) -> None:
    builder = a_builder(tmp_path, environment=fake_podman(tmp_path, ABSENT), pull=True)

    inputs = builder.inputs(dataclasses.replace(a_job(target=X86_64), image=f"registry.example/x@{DIGEST}"))

    assert inputs is not None
    assert inputs["image.digest"] == DIGEST
    assert re.fullmatch(r"\d+\.\d+(\.\d+)?", inputs["tool.cibuildwheel"])


def test_inputs__system_packages_of_an_image_that_is_not_here__are_not_known(tmp_path: Path) -> None:
    builder = a_builder(tmp_path, environment=fake_podman(tmp_path, ABSENT), pull=True)
    job = dataclasses.replace(a_job(target=X86_64), image=f"registry.example/x@{DIGEST}")

    assert builder.inputs(dataclasses.replace(job, system_packages=SystemPackages(debian=("libpq-dev",)))) is None


def test_inputs__image_by_tag_must_be_here(tmp_path: Path) -> None:
    builder = a_builder(tmp_path, environment=fake_podman(tmp_path, ABSENT), pull=True)

    with pytest.raises(MachineError, match="is not here and not named by digest"):
        builder.inputs(dataclasses.replace(a_job(target=X86_64), image="registry.example/x:latest"))


@pytest.mark.container
@pytest.mark.slow
class TestContainer:
    """Builds in real containers of a package that needs no index."""

    @pytest.fixture
    def image(self, image_of: Callable[[str], str]) -> str:
        return image_of("bookworm-x86_64")

    def request(self, folder: Path, image: str, processes: Processes | None = None, **project: str) -> BuildRequest:
        job = dataclasses.replace(
            a_job(target=X86_64), image=image, environment={"CC": "gcc", "WORD": "a $HOME `b` 'c'"}
        )
        root = a_project(folder / "project", **project)
        return a_request(folder / "build", root, processes or Processes(), job=job)

    def test_build__same_bytes_twice(self, engine: Engine, image: str, tmp_path: Path) -> None:
        builder = a_builder(tmp_path)

        wheels = [builder.build(self.request(tmp_path / name, image)).path for name in ("one", "another-place")]

        assert wheels[0].name == wheels[1].name
        assert len({hashlib.sha256(wheel.read_bytes()).hexdigest() for wheel in wheels}) == 1
        assert "manylinux_2_5_x86_64" in wheels[0].name or "manylinux_2_17_x86_64" in wheels[0].name

    def test_build__sees_no_network_no_host_and_no_secrets(
        self, engine: Engine, image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("WHEELHOUSE_TEST_SECRET", "hunter2")
        monkeypatch.setenv("CIBW_ENVIRONMENT", "LEAK=1")
        first = (
            "import os\n"
            "assert os.listdir('/sys/class/net') == ['lo'], os.listdir('/sys/class/net')\n"
            "assert not os.path.exists('/host')\n"
            "assert 'hunter2' not in str(os.environ) and 'LEAK' not in os.environ\n"
            "assert os.environ['WORD'] == \"a $HOME `b` 'c'\", os.environ['WORD']\n"
            "assert os.environ['SOURCE_DATE_EPOCH'] == '1700000000'\n"
            "assert os.getcwd() == '/project', os.getcwd()\n"
        )

        built = a_builder(tmp_path).build(self.request(tmp_path, image, first=first))

        assert built.details["network"] == "denied"
        assert built.details["front-end"].startswith("uv")

    def test_build__search_path_of_the_builder_is_removed(self, engine: Engine, image: str, tmp_path: Path) -> None:
        request = self.request(tmp_path, image, flags="-Wl,-rpath,/opt/secret/lib")

        wheel = a_builder(tmp_path).build(request).path

        with zipfile.ZipFile(wheel) as archive:
            extension = next(name for name in archive.namelist() if name.endswith(".so"))
            assert b"/opt/secret/lib" not in archive.read(extension)

    def test_build__fails(self, engine: Engine, image: str, tmp_path: Path) -> None:
        request = self.request(tmp_path, image, extension="#include <lber.h>\n")

        with pytest.raises(BuildError, match="cibuildwheel ended with status 1") as caught:
            a_builder(tmp_path).build(request)

        assert caught.value.hint == f"`wheelhouse log {request.job.id}` shows all that was said"
        assert "lber.h: No such file or directory" in request.log.path.read_text()
        assert containers(engine, request.job) == []

    def test_build__without_its_extension(self, engine: Engine, image: str, tmp_path: Path) -> None:
        request = self.request(tmp_path, image)
        (request.tree.root / "spam.c").unlink()

        with pytest.raises(BuildError, match="its extension was left out"):
            a_builder(tmp_path).build(request)

    def test_build__timeout_leaves_no_container(self, engine: Engine, image: str, tmp_path: Path) -> None:
        request = self.request(tmp_path, image, first="import time; time.sleep(100)\n")

        with pytest.raises(BuildTimeoutError):
            a_builder(tmp_path).build(dataclasses.replace(request, timeout=10.0))

        assert "Building wheel" in request.log.path.read_text()
        assert containers(engine, request.job) == []

    def test_build__canceled_leaves_no_container(self, engine: Engine, image: str, tmp_path: Path) -> None:
        processes = Processes()
        request = self.request(tmp_path, image, processes, first="import time; time.sleep(100)\n")
        canceling = threading.Timer(4.0, processes.cancel)
        canceling.start()

        with pytest.raises(CanceledError):
            a_builder(tmp_path, processes=processes).build(request)

        assert containers(engine, request.job) == []

    def test_build__after_a_killed_run_sweeps_its_container(self, engine: Engine, image: str, tmp_path: Path) -> None:
        owned = [engine.name, "create", f"--label={OWNER_LABEL}=1-1", "--label=wheelhouse.job=killed", image, "true"]
        left = Processes().run(owned, env=engine.environment).output.split()[-1]

        a_builder(tmp_path).build(self.request(tmp_path, image))

        found = Processes().run([engine.name, "ps", "--all", "--quiet", "--no-trunc"], env=engine.environment).output
        assert left not in found


@pytest.mark.container
@pytest.mark.network
@pytest.mark.slow
@pytest.mark.parametrize(
    ("target", "image"),
    [(X86_64, "bookworm-x86_64"), ("cp311-manylinux_aarch64", "bookworm-aarch64")],
    ids=["x86_64", "aarch64"],
)
def test_build__markupsafe(
    engine: Engine, image_of: Callable[[str], str], tmp_path: Path, target: str, image: str
) -> None:
    request = a_package(tmp_path, "markupsafe", target, image=image_of(image))

    built = a_builder(tmp_path).build(request)

    name, _, _, tags = parse_wheel_filename(built.path.name)
    assert name == "markupsafe"
    assert f"manylinux_2_17_{request.job.target.arch}" in {tag.platform for tag in tags}
    with zipfile.ZipFile(built.path) as archive:
        assert any(member.endswith(".so") for member in archive.namelist())
    assert containers(engine, request.job) == []


@pytest.mark.container
@pytest.mark.network
@pytest.mark.slow
def test_build__imports_in_an_older_distribution_without_compilers(
    engine: Engine, image_of: Callable[[str], str], tmp_path: Path
) -> None:
    """Built on Debian 12 (glibc 2.36), used on Debian 11 (glibc 2.31), whose Python is 3.9."""
    request = a_package(tmp_path, "markupsafe", "cp39-manylinux_x86_64", image=image_of("bookworm-x86_64"))
    wheel = a_builder(tmp_path).build(request).path

    said = _run_in(
        engine,
        image_of("bullseye-minimal-x86_64"),
        wheel,
        "import markupsafe._speedups as m; print(m.__file__)",
        tmp_path,
    )

    assert said.strip().endswith("_speedups.cpython-39-x86_64-linux-gnu.so")


@pytest.mark.container
@pytest.mark.network
@pytest.mark.slow
def test_build__psycopg2_with_system_packages(engine: Engine, image_of: Callable[[str], str], tmp_path: Path) -> None:
    image = image_of("bookworm-x86_64")
    request = a_package(tmp_path, "psycopg2", "cp39-manylinux_x86_64", image=image, packages=("libpq-dev",))

    built = a_builder(tmp_path).build(request)

    with zipfile.ZipFile(built.path) as archive:
        assert any(member.startswith("psycopg2.libs/libpq-") for member in archive.namelist())
    assert built.details["system-packages"].startswith("libpq-dev=")
    assert built.details["network"] == "denied"
    # Debian 12's libpq needs a newer glibc than Debian 11 has (2.31), and the tag says so.
    minor = min(int(found) for found in re.findall(r"manylinux_2_(\d+)_x86_64", built.path.name))
    assert minor > 31
    loads = "import psycopg2; print('libpq', psycopg2.__libpq_version__)"
    assert "libpq 15" in _run_in(engine, image, built.path, loads, tmp_path)


@pytest.mark.container
@pytest.mark.slow
def test_build__repair_keeps_what_is_excluded(engine: Engine, image_of: Callable[[str], str], tmp_path: Path) -> None:
    job = dataclasses.replace(
        a_job(target=X86_64),
        image=image_of("bookworm-x86_64"),
        environment={"CC": "gcc"},
        repair=RepairSpec(exclude=("libz.so.1",), strip=False),
    )
    root = a_project(tmp_path / "project", flags="-l:libz.so.1 -Wl,--no-as-needed -l:libz.so.1")

    wheel = a_builder(tmp_path).build(a_request(tmp_path / "build", root, Processes(), job=job)).path

    with zipfile.ZipFile(wheel) as archive:
        extension = next(name for name in archive.namelist() if name.endswith(".so"))
        assert b"libz.so.1" in archive.read(extension)
        assert not any(".libs/" in name for name in archive.namelist())


@pytest.mark.container
@pytest.mark.slow
def test_build__killed_outright_leaves_its_container_to_the_next_run(
    engine: Engine, image_of: Callable[[str], str], tmp_path: Path
) -> None:
    script = tmp_path / "script.py"
    folders = [os.path.dirname(os.path.dirname(__file__))]  # noqa: PTH120 - for a path of Python's own
    script.write_text(
        "import dataclasses, pathlib, sys\n"
        f"sys.path[:0] = {folders!r}\n"
        "from builders.test_cibuildwheel import TestContainer, a_builder\n"
        f"folder = pathlib.Path({str(tmp_path)!r})\n"
        f"image, first = {image_of('bookworm-x86_64')!r}, 'import time; time.sleep(60)'\n"
        "request = TestContainer().request(folder, image, first=first)\n"
        "a_builder(folder).build(request)\n"
    )
    child = subprocess.Popen([sys.executable, script], start_new_session=True)
    job = a_job(target=X86_64)
    deadline = time.monotonic() + 30
    while not containers(engine, job) and time.monotonic() < deadline:
        time.sleep(0.2)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert len(containers(engine, job)) == 1

    assert engine.remove_leftovers() >= 1

    assert containers(engine, job) == []


def _run_in(engine: Engine, image: str, wheel: Path, script: str, folder: Path) -> str:
    """Install a wheel for Python 3.9 with uv on this machine, and run a script with it in a container."""
    site = folder / "site"
    install: list[str | Path] = [
        shutil.which("uv") or "uv",
        "pip",
        "install",
        "--no-index",
        "--no-deps",
        "--target",
        site,
    ]
    Processes().run([*install, "--python-version", "3.9", "--python-platform", _oldest(wheel), wheel])
    command = engine.run_command(
        image, ["python3.9", "-c", script], volumes={site: "/site"}, env={"PYTHONPATH": "/site"}
    )
    return Processes().run(command, env=engine.environment).output


def _oldest(wheel: Path) -> str:
    minor = min(int(found) for found in re.findall(r"manylinux_2_(\d+)_x86_64", wheel.name))
    return "x86_64-manylinux_2_31" if minor <= 31 else "x86_64-manylinux_2_36"
