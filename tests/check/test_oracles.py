"""Real wheels from the index, and the real tools' opinion of them beside ours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from check.binary_cases import abi3, recent
from check.wheel_factory import binary, pure
from wheelhouse.check import examine
from wheelhouse.check.codes import Code
from wheelhouse.check.examine import read_contents
from wheelhouse.check.promise import LinuxTag, best_policy
from wheelhouse.finding import errors
from wheelhouse.process import Processes

if TYPE_CHECKING:
    from pathlib import Path

    from check.wheel_factory import Wheel

#: C and C++, abi3, grafted libraries (pillow), another C library, another architecture.
REAL = {
    "manylinux_2_28_x86_64": [
        "markupsafe==3.0.2",
        "cffi==1.17.1",
        "psutil==6.1.1",
        "greenlet==3.1.1",
        "pillow==11.0.0",
    ],
    "musllinux_1_2_x86_64": ["markupsafe==3.0.2"],
    "manylinux_2_28_aarch64": ["markupsafe==3.0.2", "cffi==1.17.1"],
}


@pytest.fixture(scope="session")
def real_wheels(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("real")
    for platform, requirements in REAL.items():
        older = ["manylinux_2_17", "manylinux2014", "manylinux_2_12", "manylinux2010"] if "many" in platform else []
        arch = platform.split("_", 3)[3]
        platforms = [platform, *(f"{name}_{arch}" for name in older)]
        Processes().run(
            ["uvx", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:", "--python-version", "3.11",
             *[word for name in platforms for word in ("--platform", name)], "--dest", folder, *requirements],
            env=os.environ,
        )  # fmt: skip
    return sorted(folder.glob("*.whl"))


@pytest.mark.network
@pytest.mark.slow
def test_examine__real_wheels_have_no_errors(real_wheels: list[Path]) -> None:
    wrong = {path.name: [str(finding) for finding in errors(examine(path).findings)] for path in real_wheels}

    assert len(real_wheels) == sum(len(names) for names in REAL.values())
    assert not {name: findings for name, findings in wrong.items() if findings}


@pytest.mark.network
@pytest.mark.slow
def test_promise__as_auditwheel(real_wheels: list[Path]) -> None:
    for path in real_wheels:
        contents = read_contents(path)
        tag = next(tag for platform in contents.platforms if (tag := LinuxTag.parse(platform)) is not None)

        assert best_policy(contents, tag) == auditwheel_says(path), path.name


@pytest.mark.parametrize("needs_recent", [True, False])
def test_promise__as_auditwheel_on_a_lying_tag(tmp_path: Path, needs_recent: bool) -> None:  # noqa: FBT001 - of the test
    path = (binary(recent()) if needs_recent else binary()).write(tmp_path)

    lies = any(finding.code == Code.PLATFORM_TAG.code for finding in examine(path).findings)

    assert lies is needs_recent
    assert auditwheel_says(path) == ("manylinux_2_35_x86_64" if needs_recent else "manylinux_2_5_x86_64")


@pytest.mark.parametrize("symbol", ["_PyLong_New", "PyObject_Vectorcall", "PyUnicode_FromString"])
def test_abi3__as_abi3audit(symbol: str, tmp_path: Path) -> None:
    path = abi3(symbol).write(tmp_path)

    ours = any(finding.code == Code.ABI3_VIOLATION.code for finding in examine(path).findings)

    assert ours is (status(["abi3audit", "--strict", str(path)]) != 0)


@pytest.mark.parametrize("text", ["Sound\n=====\n", "`x\n=\n\n.. nonsense::\n"])
def test_description__as_twine(text: str, tmp_path: Path) -> None:
    metadata = (
        "Metadata-Version: 2.4\nName: spam\nVersion: 1.0\nLicense-File: LICENSE\n"
        f"Description-Content-Type: text/x-rst\n\n{text}"
    )
    wheel: Wheel = pure().with_files(METADATA=metadata)
    path = wheel.write(tmp_path)

    ours = any(finding.code == Code.DESCRIPTION.code for finding in examine(path).findings)

    assert ours is (status(["twine", "check", str(path)]) != 0)


def auditwheel_says(path: Path) -> str:
    shown = subprocess.run(
        [sys.executable, "-m", "auditwheel", "show", "--json", path], capture_output=True, text=True, check=True
    )
    return str(json.loads(shown.stdout)["overall_tag"])


def status(command: list[str]) -> int:
    done = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    return done.returncode
