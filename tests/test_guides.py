"""What README and docs/ tell people to type: the README's first block is run, all else held against the commands."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import click
import pytest

import wheelhouse
from real_index import free_port
from wheelhouse.cli import cli

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/*.md"), *ROOT.glob("examples/*.md")])
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)")
#: Where one command ends and another begins, or a comment does.
_ENDS = {"&&", "||", "|", ";", "&", ">", ">>"}


def typed(page: Path) -> list[list[str]]:
    """Return the calls of wheelhouse in a page's blocks, each as its words."""
    lines = [
        line.removeprefix("$ ")
        for language, text in _BLOCK.findall(page.read_text("utf-8"))
        if language in {"console", "sh"}
        for line in text.splitlines()
        if language == "sh" or line.startswith("$ ")
    ]
    calls = []
    for line in lines:
        words = shlex.split(line, comments=True)
        for start, word in enumerate(words):
            if word == "wheelhouse" and (start == 0 or words[start - 1] in _ENDS or "=" in words[start - 1]):
                rest = words[start + 1 :]
                end = next((number for number, other in enumerate(rest) if other in _ENDS), len(rest))
                calls.append(rest[:end])
    return calls


def command_of(words: list[str]) -> tuple[click.Command, list[str]]:
    """Return the command that the words lead to, and the words that are left for it."""
    command: click.Command = cli
    left = list(words)
    while isinstance(command, click.Group) and left and not left[0].startswith("-"):
        name = left.pop(0)
        below = command.get_command(click.Context(command), name)
        assert below is not None, f"wheelhouse {shlex.join(words)}: there is no `{name}`"
        command = below
    return command, left


def commands(group: click.Group, above: tuple[str, ...] = ()) -> list[str]:
    """Return the names of all commands that do something, with the groups they are in."""
    context = click.Context(group)
    names = []
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        names += commands(command, (*above, name)) if isinstance(command, click.Group) else [" ".join((*above, name))]
    return names


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_page__its_commands_and_options_exist(page: Path) -> None:
    for words in typed(page):
        command, left = command_of(words)
        known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        options = {word.partition("=")[0] for word in left if word.startswith("-")}
        assert options <= known | {"--help", "--version"}, f"wheelhouse {shlex.join(words)}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_page__its_links_lead_somewhere(page: Path) -> None:
    for name, anchor in _LINK.findall(page.read_text("utf-8")):
        target = page.parent / name if name else page
        assert target.exists(), f"{page.name} links to {name}"
        if anchor:
            titles = re.findall(r"^#+ (.+)$", target.read_text("utf-8"), re.MULTILINE)
            anchors = {re.sub(r"[^\w\- ]", "", title).lower().replace(" ", "-") for title in titles}
            assert anchor in anchors, f"{page.name} links to {name}#{anchor}"


def test_pages__tell_of_every_command() -> None:
    told = "\n".join(page.read_text("utf-8") for page in PAGES)
    # Several subcommands stand together as in `wheelhouse index yank | unyank | delete`.
    missing = [
        name
        for name in commands(cli)
        if not re.search(rf"wheelhouse {name.rpartition(' ')[0]}[\w| ]*\b{name.rpartition(' ')[2]}\b", told)
    ]
    assert not missing


def test_architecture_page__has_every_room() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    package = Path(wheelhouse.__file__).parent
    files = {path.name for path in package.glob("*.py")} - {"__init__.py"}
    folders = {f"{path.parent.name}/" for path in package.glob("*/__init__.py")}

    assert not {name for name in files | folders if f"`{name}`" not in page}


@pytest.mark.slow
@pytest.mark.network
def test_readme__its_first_block__ends_in_an_import_from_our_own_index(tmp_path: Path) -> None:
    language, block = _BLOCK.findall((ROOT / "README.md").read_text("utf-8"))[0]
    assert language == "sh"
    clone = tmp_path / "clone"
    left_out = shutil.ignore_patterns(
        ".git", ".venv", ".nox", ".wheelhouse", "dist", "client", "__pycache__", ".*_cache"
    )
    shutil.copytree(ROOT, clone, ignore=left_out)
    port = free_port()

    done = subprocess.run(
        ["bash", "-e"],
        input=block.replace("8080", str(port)).replace("serve ", f"serve --port {port} "),
        cwd=clone,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert f"http://localhost:{port}/files/" in done.stdout
    assert re.search(r"^imported \S+/client/\S+/_speedups\S*\.so$", done.stdout, re.MULTILINE)
    assert list(clone.glob("client/lib/*/site-packages/markupsafe-*.dist-info/wheelhouse.json"))
