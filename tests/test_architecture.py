"""Imports run downward only, files are small, one module starts processes, only the command line prints."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import wheelhouse

SOURCE = Path(wheelhouse.__file__).parent
#: From the roof down. A module may import from its own floor and from those below it.
FLOORS = (
    ("__main__",),
    ("cli",),
    ("pipeline", "farm", "legacy", "scaffold", "lifecycle", "egg", "publish"),
    ("index",),
    ("verify",),
    ("facts",),
    ("plan", "selection", "results"),
    ("builders", "trial"),
    ("origin", "owners"),
    ("source", "requirements", "download"),
    ("check", "diagnose", "repair", "repair_process", "seal", "difference", "reproduction"),
    ("sbom", "provenance"),
    ("registry", "recipe_lint", "recipe_schema"),
    ("job", "workplace"),
    ("recipe", "recipe_rules"),
    (
        "config",
        "recipe_fields",
        "salt_config",
        "cibuildwheel_options",
        "target",
        "selector",
        "wheel",
        "record",
        "buildkey",
        "joblog",
        "spool",
    ),
    ("toml", "toml_problems", "finding", "process", "locking", "address"),
    ("errors", "__init__"),
)
#: The same inside the index, which is a house of its own.
INDEX_FLOORS = (
    ("prefetch",),
    ("serving",),
    ("web",),
    ("routes",),
    ("telling",),
    ("upstream",),
    ("problems", "client_config"),
    ("outages",),
    ("settings",),
    ("changes",),
    ("stores",),
    ("pages",),
    ("access",),
    ("model", "environment", "client", "__init__"),
)
LEVEL = {name: len(FLOORS) - number for number, floor in enumerate(FLOORS) for name in floor}
MODULES = sorted(path for path in SOURCE.rglob("*.py") if "bundled" not in path.parts)
MOST_LINES = 400


def room(path: Path) -> str:
    """Return the module or package directly below `wheelhouse` that a file belongs to."""
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def typing_alone(tree: ast.Module) -> set[int]:
    """Return the nodes, by identity, that only a type checker sees."""
    return {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }


def imported(path: Path) -> set[str]:
    """Return the rooms that a file imports at run time, inside functions too."""
    tree = ast.parse(path.read_text("utf-8"))
    typing_only = typing_alone(tree)
    names = set()
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "wheelhouse":
            parts = node.module.split(".")
            names |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {a.name.split(".")[1] for a in node.names if a.name.startswith("wheelhouse.")}
    return names & LEVEL.keys()


def imported_inside(path: Path) -> set[str]:
    """Return the rooms of the index that a file of the index imports at run time."""
    tree = ast.parse(path.read_text("utf-8"))
    typing_only = typing_alone(tree)
    return {
        node.module.split(".")[2]
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and id(node) not in typing_only
        if node.module and node.module.startswith("wheelhouse.index.")
    }


def test_floors__every_room__has_one() -> None:
    assert {room(path) for path in MODULES} == set(LEVEL)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_module__imports__run_downward(path: Path) -> None:
    own = room(path)
    upward = {name for name in imported(path) if LEVEL[name] > LEVEL[own]}
    assert not upward, f"{own} imports {upward}, which stand above it"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_module__size__fits_a_newcomers_head(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= MOST_LINES


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_module__first_line__says_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text("utf-8")))


def test_index__and_the_build__meet_over_http_alone() -> None:
    """What builds wheels knows nothing of the index, and the index imports the ground only."""
    ground = {"config", "errors", "process", "record", "spool", "toml", "wheel", "__init__", "index"}
    index = [path for path in MODULES if room(path) == "index"]
    assert index
    assert set().union(*map(imported, index)) <= ground
    assert not [path for path in MODULES if room(path) not in {"index", "cli"} and "index" in imported(path)]


INDEX_LEVEL = {name: len(INDEX_FLOORS) - number for number, floor in enumerate(INDEX_FLOORS) for name in floor}
INDEX_MODULES = [path for path in MODULES if room(path) == "index"]


def index_room(path: Path) -> str:
    """Return the module or package directly below `wheelhouse.index` that a file belongs to."""
    return path.relative_to(SOURCE / "index").parts[0].removesuffix(".py")


def test_index_floors__every_room__has_one() -> None:
    assert {index_room(path) for path in INDEX_MODULES} == set(INDEX_LEVEL)


@pytest.mark.parametrize("path", INDEX_MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_index_module__imports__run_downward(path: Path) -> None:
    own = index_room(path)
    upward = {name for name in imported_inside(path) if INDEX_LEVEL[name] > INDEX_LEVEL[own]}
    assert not upward, f"{own} imports {upward}, which stand above it"


def test_processes__are_started_in_one_place() -> None:
    # The compiler wrapper and the trial's probe are programs of their own: they run outside of wheelhouse.
    programs = {SOURCE / "builders/zigcc/driver.py", SOURCE / "trial/probe.py", SOURCE / "process.py"}
    starters = {
        path
        for path in MODULES
        if any(word in path.read_text("utf-8") for word in ("import subprocess", "os.system(", "Popen("))
    }
    assert starters <= programs


def test_printing__only_the_command_line_does() -> None:
    programs = {SOURCE / "builders/zigcc/driver.py", SOURCE / "trial/probe.py", SOURCE / "repair_process.py"}
    printers = {
        path
        for path in MODULES
        if room(path) != "cli"
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {"print", "click.echo", "sys.exit"}
    }
    assert printers - programs <= {SOURCE / "__main__.py"}
