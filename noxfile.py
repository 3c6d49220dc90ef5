"""The project's sessions: `nox -s lint tests bench build`."""

from __future__ import annotations

import os
from pathlib import Path

import nox

nox.options.default_venv_backend = "uv|virtualenv"
nox.options.sessions = ["lint", "tests"]

PROJECT = nox.project.load_toml("pyproject.toml")
PYTHONS = nox.project.python_versions(PROJECT)

EXTRAS = "[zig,index,attestations]"


def own() -> str:
    """Return what is tested: the wheel in the folder `WHEELHOUSE_WHEEL`, else one that is built now."""
    folder = os.environ.get("WHEELHOUSE_WHEEL")
    if not folder:
        return f".{EXTRAS}"
    (wheel,) = Path(folder).glob("wheelhouse-*.whl")
    return f"{wheel.absolute()}{EXTRAS}"


@nox.session
def lint(session: nox.Session) -> None:
    """Check formatting, rules and types."""
    session.install("-e", ".[zig,index,attestations]", *nox.project.dependency_groups(PROJECT, "lint", "test"))
    session.run("ruff", "format", "--check", ".")
    session.run("ruff", "check", ".")
    session.run("mypy")


@nox.session
def tests(session: nox.Session) -> None:
    """Test the built wheel, as a user installs it. What this machine cannot run is skipped with its reason."""
    session.install(own(), *nox.project.dependency_groups(PROJECT, "test"))
    workers = os.environ.get("WHEELHOUSE_TEST_WORKERS", "auto")
    arguments = session.posargs or ["-n", workers, "--dist", "worksteal"]
    session.run("pytest", *arguments)


@nox.session(python=PYTHONS)
def matrix(session: nox.Session) -> None:
    """Run the quick tests on every Python that we support."""
    session.install(own(), *nox.project.dependency_groups(PROJECT, "test"))
    session.run("pytest", "-m", "not slow and not container", *session.posargs)


@nox.session
def coverage(session: nox.Session) -> None:
    """Measure what the tests reach; fails under the floor in pyproject.toml."""
    session.install("-e", ".[zig,index,attestations]", *nox.project.dependency_groups(PROJECT, "test"))
    session.run("pytest", "--cov", "--cov-report=term-missing:skip-covered", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Run a benchmark beside its peers: `nox -s bench -- benchmarks/three_pythons.py`."""
    session.install(".[zig,index]")
    for script in session.posargs or ["benchmarks/plan_thousand.py"]:
        session.run("python", script)


@nox.session
def build(session: nox.Session) -> None:
    """Build sdist and wheel of wheelhouse itself and of what Salt loads of it, and let it check its own."""
    session.install(".", "build")
    session.run("python", "-m", "build", "--outdir", "dist/own")
    session.run("python", "-m", "build", "--outdir", "dist/own", "saltext")
    session.run("twine", "check", "--strict", "dist/own/*")


@nox.session(python=False)
def tagged(session: nox.Session) -> None:
    """Refuse a release whose tag, in GITHUB_REF_NAME, is not the version."""
    version = PROJECT["project"]["version"]
    if (tag := os.environ.get("GITHUB_REF_NAME")) != f"v{version}":
        session.error(f"the tag is {tag}, and pyproject.toml has version {version}")
