"""A job, its lock and the environment in; what a record says of where its wheel came from out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from wheelhouse import __version__
from wheelhouse.download import without_secrets
from wheelhouse.errors import MachineError
from wheelhouse.record import Origin, Pinned, Recipe

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from wheelhouse.job import Job
    from wheelhouse.process import Processes
    from wheelhouse.requirements import Lock

#: `git@host:owner/name`, as ssh takes it.
_SCP = re.compile(r"(?:[\w.-]+@)?(?P<host>[\w.-]+):(?P<path>[^/].*)")
_SCHEMES = {"http", "https", "ssh", "git"}


def find_origin(
    job: Job, lock: Lock, *, key: str, recipe: Path, environment: Mapping[str, str], processes: Processes
) -> Origin:
    """Return the origin of a job's wheel. `recipe` is the recipe's folder; `environment` tells of a CI service."""
    builder, invocation = _invocation(environment)
    return Origin(
        source=Pinned(
            name=job.project, version=str(job.version), sha256=job.source.sha256, url=_reachable(job.source.url)
        ),
        patches=tuple(Pinned(name=patch.path.name, sha256=patch.sha256) for patch in job.source.patches),
        requirements=tuple(
            Pinned(name=pin.name, version=pin.version, sha256=pin.sha256, url=_reachable(pin.url)) for pin in lock.pins
        ),
        recipe=_recipe(recipe, processes),
        builder=builder or f"pkg:pypi/wheelhouse@{__version__}",
        invocation=invocation or key,
        wheelhouse=__version__,
    )


def _invocation(environment: Mapping[str, str]) -> tuple[str | None, str | None]:
    """Return who builds and in which run, as the variables of GitHub Actions and GitLab CI tell."""
    server, repository = environment.get("GITHUB_SERVER_URL"), environment.get("GITHUB_REPOSITORY")
    if environment.get("GITHUB_ACTIONS") == "true" and server and repository:
        workflow = environment.get("GITHUB_WORKFLOW_REF") or repository
        run, attempt = environment.get("GITHUB_RUN_ID", ""), environment.get("GITHUB_RUN_ATTEMPT", "1")
        return f"{server}/{workflow}", f"{server}/{repository}/actions/runs/{run}/attempts/{attempt}"
    if environment.get("GITLAB_CI") == "true" and (project := environment.get("CI_PROJECT_URL")):
        return f"{project}/-/runners/{environment.get('CI_RUNNER_ID', '')}", environment.get("CI_JOB_URL")
    return None, None


def _recipe(folder: Path, processes: Processes) -> Recipe | None:
    """Return the commit that a recipe's folder is of; None where it is in no repository, or git is not here."""
    try:
        top = _git(folder, processes, "rev-parse", "HEAD", "--show-prefix")
        if top is None:
            return None
        commit, _, path = top.partition("\n")
        return Recipe(
            commit=commit,
            path=path.rstrip("/"),
            url=_repository(_git(folder, processes, "remote", "get-url", "origin") or ""),
            changed=bool(_git(folder, processes, "status", "--porcelain", "--", ".")),
        )
    except MachineError:
        return None


def _git(folder: Path, processes: Processes, *words: str) -> str | None:
    """Return what git says; None where it fails. What a repository's configuration would run is not run."""
    said = processes.run(["git", "-C", folder, "-c", "core.fsmonitor=false", *words], check=False)
    return said.output.strip() if said.returncode == 0 else None


def _repository(remote: str) -> str | None:
    if "://" not in remote:
        found = _SCP.fullmatch(remote)
        return f"git+ssh://{found['host']}/{found['path']}" if found else None
    return f"git+{without_secrets(remote)}" if urlsplit(remote).scheme in _SCHEMES else None


def _reachable(url: str | None) -> str | None:
    """Return an address that means something elsewhere, without secrets."""
    return without_secrets(url) if url and urlsplit(url).scheme in {"http", "https"} else None
