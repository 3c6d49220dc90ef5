from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from scripted_engine import scripted_engine
from wheelhouse.builders.image import (
    Contents,
    Image,
    Images,
    _parse_contents,
    default_reference,
    option_name,
    python_folder,
)
from wheelhouse.errors import MachineError
from wheelhouse.joblog import JobLog
from wheelhouse.process import Processes
from wheelhouse.target import BuildIdentifier, known_identifiers

if TYPE_CHECKING:
    from pathlib import Path

ID = "a" * 64
DIGEST = f"sha256:{ID}"
LOCAL = Image(reference="local", arch="x86_64", digest=DIGEST, here=True)
ABSENT = Image(reference=f"registry.example/x@sha256:{'b' * 64}", arch="x86_64", digest=None, here=False)


def images(folder: Path, script: str) -> Images:
    """Return images of an engine that answers with a script, and notes what it was asked in `asked`."""
    engine = scripted_engine(folder, script)
    return Images(engine, Processes(), folder / "state")


@pytest.fixture(autouse=True)
def _fake_engine_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    if "container" not in request.keywords:
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")


@pytest.fixture
def log(tmp_path: Path) -> JobLog:
    path = tmp_path / "log.txt"
    path.touch()
    return JobLog(path, job="a job")


def asked(folder: Path, word: str) -> int:
    lines = (folder / "asked").read_text().splitlines() if (folder / "asked").exists() else []
    return sum(line.startswith(word) for line in lines)


def test_default_reference__pinned_by_cibuildwheel() -> None:
    reference = default_reference(BuildIdentifier.parse("cp313-manylinux_aarch64"), None)

    assert "manylinux_2_28_aarch64@sha256:" in reference


def test_default_reference__short_name() -> None:
    reference = default_reference(BuildIdentifier.parse("cp313-manylinux_x86_64"), "manylinux_2_34")

    assert "manylinux_2_34_x86_64@sha256:" in reference


def test_default_reference__own_image() -> None:
    assert default_reference(BuildIdentifier.parse("cp313-musllinux_x86_64"), "own:1") == "own:1"


def test_option_name__pypy_has_its_own() -> None:
    assert option_name(BuildIdentifier.parse("pp311-manylinux_x86_64")) == "manylinux-pypy_x86_64-image"
    assert option_name(BuildIdentifier.parse("cp311-musllinux_x86_64")) == "musllinux-x86_64-image"


def test_python_folder__every_linux_identifier_has_one() -> None:
    folders = {text: python_folder(target) for text, target in known_identifiers().items() if target.is_linux}

    assert folders["cp314t-musllinux_aarch64"] == "/opt/python/cp314-cp314t"
    assert all(folder.startswith("/opt/python/") for folder in folders.values())


def test_find__here(tmp_path: Path) -> None:
    found = images(tmp_path, f"echo {ID} linux/amd64").find("local", "x86_64")

    assert found == LOCAL


def test_find__here_for_another_architecture(tmp_path: Path) -> None:
    found = images(tmp_path, f"echo {ID} linux/arm64").find("local", "x86_64")

    assert (found.here, found.digest) == (False, None)


def test_find__named_by_digest_is_known_without_being_here(tmp_path: Path) -> None:
    found = images(tmp_path, "echo no such image >&2; exit 125").find(ABSENT.reference, "x86_64")

    assert (found.here, found.digest) == (False, f"sha256:{'b' * 64}")


def test_pull__cannot_be_had(tmp_path: Path, log: JobLog) -> None:
    with pytest.raises(MachineError, match="cannot be pulled: no route to host") as caught:
        images(tmp_path, "[ $1 = image ] && echo image not known || echo no route to host; exit 125").pull(ABSENT, log)

    assert "[images] in wheelhouse.toml" in (caught.value.hint or "")


def test_contents__remembered(tmp_path: Path) -> None:
    script = "echo os=Debian; echo installer=apt-get; echo python=/opt/python/cp311-cp311"
    expected = Contents(os="Debian", installer="apt-get", pythons=("/opt/python/cp311-cp311",))

    assert images(tmp_path, script).contents(LOCAL) == expected
    assert images(tmp_path, "exit 1").contents(LOCAL) == expected
    assert asked(tmp_path, "run") == 1


def test_contents__image_does_not_run(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="does not run: exec format error"):
        images(tmp_path, "echo exec format error >&2; exit 1").contents(LOCAL)

    assert not list(tmp_path.glob("state/images/*.json"))


def test_parse_contents__manylinux() -> None:
    output = "os=AlmaLinux 8.10\ninstaller=dnf\nuv=uv 0.9.9\nfetches-pythons=yes\npython=/opt/python/cp39-cp39\n"

    contents = _parse_contents(f"{output}python=/opt/python/cp314-cp314t\n")

    assert contents.family == "manylinux"
    assert contents.pythons == ("/opt/python/cp39-cp39", "/opt/python/cp314-cp314t")
    assert contents.uv == "uv 0.9.9"
    assert contents.fetches_pythons
