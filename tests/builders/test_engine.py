from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from wheelhouse.builders import Unavailable
from wheelhouse.builders.engine import (
    OWNER_LABEL,
    Engine,
    _emulation,
    engine_environment,
    find_engine,
    oci_platform,
    owner,
)
from wheelhouse.process import Processes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

AARCH64_MAGIC = "7f454c460201010000000000000000000200b700"
S390X_MAGIC = "7f454c4602020100000000000000000000020016"


def a_program(folder: Path, name: str, script: str) -> Path:
    """Write an executable that stands in for an engine; `$@` is what it is asked."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def an_engine(name: str = "podman", *, arch: str = "x86_64", remote: bool = False) -> Engine:
    assert name in {"podman", "docker"}
    return Engine(name=name, version="5.0", arch=arch, remote=remote, environment={})  # type: ignore[arg-type]  # checked above


def test_find_engine__nothing_on_path(tmp_path: Path) -> None:
    found = find_engine(Processes(), {"PATH": str(tmp_path)})

    assert isinstance(found, Unavailable)
    assert found.reason == "no container engine: podman or docker is not on PATH"
    assert "--builder host" in (found.hint or "")


def test_find_engine__dead_daemon(tmp_path: Path) -> None:
    a_program(tmp_path, "docker", "echo 'Cannot connect to the Docker daemon. Is it running?' >&2; exit 1")

    found = find_engine(Processes(), {"PATH": str(tmp_path)})

    assert isinstance(found, Unavailable)
    assert "Cannot connect to the Docker daemon" in found.reason
    assert found.hint == "start the docker daemon, and let this user reach its socket"


def test_find_engine__first_is_broken_second_works(tmp_path: Path) -> None:
    a_program(tmp_path, "podman", "echo 'storage is broken' >&2; exit 125")
    a_program(tmp_path, "docker", "echo 28.1.0 arm64 false")

    found = find_engine(Processes(), {"PATH": str(tmp_path)})

    assert isinstance(found, Engine)
    assert (found.name, found.version, found.arch) == ("docker", "28.1.0", "aarch64")


def test_find_engine__chosen(tmp_path: Path) -> None:
    a_program(tmp_path, "podman", "echo 5.0 amd64 false")
    a_program(tmp_path, "docker", "echo 28.1.0 amd64 false")

    found = find_engine(Processes(), {"PATH": str(tmp_path), "WHEELHOUSE_ENGINE": "docker"})

    assert isinstance(found, Engine)
    assert found.name == "docker"


def test_find_engine__chosen_but_unknown(tmp_path: Path) -> None:
    found = find_engine(Processes(), {"PATH": str(tmp_path), "WHEELHOUSE_ENGINE": "lxc"})

    assert found == Unavailable(reason="WHEELHOUSE_ENGINE is `lxc`", hint="set WHEELHOUSE_ENGINE to podman or docker")


def test_engine_environment__drops_secrets_and_options_of_cibuildwheel() -> None:
    kept = {
        "PATH": "/bin",
        "HOME": "/root",
        "https_proxy": "http://proxy",
        "XDG_RUNTIME_DIR": "/run",
        "DOCKER_HOST": "x",
    }
    dropped = {
        "CIBW_BUILD": "*",
        "TWINE_PASSWORD": "secret",
        "GITHUB_TOKEN": "secret",
        "PIP_INDEX_URL": "https://u:p@x",
    }

    assert engine_environment(kept | dropped) == kept


def test_run_command__sealed_off(tmp_path: Path) -> None:
    command = an_engine().run_command("image", ["true"], volumes={tmp_path: "/in"}, platform=oci_platform("aarch64"))

    assert command == [
        *("podman", "run", "--pull=never", f"--label={OWNER_LABEL}={owner()}", "--rm"),
        *("--network=none", "--http-proxy=false", "--platform=linux/arm64", f"--volume={tmp_path}:/in:ro,z"),
        *("image", "true"),
    ]


def test_run_command__docker_knows_no_http_proxy_option() -> None:
    assert "--http-proxy=false" not in an_engine("docker").run_command("image", ["true"])


@pytest.mark.parametrize(
    ("engine", "arch"), [("x86_64", "x86_64"), ("x86_64", "i686"), ("aarch64", "aarch64"), ("aarch64", "armv7l")]
)
def test_cannot_run__what_the_processor_runs(engine: str, arch: str) -> None:
    assert an_engine(arch=engine).cannot_run(arch) is None


def test_cannot_run__another_machine_is_not_judged() -> None:
    assert an_engine(remote=True).cannot_run("s390x") is None


def test_cannot_run__unknown_architecture() -> None:
    assert an_engine().cannot_run("vax") == Unavailable(reason="no container has the architecture vax")


def test_emulation__nothing_registered(tmp_path: Path) -> None:
    (tmp_path / "register").touch()

    problem = _emulation("aarch64", tmp_path)

    assert problem is not None
    assert "no emulator is registered" in problem.reason
    assert "qemu-user-static" in (problem.hint or "")


@pytest.mark.parametrize(("arch", "magic"), [("aarch64", AARCH64_MAGIC), ("s390x", S390X_MAGIC)])
def test_emulation__registered(tmp_path: Path, arch: str, magic: str) -> None:
    (tmp_path / "any-name").write_text(f"enabled\ninterpreter /usr/bin/qemu\nflags: OCF\noffset 0\nmagic {magic}\n")

    assert _emulation(arch, tmp_path) is None
    assert _emulation("ppc64le", tmp_path) is not None


def test_emulation__disabled(tmp_path: Path) -> None:
    (tmp_path / "qemu-aarch64").write_text(f"disabled\nflags: F\nmagic {AARCH64_MAGIC}\n")

    assert _emulation("aarch64", tmp_path) is not None


def test_emulation__not_for_containers(tmp_path: Path) -> None:
    (tmp_path / "qemu-aarch64").write_text(f"enabled\nflags: OC\nmagic {AARCH64_MAGIC}\n")

    problem = _emulation("aarch64", tmp_path)

    assert problem is not None
    assert "its F flag is missing" in problem.reason


@pytest.mark.container
def test_run_command__in_a_real_container(engine: Engine, image_of: Callable[[str], str], tmp_path: Path) -> None:
    (tmp_path / "note").write_text("hello")
    script = "cat /in/note; touch /in/x 2>&1; ls /sys/class/net; echo $WORD"

    said = Processes().run(
        engine.run_command(
            image_of("bullseye-minimal-x86_64"), ["sh", "-c", script], volumes={tmp_path: "/in"}, env={"WORD": "a b"}
        ),
        env=engine.environment,
    )

    assert said.output.splitlines() == ["hellotouch: cannot touch '/in/x': Read-only file system", "lo", "a b"]


@pytest.mark.container
def test_remove_leftovers__spares_the_living(engine: Engine, image_of: Callable[[str], str]) -> None:
    image, processes = image_of("bullseye-minimal-x86_64"), Processes()
    names = {"1-1": f"wheelhouse-test-dead-{os.getpid()}", owner(): f"wheelhouse-test-alive-{os.getpid()}"}
    try:
        for label, name in names.items():
            command = [engine.name, "run", "--detach", f"--label={OWNER_LABEL}={label}", f"--name={name}", image]
            processes.run([*command, "sleep", "60"], env=engine.environment)

        assert engine.remove_leftovers() >= 1

        left = processes.run([engine.name, "ps", "--format={{.Names}}"], env=engine.environment).output
        assert names["1-1"] not in left
        assert names[owner()] in left
    finally:
        for name in names.values():
            engine.remove_named(name)
