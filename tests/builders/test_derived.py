from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest

from scripted_engine import scripted_engine
from wheelhouse.builders.derived import Derived, DerivedImages, _install_error
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

    same = there.having(LOCAL, SystemPackages(manylinux=("libpq-devel",)), log, timeout=60)

    assert same == Derived(image=LOCAL, packages={})
    assert "no system-packages.debian in the recipe" in log.path.read_text()


#: Makes `sha256:bbb…` of the base, then `sha256:ccc…`, and so on: `commit` counts. Each has another libpq5.
DISTRIBUTION = """\
cd {folder}
number=$(cat commits 2>/dev/null || echo 0)
digest=sha256:$(printf %064d $number)
case "$*" in
*"os-release"*) echo os=Debian; echo installer=apt-get ;;
*"{base} sh -c dpkg-query"*) echo libc6=2.36 ;;
*"dpkg-query"*) echo libc6=2.36; echo libpq5=15.$number; echo libpq-dev=15.$number; echo libpq5=15.$number ;;
"image inspect"*) [ $number = 0 ] && {{ echo image not known; exit 125; }}; echo $digest linux/amd64 ;;
images*) [ $number = 0 ] || echo "$digest $(cat reference)" ;;
commit*) echo $((number + 1)) > commits; for word; do :; done; echo $word > reference ;;
esac
"""
LIBPQ = SystemPackages(debian=("libpq-dev",))


def distribution(folder: Path) -> DerivedImages:
    """Return derived images as a fresh run has them."""
    return derived(folder, DISTRIBUTION.format(folder=folder, base=LOCAL.digest))


def asked(folder: Path, beginning: str) -> list[str]:
    return [line for line in (folder / "asked").read_text().splitlines() if line.startswith(beginning)]


def test_known__before_and_after_it_is_made(tmp_path: Path, log: JobLog) -> None:
    assert distribution(tmp_path).known(LOCAL, LIBPQ) is None

    made = distribution(tmp_path).having(LOCAL, LIBPQ, log, timeout=60)

    assert made.packages == {"libpq5": "15.1", "libpq-dev": "15.1"}
    assert made.image.reference == made.image.digest == f"sha256:{1:064}"
    (tmp_path / "asked").unlink()
    assert distribution(tmp_path).known(LOCAL, LIBPQ) == made
    assert {line.split()[0] for line in asked(tmp_path, "")} == {"images"}


def test_known__nothing_wanted__no_question(tmp_path: Path) -> None:
    assert distribution(tmp_path).known(LOCAL, SystemPackages()) == Derived(image=LOCAL, packages={})
    assert not (tmp_path / "asked").exists()


def test_having__again__is_not_made_again(tmp_path: Path, log: JobLog) -> None:
    first = distribution(tmp_path).having(LOCAL, LIBPQ, log, timeout=60)

    assert distribution(tmp_path).having(LOCAL, LIBPQ, log, timeout=60) == first
    assert len(asked(tmp_path, "commit")) == 1


def test_having__upgrade__is_made_anew_once_a_run(tmp_path: Path, log: JobLog) -> None:
    old = distribution(tmp_path).having(LOCAL, LIBPQ, log, timeout=60)
    run = distribution(tmp_path)
    assert run.known(LOCAL, LIBPQ) == old

    new = run.having(LOCAL, LIBPQ, log, timeout=60, upgrade=True)

    assert new.packages["libpq5"] == "15.2"
    assert run.known(LOCAL, LIBPQ) == run.having(LOCAL, LIBPQ, log, timeout=60, upgrade=True) == new
    assert len(asked(tmp_path, "commit")) == 2
    assert asked(tmp_path, "image rm") == [f"image rm {old.image.digest}"]


def test_having__unused_for_long_is_removed_when_another_is_made(tmp_path: Path, log: JobLog) -> None:
    there = distribution(tmp_path)
    (tmp_path / "images").mkdir()
    for name in ("0ld", "used"):
        (tmp_path / "images" / f"{name}.used").touch()
    os.utime(tmp_path / "images" / "0ld.used", (1, 1))

    there.having(LOCAL, LIBPQ, log, timeout=60)

    assert asked(tmp_path, "image rm") == ["image rm localhost/wheelhouse/derived:0ld"]
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
    found: list[Derived] = []

    def ask() -> None:
        found.append(there.having(base, packages, log, timeout=300))

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len({made.image.digest for made in found}) == 1
    assert found[0].image.digest != base.digest
    assert log.path.read_text().count("installing libpopt-dev libpopt0") <= 1
    assert {"libpopt-dev", "libpopt0"} <= found[0].packages.keys()
    assert "libc6" not in found[0].packages
    assert DerivedImages(images, engine, Processes(), tmp_path).known(base, packages) == found[0]


@pytest.mark.container
@pytest.mark.network
@pytest.mark.slow
def test_having__does_not_exist(engine: Engine, image_of: Callable[[str], str], tmp_path: Path, log: JobLog) -> None:
    images = Images(engine, Processes(), tmp_path)
    there = DerivedImages(images, engine, Processes(), tmp_path)
    base = images.find(image_of("bookworm-x86_64"), "x86_64")

    with pytest.raises(BuildError, match=r"system-packages\.debian: .* has no package `libnonsense-dev`"):
        there.having(base, SystemPackages(debian=("libnonsense-dev",)), log, timeout=300)

    left = Processes().run([engine.name, "ps", "--all", "--format={{.Names}}"], env=engine.environment).output
    assert "wheelhouse-" not in left
