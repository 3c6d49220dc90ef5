from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest

from scripted_engine import scripted_engine
from wheelhouse.builders.derived import DerivedImages, _install_error
from wheelhouse.builders.image import Contents, Image, Images
from wheelhouse.errors import BuildError, MachineError
from wheelhouse.joblog import JobLog
from wheelhouse.process import Processes
from wheelhouse.recipe import SystemPackages

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from wheelhouse.builders.engine import Engine

LOCAL = Image(reference="local", arch="x86_64", digest=f"sha256:{'a' * 64}", here=True)


def derived(folder: Path, script: str) -> DerivedImages:
    """Return derived images of an engine that answers with a script, and notes what it was asked in `asked`."""
    engine = scripted_engine(folder, script)
    return DerivedImages(Images(engine, Processes(), folder), engine, Processes(), folder)


@pytest.fixture(autouse=True)
def _fake_engine_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    if "container" not in request.keywords:
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")


@pytest.fixture
def log(tmp_path: Path) -> JobLog:
    path = tmp_path / "log.txt"
    path.touch()
    return JobLog(path, job="a job")


@pytest.mark.parametrize(
    ("installer", "family", "output"),
    [
        ("apt-get", "debian", "Reading package lists...\nE: Unable to locate package libfoo-dev"),
        ("apt-get", "debian", "E: Package 'libfoo-dev' has no installation candidate"),
        (
            "apk",
            "musllinux",
            "ERROR: unable to select packages:\n  libfoo-dev (no such package):\n    required by: world",
        ),
        ("dnf", "manylinux", "No match for argument: libfoo-dev\nError: Unable to find a match: libfoo-dev"),
        ("dnf", "manylinux", "No match for argument: \x1b[1mlibfoo-dev\x1b[0m\nError: Unable to find a match"),
        ("microdnf", "manylinux", "error: No package matches 'libfoo-dev'"),
        ("yum", "manylinux", "No package libfoo-dev available.\nError: Nothing to do"),
    ],
)
def test_install_error__no_such_package(installer: str, family: str, output: str) -> None:
    contents = Contents.model_validate({"os": "Some Linux", "installer": installer})

    error = _install_error(output, contents, LOCAL)

    assert isinstance(error, BuildError)
    assert str(error) == f"system-packages.{family}: Some Linux has no package `libfoo-dev`"


def test_install_error__no_network() -> None:
    output = "Err:1 Temporary failure resolving 'mirror'\nE: Unable to locate package libfoo-dev"

    error = _install_error(output, Contents(installer="apt-get"), LOCAL)

    assert isinstance(error, MachineError)


def test_having__none_for_this_family(tmp_path: Path, log: JobLog) -> None:
    there = derived(tmp_path, "echo os=Debian; echo installer=apt-get")

    same, versions = there.having(LOCAL, SystemPackages(manylinux=("libpq-devel",)), log)

    assert (same, versions) == (LOCAL, ())
    assert "no system-packages.debian in the recipe" in log.path.read_text()


def test_having__unused_for_long_is_removed_when_another_is_made(tmp_path: Path, log: JobLog) -> None:
    script = (
        f'[ "$1 $2" = "image inspect" ] && [ ! -e {tmp_path}/made ] && {{ echo image not known; exit 125; }}\n'
        f"[ $1 = commit ] && touch {tmp_path}/made\n"
        f'[ "$1 $2" = "image inspect" ] && {{ echo sha256:{"b" * 64} linux/amd64; exit 0; }}\n'
        "echo os=Debian; echo installer=apt-get"
    )
    there = derived(tmp_path, script)
    (tmp_path / "images").mkdir()
    for name in ("0ld", "used"):
        (tmp_path / "images" / f"{name}.used").touch()
    os.utime(tmp_path / "images" / "0ld.used", (1, 1))

    there.having(LOCAL, SystemPackages(debian=("libpq-dev",)), log)

    removed = [line for line in (tmp_path / "asked").read_text().splitlines() if line.startswith("image rm")]
    assert removed == ["image rm localhost/wheelhouse/derived:0ld"]
    assert not (tmp_path / "images" / "0ld.used").exists()
    assert len(list((tmp_path / "images").glob("*.used"))) == 2


@pytest.mark.container
@pytest.mark.network
@pytest.mark.slow
def test_having__made_once_for_all_who_ask(
    engine: Engine, image_of: Callable[[str], str], tmp_path: Path, log: JobLog
) -> None:
    images = Images(engine, Processes(), tmp_path)
    there = DerivedImages(images, engine, Processes(), tmp_path)
    base = images.find(image_of("bookworm-x86_64"), "x86_64")
    # Named as no one else names it, so that there is something to be made; `0`-padding is no part of the name.
    packages = SystemPackages(debian=("libpopt-dev", "libpopt0"))
    found: list[tuple[Image, object]] = []

    def ask() -> None:
        found.append(there.having(base, packages, log))

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len({image.digest for image, _ in found}) == 1
    assert found[0][0].digest != base.digest
    assert log.path.read_text().count("installing libpopt-dev libpopt0") <= 1
    assert "libpopt-dev=" in str(found[0][1])


@pytest.mark.container
@pytest.mark.network
@pytest.mark.slow
def test_having__does_not_exist(engine: Engine, image_of: Callable[[str], str], tmp_path: Path, log: JobLog) -> None:
    images = Images(engine, Processes(), tmp_path)
    there = DerivedImages(images, engine, Processes(), tmp_path)
    base = images.find(image_of("bookworm-x86_64"), "x86_64")

    with pytest.raises(BuildError, match=r"system-packages\.debian: .* has no package `libnonsense-dev`"):
        there.having(base, SystemPackages(debian=("libnonsense-dev",)), log)

    left = Processes().run([engine.name, "ps", "--all", "--format={{.Names}}"], env=engine.environment).output
    assert "wheelhouse-" not in left
