from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from host_projects import make_wheel
from wheelhouse.cli import run

MACHINE = os.uname().machine


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    (tmp_path / "spam.c").write_text("int f(void) { return 1; }\n")
    subprocess.run([compiler, "-shared", "-fPIC", "spam.c", "-o", "spam.so"], cwd=tmp_path, check=True)
    return make_wheel(
        tmp_path, f"spam-1.0-py3-none-linux_{MACHINE}.whl", {"spam/spam.so": (tmp_path / "spam.so").read_bytes()}
    )


def test_repair__json(wheel: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = run(["repair", str(wheel), "--output", str(tmp_path / "out"), "--json"])

    (report,) = json.loads(capsys.readouterr().out)
    assert status == 0
    assert Path(report["repaired"]).is_file()
    assert all("manylinux" in platform for platform in report["platforms"])
    assert report["grafted"] == []


def test_repair__for_people(wheel: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["repair", str(wheel), "--output", str(tmp_path / "out")]) == 0

    said = capsys.readouterr().out
    assert str(tmp_path / "out") in said
    assert "grafted   nothing" in said


def test_repair__output_folder_is_where_the_wheel_lies(
    wheel: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = wheel.read_bytes()

    assert run(["repair", str(wheel), "--output", str(tmp_path)]) == 2

    assert "--output" in capsys.readouterr().err
    assert wheel.read_bytes() == before


def test_repair__file_that_is_no_wheel(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = tmp_path / f"spam-1.0-py3-none-linux_{MACHINE}.whl"
    broken.write_bytes(b"PK\x03\x04 and no more")

    assert run(["repair", str(broken), "--output", str(tmp_path / "out")]) == 10

    assert "cannot be read as a wheel" in capsys.readouterr().err
