"""registry.yml as the night starts it, and the action of one step: each `run` as it is written, with real commands."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

import tiny
from actions_runner import Runner
from servers import Answer, serve
from workflow_setting import REQUIREMENT, ROOT, environment_of_jobs, git, make_repository

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.slow, pytest.mark.network]

RECIPE = """\
# What we know of ant.
[package]
name = "{name}"

[[version]]
version = "1.0"  # as it was
sha256 = "{digest}"
"""


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    """Make a registry of which the index has something newer for one recipe, nothing newer for one, nothing for one."""
    folder = tmp_path_factory.mktemp("bump")
    pages: dict[str, list[Answer]] = {}
    with serve(pages) as index:
        registry = folder / "repository"
        for name, versions in {"ant": ("1.0", "1.1"), "bee": ("1.0",), "cat": ()}.items():
            links = ""
            for version in versions:
                archive = tiny.Tiny(name=name, version=version).write_sdist(folder / "sdists")
                digest = hashlib.sha256(archive.read_bytes()).hexdigest()
                links += f'<a href="/{archive.name}#sha256={digest}">{archive.name}</a>'
                pages[f"/{archive.name}"] = [Answer(body=archive.read_bytes())]
            if versions:
                pages[f"/simple/{name}/"] = [Answer(body=links.encode(), headers={"Content-Type": "text/html"})]
            recipe = registry / "recipes" / name / "recipe.toml"
            recipe.parent.mkdir(parents=True)
            recipe.write_text(RECIPE.format(name=name, digest="0" * 64))
        (registry / "wheelhouse.toml").write_text(f'[index]\nurl = "{index.url}/simple/"\n')
        yield Runner(
            repository=make_repository(registry),
            folder=folder,
            environment=environment_of_jobs(folder),
            identity={},
            github={
                "workflow": "Registry",
                "event_name": "schedule",
                "ref": "refs/heads/main",
                "run_id": "1",
                "token": "of-the-job",
                "event": {"repository": {"default_branch": "main"}},
            },
        )


def test_bump__a_pull_request_for_each_recipe_that_is_behind(runner: Runner) -> None:
    runner.run(".github/workflows/registry.yml")

    assert runner.proposed == ["wheelhouse/bump-ant"]
    assert list(runner.jobs) == ["Find newer versions", "ant"]
    assert "cat 1.0: " in runner.jobs["Find newer versions"].log  # which the index does not know, and nobody is held up
    assert runner.jobs["ant"].result == "success", runner.jobs["ant"].log
    changed = git(runner.repository, "diff", "--name-only", "main", "wheelhouse/bump-ant")
    assert changed == "recipes/ant/recipe.toml"
    recipe = git(runner.repository, "show", "wheelhouse/bump-ant:recipes/ant/recipe.toml")
    assert "# What we know of ant." in recipe
    digest = hashlib.sha256((runner.folder / "sdists/ant-1.1.tar.gz").read_bytes()).hexdigest()
    assert ('version = "1.1"' in recipe, digest in recipe) == (True, True)


def test_action__runs_one_command(runner: Runner) -> None:
    done = runner.use(ROOT / "action.yml", arguments="plan bee --only 'cp313-manylinux_x86_64'", wheelhouse=REQUIREMENT)
    assert done.result == "success", done.log
    assert "bee-1.0-cp313-manylinux_x86_64" in done.log


def test_action__nothing_to_run__is_installed(runner: Runner) -> None:
    done = runner.use(ROOT / "action.yml", wheelhouse=REQUIREMENT)
    assert [step.name for step in done.steps][-1] == 'uv tool install "$WHEELHOUSE"'
    assert done.result == "success", done.log
