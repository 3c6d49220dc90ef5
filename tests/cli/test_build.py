"""`wheelhouse build` as its users call it: real builds of tiny projects here, and what goes wrong in them."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

import tiny
from servers import Answer, serve
from wheelhouse.errors import CanceledError, InvalidFileError, JobsFailedError, MachineError, NotReproducibleError
from wheelhouse.target import native_arch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.network]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    status: int
    records: dict[str, dict[str, Any]]
    """By project."""
    talk: str


def wheelhouse(registry: Path, *words: str, **environment: str) -> Outcome:
    """Call `wheelhouse --registry … build … --json` for this Python and return how it ended."""
    done = subprocess.run(
        [*command(registry), *words, "--python", tiny.HERE, "--json"],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )
    assert "Traceback" not in done.stderr, done.stderr
    records = json.loads(done.stdout) if done.stdout else []
    return Outcome(status=done.returncode, records={r["project"]: r for r in records}, talk=done.stderr)


def command(registry: Path) -> list[str]:
    return [sys.executable, "-m", "wheelhouse", "--registry", str(registry), "build"]


def wheels(registry: Path) -> list[str]:
    return sorted(path.name.split("-")[0] for path in (registry / "dist").glob("*.whl"))


def test_build__one_of_ten_fails__nine_wheels_one_cause_and_a_status_that_says_so(tmp_path: Path) -> None:
    projects = [tiny.Tiny(name=f"p{number}") for number in range(9)]
    broken = tiny.Tiny(name="broken", before="#include <lber.h_is_not_here.h>")
    outcome = wheelhouse(tiny.write_registry(tmp_path, *projects, broken), "--all")
    assert outcome.status == JobsFailedError.exit_code
    assert wheels(tmp_path) == [f"p{number}" for number in range(9)]
    cause = outcome.records["broken"]["cause"]
    assert cause["kind"] == "missing-header"
    assert "lber.h_is_not_here.h" in cause["message"]
    assert "9 built, 0 reused, 1 failed" in outcome.talk


def test_build__again__does_only_what_is_left(tmp_path: Path) -> None:
    registry = tiny.write_registry(tmp_path, tiny.Tiny(name="good"), tiny.Tiny(name="bad", before="#error no"))
    assert wheelhouse(registry, "--all").status == JobsFailedError.exit_code
    tiny.write_registry(tmp_path, tiny.Tiny(name="bad"))
    outcome = wheelhouse(registry, "--all")
    assert outcome.status == 0
    assert "1 built, 1 reused, 0 failed" in outcome.talk


def test_build__verify__gives_the_same_bytes(tmp_path: Path) -> None:
    outcome = wheelhouse(tiny.write_registry(tmp_path, tiny.Tiny(name="ant")), "ant", "--verify")
    assert outcome.status == 0
    assert "the same bytes again" in outcome.talk


def test_build__verify_of_what_is_not_reproducible__names_the_file(tmp_path: Path) -> None:
    setup = 'open("noise.c", "a").write(f"unsigned long long now = {time.time_ns()}ull;")'
    registry = tiny.write_registry(tmp_path, tiny.Tiny(name="noise", setup=setup))
    outcome = wheelhouse(registry, "noise", "--verify")
    assert outcome.status == NotReproducibleError.exit_code
    assert "OTHER BYTES" in outcome.talk
    assert "noise" in outcome.records["noise"]["cause"]["message"]


def test_build__either_compiler_optimizes_whatever_flags_the_recipe_adds(tmp_path: Path) -> None:
    flags = 'environment = { CFLAGS = "-DEXTRA=1", CXXFLAGS = "-DEXTRA=1" }'
    projects = [
        tiny.Tiny(
            name=f"{compiler}{number}",
            before=tiny.OPTIMIZED_ONLY,
            recipe=f'[build]\ntoolchain = "{compiler}"\n{more}\n',
        )
        for compiler in ("zig", "system")
        for number, more in enumerate(["", flags])
    ]
    outcome = wheelhouse(tiny.write_registry(tmp_path, *projects), "--all")
    assert outcome.status == 0, [record["cause"] for record in outcome.records.values()]


def test_build__two_versions__each_its_own(tmp_path: Path) -> None:
    one, two = tiny.Tiny(name="ant", version="1.0"), tiny.Tiny(name="ant", version="2.0", answer=2)
    registry = tiny.write_registry(tmp_path, two)
    archive = one.write_sdist(tmp_path / "sdists")
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    recipe = registry / "recipes/ant/recipe.toml"
    text = recipe.read_text().replace("ant-2.0.tar.gz", "ant-{version}.tar.gz")
    recipe.write_text(text.replace("[source]", f'[[version]]\nversion = "1.0"\nsha256 = "{digest}"\n\n[source]'))
    outcome = wheelhouse(registry, "--all", "--all-versions")
    assert outcome.status == 0
    assert sorted(path.name.split("-")[1] for path in (registry / "dist").glob("*.whl")) == ["1.0", "2.0"]


def test_build__dependency__its_wheel_is_offered_to_the_build(tmp_path: Path) -> None:
    library = tiny.Tiny(name="library")
    user = tiny.Tiny(name="user", requires=("library",), recipe='[depends]\nbuild = ["library"]\n')
    outcome = wheelhouse(tiny.write_registry(tmp_path, library, user), "user")
    assert outcome.status == 0, outcome.records["user"]["cause"]
    assert "requirement.library" in outcome.records["user"]["inputs"]
    assert f"depends.{outcome.records['library']['job']}" in outcome.records["user"]["inputs"]


def test_build__dependency_changes__the_dependent_is_built_again(tmp_path: Path) -> None:
    user = tiny.Tiny(name="user", requires=("library",), recipe='[depends]\nbuild = ["library"]\n')
    registry = tiny.write_registry(tmp_path, tiny.Tiny(name="library"), user)
    assert wheelhouse(registry, "user").status == 0
    tiny.write_registry(tmp_path, tiny.Tiny(name="library", answer=43))
    assert "2 built, 0 reused" in wheelhouse(registry, "user").talk


def test_build__wheel_in_dist_deleted__is_there_again_without_a_build(tmp_path: Path) -> None:
    registry = tiny.write_registry(tmp_path, tiny.Tiny(name="ant"))
    wheelhouse(registry, "ant")
    shutil.rmtree(registry / "dist")
    assert "0 built, 1 reused" in wheelhouse(registry, "ant").talk
    assert wheels(registry) == ["ant"]


def test_build__records_lost__wheels_in_dist_are_checked_and_taken_over(tmp_path: Path) -> None:
    registry = tiny.write_registry(tmp_path, tiny.Tiny(name="ant"))
    wheelhouse(registry, "ant")
    (wheel,) = (registry / "dist").glob("*.whl")
    before = wheel.read_bytes()
    shutil.rmtree(registry / ".wheelhouse")
    outcome = wheelhouse(registry, "ant")
    assert outcome.status == 0
    assert outcome.records["ant"]["details"]["adopted"] == wheel.name
    assert "build" not in outcome.records["ant"]["timings"]
    assert wheel.read_bytes() == before
    assert "0 built, 1 reused" in wheelhouse(registry, "ant").talk


def test_build__taken_over_with_its_record__keeps_how_long_it_took_to_build(tmp_path: Path) -> None:
    """As a cell of GitHub Actions does with the artifacts of cells before it: durations of builds plan the next run."""
    registry = tiny.write_registry(tmp_path, tiny.Tiny(name="ant"))
    built = wheelhouse(registry, "ant").records["ant"]
    shutil.rmtree(registry / ".wheelhouse/results")
    outcome = wheelhouse(registry, "ant")
    kept = outcome.records["ant"]
    assert "adopted" in kept["details"]
    assert (kept["seconds"], kept["started"]) == (built["seconds"], built["started"])
    assert "build" in kept["timings"]
    assert "taken over" in outcome.talk


@pytest.mark.skipif(tiny.HERE != "3.11", reason="the sysroot's Python is 3.11, and the build needs the same")
@pytest.mark.skipif(native_arch() != "x86_64", reason="this machine would not be cross compiling")
def test_build__aarch64_without_a_container__is_imported_under_emulation(tmp_path: Path, sysroot: Path) -> None:
    registry = tiny.write_registry(tmp_path, tiny.Tiny(name="ant"))
    outcome = wheelhouse(
        registry, "ant", "--arch", "aarch64", "--builder", "host", WHEELHOUSE_SYSROOT_AARCH64=str(sysroot)
    )
    record = outcome.records["ant"]
    assert outcome.status == 0, record["cause"]
    assert record["wheel"]["filename"].endswith("_aarch64.whl")
    assert record["executed"]
    assert "qemu" in record["details"]["tested in"]


def test_build__extension_missing__is_an_error(tmp_path: Path) -> None:
    ghost = tiny.Tiny(name="ghost")
    registry = tiny.write_registry(tmp_path, ghost)
    repack(registry, ghost, {"pyproject.toml": lambda text: text.split("[tool.setuptools]", 1)[0] + PURE})
    outcome = wheelhouse(registry, "ghost")
    assert outcome.status == JobsFailedError.exit_code
    assert "extension" in outcome.records["ghost"]["cause"]["message"]
    assert wheels(registry) == []


PURE = "[tool.setuptools]\npy-modules = []\n"


def repack(registry: Path, project: tiny.Tiny, edits: dict[str, Any]) -> None:
    """Change files of a tiny project's sdist, and the hash in its recipe with them."""
    archive = registry / "sdists" / f"{project.name}-{project.version}.tar.gz"
    old = hashlib.sha256(archive.read_bytes()).hexdigest()
    with tarfile.open(archive) as tar:
        members = {member.name: tar.extractfile(member).read().decode() for member in tar if member.isfile()}  # type: ignore[union-attr]  # files only
    with tarfile.open(archive, "w:gz") as tar:
        for name, text in members.items():
            edit = edits.get(name.split("/", 1)[1])
            data = (edit(text) if edit else text).encode()
            member = tarfile.TarInfo(name)
            member.size, member.mtime = len(data), tiny.EPOCH
            tar.addfile(member, io.BytesIO(data))
    recipe = registry / "recipes" / project.name / "recipe.toml"
    recipe.write_text(recipe.read_text().replace(old, hashlib.sha256(archive.read_bytes()).hexdigest()))


def replace_sdist(registry: Path, name: str, data: bytes, *, tell: bool) -> None:
    """Put other bytes in place of an sdist; with `tell`, the recipe's hash follows."""
    archive = registry / "sdists" / f"{name}-1.0.tar.gz"
    old = hashlib.sha256(archive.read_bytes()).hexdigest()
    archive.write_bytes(data)
    if tell:
        recipe = registry / "recipes" / name / "recipe.toml"
        recipe.write_text(recipe.read_text().replace(old, hashlib.sha256(data).hexdigest()))


def tar_of(**members: tarfile.TarInfo) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for member in members.values():
            tar.addfile(member, io.BytesIO(b"x" * member.size))
    return buffer.getvalue()


def failing(registry: Path, **environment: str) -> dict[str, Any]:
    """Build `ant`, which must fail, and return its cause."""
    outcome = wheelhouse(registry, "ant", **environment)
    assert outcome.status == JobsFailedError.exit_code
    assert wheels(registry) == []
    cause = outcome.records["ant"]["cause"]
    assert isinstance(cause, dict)
    return cause


def test_build__wrong_hash__prints_both_and_keeps_nothing(tmp_path: Path) -> None:
    registry = tiny.write_registry(tmp_path, tiny.Tiny(name="ant"))
    expected = hashlib.sha256((registry / "sdists/ant-1.0.tar.gz").read_bytes()).hexdigest()
    replace_sdist(registry, "ant", b"other bytes", tell=False)
    cause = failing(registry, WHEELHOUSE_CACHE=str(tmp_path / "cache"))
    assert expected in cause["message"]
    assert hashlib.sha256(b"other bytes").hexdigest() in cause["message"]
    kept = [path.read_bytes() for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert b"other bytes" not in kept


def test_build__truncated_sdist__says_so(tmp_path: Path) -> None:
    registry = tiny.write_registry(tmp_path, tiny.Tiny(name="ant"))
    whole = (registry / "sdists/ant-1.0.tar.gz").read_bytes()
    replace_sdist(registry, "ant", whole[: len(whole) // 2], tell=True)
    cause = failing(registry)
    assert cause["kind"] == "source"
    assert "the archive is damaged" in cause["message"]


def test_build__tar_with_a_way_out__is_refused(tmp_path: Path) -> None:
    registry = tiny.write_registry(tmp_path, tiny.Tiny(name="ant"))
    replace_sdist(registry, "ant", tar_of(evil=tarfile.TarInfo("ant-1.0/../../evil")), tell=True)
    assert "evil" in failing(registry)["message"]


def test_build__symlink_out__is_refused(tmp_path: Path) -> None:
    registry = tiny.write_registry(tmp_path, tiny.Tiny(name="ant"))
    link = tarfile.TarInfo("ant-1.0/link")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    replace_sdist(registry, "ant", tar_of(link=link), tell=True)
    assert "link" in failing(registry)["message"]


def test_build__patch_that_does_not_apply__names_file_and_hunk(tmp_path: Path) -> None:
    recipe = '[[source.patches]]\nfile = "x.patch"\nupstream-status = "Pending"\n'
    registry = tiny.write_registry(tmp_path, tiny.Tiny(name="ant", recipe=recipe))
    (registry / "recipes/ant/x.patch").write_text("--- a/ant.c\n+++ b/ant.c\n@@ -1,1 +1,1 @@\n-not there\n+x\n")
    message = failing(registry)["message"]
    assert "ant.c" in message
    assert "hunk" in message.lower()


def test_build__no_network__says_which_address_did_not_answer(tmp_path: Path) -> None:
    registry = tiny.write_registry(tmp_path, tiny.Tiny(name="ant"))
    recipe = registry / "recipes/ant/recipe.toml"
    own = (registry / "sdists/ant-1.0.tar.gz").as_uri()
    recipe.write_text(recipe.read_text().replace(own, "http://127.0.0.1:9/ant-1.0.tar.gz"))
    cause = failing(registry, WHEELHOUSE_CACHE=str(tmp_path / "cache"))
    assert "127.0.0.1:9" in cause["message"]


def test_build__no_compiler__says_what_to_install(tmp_path: Path) -> None:
    registry = tiny.write_registry(tmp_path, tiny.Tiny(name="ant"), settings='[build]\ntoolchain = "system"\n')
    bare = tmp_path / "bin"
    bare.mkdir()
    for program in ("sh", "ls", "env"):
        (bare / program).symlink_to(shutil.which(program) or "")
    outcome = wheelhouse(registry, "ant", "--builder", "host", PATH=str(bare), CC="", CXX="")
    assert outcome.status == JobsFailedError.exit_code
    assert "the recipe asks for the system's compiler, and there is none" in outcome.talk
    assert "mend: Debian: apt-get install gcc g++" in outcome.talk
    assert wheels(registry) == []


def test_build__no_such_python__says_how_to_get_it(tmp_path: Path) -> None:
    registry = tiny.write_registry(tmp_path, tiny.Tiny(name="ant"))
    done = subprocess.run([*command(registry), "ant", "--python", "3.15"], check=False, capture_output=True, text=True)
    assert done.returncode == MachineError.exit_code
    assert "no CPython 3.15 was found" in done.stderr
    assert "hint:" in done.stderr


def test_build__no_builder_named__says_which_and_why(tmp_path: Path) -> None:
    engine = tmp_path / "bin" / "podman"
    engine.parent.mkdir()
    engine.write_text("#!/bin/sh\necho its database is locked\nexit 1\n")
    engine.chmod(0o755)
    registry = tiny.write_registry(tmp_path, tiny.Tiny(name="ant"), settings=" ")
    outcome = wheelhouse(registry, "ant", PATH=f"{engine.parent}:{os.environ['PATH']}", WHEELHOUSE_ENGINE="podman")
    assert "host builder: podman does not work: it said `its database is locked`\n" in outcome.talk
    assert "1 built" in outcome.talk


def test_build__dead_container_engine__says_what_it_said(tmp_path: Path) -> None:
    engine = tmp_path / "bin" / "docker"
    engine.parent.mkdir()
    engine.write_text("#!/bin/sh\necho 'Cannot connect to the daemon' >&2\nexit 1\n")
    engine.chmod(0o755)
    registry = tiny.write_registry(tmp_path, tiny.Tiny(name="ant"))
    outcome = wheelhouse(registry, "ant", "--builder", "cibuildwheel", PATH=str(engine.parent))
    assert outcome.status == MachineError.exit_code
    assert "Cannot connect to the daemon" in outcome.talk


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('version = "1.0"\n[package]\nname = "ant"\n', "version"),
        ('[package]\nname = "ant"\nimportnames = ["ant"]\n[[version]]\nversion = "1"\n', "did you mean"),
        ('[package]\nname = "ant"\n[[version]]\nversion = "1"\n', "sha256"),
        ("[package\n", "TOML"),
    ],
)
def test_build__bad_recipe__says_where(tmp_path: Path, text: str, problem: str) -> None:
    registry = tiny.write_registry(tmp_path, tiny.Tiny(name="ant"))
    (registry / "recipes/ant/recipe.toml").write_text(text)
    outcome = wheelhouse(registry, "ant")
    assert outcome.status == InvalidFileError.exit_code
    assert "recipes/ant/recipe.toml" in outcome.talk
    assert problem in outcome.talk


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """Mount a file system of `size` on `folder`; skip where that is not allowed."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    done = subprocess.run(mount, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"a small file system cannot be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_build__full_disk__says_so_and_leaves_nothing_half_written(tmp_path: Path) -> None:
    registry = tiny.write_registry(tmp_path / "registry", tiny.Tiny(name="ant"))
    with small_disk(tmp_path / "small", "200k") as work:
        outcome = wheelhouse(registry, "ant", WHEELHOUSE_WORK_ROOT=str(work))
        assert outcome.status == JobsFailedError.exit_code
        assert outcome.records["ant"]["cause"]["kind"] == "disk-full"
        assert [path for path in work.iterdir() if path.is_dir()] == []
    assert wheels(registry) == []
    assert wheelhouse(registry, "ant").status == 0


def test_build__interrupted__keeps_what_is_finished_and_leaves_no_process(tmp_path: Path) -> None:
    slow = tiny.Tiny(name="slow", setup="print('sleeping', flush=True)\ntime.sleep(600)")
    registry = tiny.write_registry(tmp_path, slow)
    work = tmp_path / "work"
    child = subprocess.Popen(
        [*command(registry), "slow", "--python", tiny.HERE],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "WHEELHOUSE_WORK_ROOT": str(work)},
    )
    deadline = time.monotonic() + 60
    while "sleeping" not in _log(registry):
        assert child.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    child.send_signal(signal.SIGINT)
    _, talk = child.communicate(timeout=30)
    assert child.returncode == CanceledError.exit_code
    assert "Traceback" not in talk
    assert "stopped" in talk
    assert [path for path in work.iterdir() if path.is_dir()] == []
    assert wheels(registry) == []


def test_build__source_trickles_in__ends_with_its_time_and_by_ctrl_c(tmp_path: Path) -> None:
    with serve({"/ant-1.0.tar.gz": [Answer(body=b"x" * 10_000, pause=0.2)]}) as server:
        registry = tiny.write_registry(tmp_path, tiny.Tiny(name="ant"))
        recipe = registry / "recipes/ant/recipe.toml"
        own = (registry / "sdists/ant-1.0.tar.gz").as_uri()
        text = recipe.read_text().replace(own, f"{server.url}/ant-1.0.tar.gz")
        recipe.write_text(f'{text}\n[resources]\ntimeout = "3s"\n')
        assert failing(registry, WHEELHOUSE_CACHE=str(tmp_path / "cache"))["kind"] == "timeout"

        recipe.write_text(text)
        child = subprocess.Popen(
            [*command(registry), "ant", "--python", tiny.HERE],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "WHEELHOUSE_CACHE": str(tmp_path / "cache")},
        )
        deadline = time.monotonic() + 60
        while len(server.asked) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        child.send_signal(signal.SIGINT)
        _, talk = child.communicate(timeout=30)
        assert child.returncode == CanceledError.exit_code
        assert "error: stopped" in talk


def _log(registry: Path) -> str:
    logs = list((registry / ".wheelhouse/jobs").glob("*/log.txt"))
    return logs[0].read_text() if logs else ""
