"""The cell of wheels.yml for a processor that GitHub has no machine of: planned, set up, built and tried under QEMU.

What the action does there, Debian's packages have done here (`containers_setup`): the imitation looks whether they did.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

import tiny
from actions_runner import Runner
from workflow_setting import environment_of_jobs, make_repository

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = [pytest.mark.slow, pytest.mark.network, pytest.mark.container]

CELL = "stage-0-manylinux_riscv64-0"
SETTINGS = """\
[targets]
build = ["cp313-manylinux_riscv64"]
archs = ["riscv64"]

[build]
builder = "cibuildwheel"

[images]
manylinux_riscv64 = "{image}"
"""


def test_cell__of_a_processor_that_github_has_not__is_emulated(image_of: Callable[[str], str], tmp_path: Path) -> None:
    settings = SETTINGS.format(image=image_of("trixie-riscv64"))
    registry = tiny.write_registry(tmp_path / "repository", tiny.Tiny(name="ant"), settings=settings)
    runner = Runner(
        repository=make_repository(registry),
        folder=tmp_path,
        environment=environment_of_jobs(tmp_path),
        identity={},
        github={
            "workflow": "Registry",
            "event_name": "push",
            "ref": "refs/heads/main",
            "run_id": "1",
            "event": {"before": "0" * 40, "repository": {"default_branch": "main"}},
        },
    )

    runner.run(".github/workflows/registry.yml")

    (planned,) = json.loads(runner.jobs["Plan"].outputs["stage-0"])["include"]
    assert (planned["runner"], planned["emulates"]) == ("ubuntu-24.04", "riscv64")
    cell = runner.jobs[CELL]
    assert "docker/setup-qemu-action" in [step.name for step in cell.steps]
    assert cell.result == "success", cell.log
    (record,) = (tmp_path / f"artifacts/wheelhouse-{CELL}").rglob("record.json")
    told = json.loads(record.read_text("utf-8"))
    assert told["wheel"]["filename"].startswith("ant-1.0-cp313-cp313-manylinux")
    assert told["wheel"]["filename"].endswith("_riscv64.whl")
    assert told["executed"] is True
    assert "Publish" not in runner.jobs  # there is no index to publish to
