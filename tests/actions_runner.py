"""A runner of GitHub Actions for our workflows: every `run` as it is written, in bash, each job on its own machine.

A job's machine is a folder: its checkout is a clone, and only these get from job to job: outputs, artifacts and caches.
The actions that our workflows use in jobs with `run` steps are imitated as documented; any other fails the test.
What is not imitated: parallel jobs, timeouts, concurrency groups and the shell of Windows. Emulation is this machine's:
the action that sets it up only looks whether it is there.
"""

from __future__ import annotations

import fnmatch
import os
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from expressions import Contexts, fill, holds, text

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Processors, as docker calls them and as Debian's QEMU does.
_EMULATORS = {"arm": "arm", "arm64": "aarch64", "ppc64le": "ppc64le", "riscv64": "riscv64", "s390x": "s390x"}
_SHELLS = {None: ["bash", "-e"], "bash": ["bash", "--noprofile", "--norc", "-eo", "pipefail"]}


def load(path: Path) -> dict[str, Any]:
    """Read a workflow; YAML 1.1 takes the key `on` for a boolean."""
    read = yaml.safe_load(path.read_text("utf-8"))
    assert isinstance(read, dict)
    return {"on" if key is True else key: value for key, value in read.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    name: str
    status: int
    output: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A job that has ended, or was skipped."""

    result: str
    outputs: Mapping[str, str] = field(default_factory=dict)
    steps: tuple[Step, ...] = ()
    summary: str = ""

    @property
    def log(self) -> str:
        return "".join(f"$ {step.name}: {step.status}\n{step.output}" for step in self.steps)


@dataclass(kw_only=True)
class Runner:
    repository: Path
    """A git repository; its workflows and recipes."""
    folder: Path
    environment: Mapping[str, str]
    identity: Mapping[str, str]
    """Environment of jobs that may have an identity."""
    github: Mapping[str, Any]
    secrets: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    jobs: dict[str, Done] = field(default_factory=dict)
    """By name, with the cell's for those of a matrix; of those that ran more than once the last."""
    machines: dict[str, _Machine] = field(default_factory=dict)
    proposed: list[str] = field(default_factory=list)
    """Branches for which pull requests were opened."""

    def run(self, workflow: str) -> None:
        """Run a workflow that the event starts."""
        read = load(self.repository / workflow)
        inputs = (read["on"].get("workflow_dispatch") or {}).get("inputs", {})
        assert self.github["event_name"] in read["on"]
        self._workflow(read, dict.fromkeys(inputs), self.secrets, granted=None)

    def again(self, name: str) -> Done:
        """Run a job once more, as "Re-run failed jobs" does: by the same commit, with the artifacts of this run."""
        self.jobs[name] = self.machines[name].another().run()
        return self.jobs[name]

    def use(self, action: Path, **inputs: str) -> Done:
        """Run a composite action, after a checkout."""
        read = yaml.safe_load(action.read_text("utf-8"))
        defaults = {key: about.get("default", "") for key, about in read["inputs"].items()}
        assert set(inputs) <= set(defaults), "inputs that the action does not have"
        checkout = {"uses": f"actions/checkout@{'0' * 40}", "with": {"persist-credentials": False}}
        job = {"permissions": {}, "steps": [checkout, *read["runs"]["steps"]]}
        github = {**self.github, "action_path": str(action.parent)}
        machine = _Machine(self, job, {"inputs": {**defaults, **inputs}, "github": github, "matrix": {}}, {}, "action")
        return machine.run()

    def _called(
        self, name: str, inputs: Mapping[str, Any], secrets: Mapping[str, str], granted: Mapping[str, str]
    ) -> Done:
        read = load(self.repository / name)
        about = read["on"]["workflow_call"]
        defaults = {key: one.get("default") for key, one in about["inputs"].items()}
        assert set(inputs) <= set(defaults), "inputs that the workflow does not have"
        assert set(secrets) <= set(about.get("secrets", {})), "secrets that the workflow does not have"
        return self._workflow(read, {**defaults, **inputs}, secrets, granted)

    def _workflow(
        self,
        read: Mapping[str, Any],
        inputs: Mapping[str, Any],
        secrets: Mapping[str, str],
        granted: Mapping[str, str] | None,
    ) -> Done:
        assert read["permissions"] == {}
        contexts = {"inputs": inputs, "github": self.github, "secrets": secrets, "vars": self.variables}
        environment = {key: text(fill(value, Contexts(values=contexts))) for key, value in read.get("env", {}).items()}
        done: dict[str, Done] = {}
        for id_, job in read["jobs"].items():  # our workflows have needed jobs first
            needs = job.get("needs", [])
            needed = {one: done[one] for one in ([needs] if isinstance(needs, str) else needs)}
            failed = any(one.result in {"failure", "skipped"} for one in needed.values())
            values = {**contexts, "needs": {key: {"outputs": one.outputs} for key, one in needed.items()}}
            here = Contexts(values=values, failed=failed)
            if not holds(job.get("if"), here):
                done[id_] = Done(result="skipped")
                continue
            for name, level in job["permissions"].items():
                assert granted is None or granted.get(name) in {level, "write"}, f"{name} is not granted"
            matrix = fill(job.get("strategy", {}).get("matrix"), here)
            ended = [self._job(id_, job, {**values, "matrix": cell}, environment) for cell in _cells(matrix)]
            results = {one.result for one in ended}
            done[id_] = ended[0] if len(ended) == 1 else Done(result="failure" if "failure" in results else "success")
        failed = any(one.result == "failure" for one in done.values())
        return Done(result="failure" if failed else "success")

    def _job(self, id_: str, job: Mapping[str, Any], values: Mapping[str, Any], environment: Mapping[str, str]) -> Done:
        if "uses" in job:
            here = Contexts(values=values)
            secrets = {key: value for key, value in fill(job.get("secrets", {}), here).items() if value}
            return self._called(job["uses"].removeprefix("./"), fill(job["with"], here), secrets, job["permissions"])
        name = text(fill(job.get("name", id_), Contexts(values=values)))
        machine = _Machine(self, job, {**values, "matrix": values["matrix"]}, environment, name)
        self.machines[name] = machine
        self.jobs[name] = machine.run()
        return self.jobs[name]


def _cells(matrix: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    """Return the cells of a matrix: those it includes, or those of its only axis."""
    if not matrix:
        return [{}]
    ((axis, values),) = matrix.items()
    return list(values) if axis == "include" else [{axis: value} for value in values]


class _Machine:
    def __init__(
        self,
        runner: Runner,
        job: Mapping[str, Any],
        values: Mapping[str, Any],
        environment: Mapping[str, str],
        name: str,
    ) -> None:
        self._runner, self._job, self._name = runner, job, name
        self._given = (values, environment)
        made = runner.folder / "machines"
        made.mkdir(exist_ok=True)
        self._folder = made / f"{len(list(made.iterdir()))}-{name.replace(' ', '-')}"
        self._work, self._temp = self._folder / "work", self._folder / "temp"
        for folder in (self._work, self._temp):
            folder.mkdir(parents=True)
        self._values = {**values, "steps": {}, "runner": {"temp": str(self._temp)}}
        self._environment = {
            **runner.environment,
            **(runner.identity if job["permissions"].get("id-token") == "write" else {}),
            **environment,
            "GITHUB_ACTIONS": "true",
            "CI": "true",
            "RUNNER_TEMP": str(self._temp),
            "HOME": str(self._folder),
        }

    def another(self) -> _Machine:
        """Return a machine for the same job."""
        values, environment = self._given
        return _Machine(self._runner, self._job, values, environment, self._name)

    def run(self) -> Done:
        steps: list[Step] = []
        failed = False
        for number, step in enumerate(self._job["steps"]):
            here = Contexts(values=self._values, failed=failed)
            if not holds(step.get("if"), here):
                continue
            done = self._act(step, here) if "uses" in step else self._run(number, step, here)
            steps.append(done)
            failed = failed or done.status != 0
        here = Contexts(values=self._values, failed=failed)
        summary = "".join(path.read_text("utf-8") for path in sorted(self._temp.glob("summary-*")))
        outputs = {key: text(value) for key, value in fill(self._job.get("outputs", {}), here).items()}
        return Done(result="failure" if failed else "success", outputs=outputs, steps=tuple(steps), summary=summary)

    def _run(self, number: int, step: Mapping[str, Any], here: Contexts) -> Step:
        assert "${{" not in step["run"], "an expression in a script is a way in for who chooses its value"
        outputs, summary = self._temp / f"outputs-{number}", self._temp / f"summary-{number:02}"
        outputs.touch()
        summary.touch()
        environment = {
            **self._environment,
            **{key: text(value) for key, value in fill(step.get("env", {}), here).items()},
            "GITHUB_OUTPUT": str(outputs),
            "GITHUB_STEP_SUMMARY": str(summary),
        }
        script = self._temp / f"script-{number}.sh"
        script.write_text(step["run"])
        shell = _SHELLS[step.get("shell", self._job.get("defaults", {}).get("run", {}).get("shell"))]
        done = subprocess.run(
            [*shell, script], cwd=self._work, env=environment, capture_output=True, text=True, check=False
        )
        if "id" in step:
            self._values["steps"][step["id"]] = {"outputs": _outputs(outputs.read_text("utf-8"))}
        return Step(name=step["run"], status=done.returncode, output=done.stdout + done.stderr)

    def _act(self, step: Mapping[str, Any], here: Contexts) -> Step:
        action, _, commit = step["uses"].partition("@")
        assert len(commit) == 40, "not pinned"
        given = {key: text(value) for key, value in fill(step.get("with", {}), here).items()}
        match action:
            case "actions/checkout":
                assert given["persist-credentials"] == "false"
                subprocess.run(["git", "clone", "-q", self._runner.repository, self._work], check=True)
            case "astral-sh/setup-uv":
                pass  # uv is on PATH, and so is the folder of its tools
            case "actions/upload-artifact":
                self._upload(**given)
            case "actions/download-artifact":
                self._download(**given)
            case "actions/cache/restore" | "actions/cache/save":
                self._cache(action.rsplit("/", 1)[1], given)
            case "docker/setup-qemu-action":
                emulator = Path("/proc/sys/fs/binfmt_misc") / f"qemu-{_EMULATORS[given['platforms']]}"
                assert emulator.read_text("utf-8").startswith("enabled")
            case "peter-evans/create-pull-request":
                self._propose(**{key.replace("-", "_"): value for key, value in given.items()})
            case _:
                raise AssertionError(f"no imitation of {action}")
        return Step(name=action, status=0, output="")

    def _upload(self, *, name: str, path: str, **options: str) -> None:
        target = self._runner.folder / "artifacts" / name
        assert options["overwrite"] == "true" or not target.exists(), "artifacts cannot be changed"
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        searched = [self._work / line for line in path.splitlines()]
        root = Path(os.path.commonpath([one.parent if one.is_file() else one for one in searched]))
        for one in searched:
            for file in [one] if one.is_file() else one.rglob("*"):
                inside = file.relative_to(root)
                hidden = any(part.startswith(".") for part in inside.parts)
                if file.is_file() and (not hidden or options.get("include-hidden-files") == "true"):
                    (target / inside).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(file, target / inside)
        assert any(target.iterdir()) or options["if-no-files-found"] != "error"

    def _download(self, *, path: str, name: str = "", pattern: str = "", **options: str) -> None:
        artifacts = self._runner.folder / "artifacts"
        if name:
            assert (artifacts / name).is_dir(), f"no artifact {name}"
        else:
            assert options["merge-multiple"] == "true"
        for found in sorted(artifacts.glob("*")):
            if found.name == name or (pattern and fnmatch.fnmatchcase(found.name, pattern)):
                shutil.copytree(found, self._work / path, dirs_exist_ok=True)

    def _propose(self, *, branch: str, commit_message: str, add_paths: str, token: str, **options: str) -> None:
        assert token
        assert options["title"]
        git = ["git", "-C", str(self._work), "-c", "user.name=Test", "-c", "user.email=test@example.invalid"]
        subprocess.run([*git, "add", "--", add_paths], check=True)
        subprocess.run([*git, "commit", "-q", "-m", commit_message], check=True)
        subprocess.run([*git, "push", "-q", str(self._runner.repository), f"HEAD:refs/heads/{branch}"], check=True)
        self._runner.proposed.append(branch)

    def _cache(self, verb: str, given: Mapping[str, str]) -> None:
        kept = self._runner.folder / "cache"
        if verb == "save":
            pattern = given["path"]
            for file in self._work.glob(pattern.removeprefix("./")):
                target = kept / file.relative_to(self._work)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, target)
        elif kept.is_dir():
            shutil.copytree(kept, self._work, dirs_exist_ok=True)


def _outputs(lines: str) -> dict[str, str]:
    """Read what a step wrote to GITHUB_OUTPUT."""
    found: dict[str, str] = {}
    waiting = iter(lines.splitlines())
    for line in waiting:
        if "<<" in line:
            name, _, end = line.partition("<<")
            value = []
            for inner in waiting:
                if inner == end:
                    break
                value.append(inner)
            found[name] = "\n".join(value)
        else:
            name, _, one = line.partition("=")
            found[name] = one
    return found
