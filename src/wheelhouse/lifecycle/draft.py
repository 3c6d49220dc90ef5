"""An sdist and what it says in; the text of its recipe out, each line with the file that it comes from."""

from __future__ import annotations

import json
import textwrap
from typing import TYPE_CHECKING

from wheelhouse.diagnose.lookup import FAMILIES
from wheelhouse.lifecycle.extensions import module_names
from wheelhouse.lifecycle.wanted import merged

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from wheelhouse.lifecycle.sdist import Found
    from wheelhouse.lifecycle.survey import Survey

#: More extension modules than this are not named one by one.
_MOST_IMPORTS = 6
_WIDTH = 118


def recipe_text(found: Found, said: Survey) -> str:
    """Return a whole recipe, as TOML with comments."""
    parts = (_head(said), _package(found, said), _version(found), _packages(said), _test(said))
    return "\n\n".join("\n".join(lines) for part in parts if (lines := list(part))) + "\n"


def proving_command(modules: Iterable[str]) -> str:
    """Return a shell command that fails unless these modules are there as compiled code."""
    lines = [f"import {module}" for module in modules]
    lines += [f"assert type({module}.__spec__.loader).__name__ == 'ExtensionFileLoader'" for module in modules]
    return "\n".join(['python -c "', *lines, '"', ""])


def _head(said: Survey) -> Iterator[str]:
    text = f"Back end {said.backend}, which asks for {', '.join(said.requires) or 'nothing'}."
    yield from textwrap.wrap(_remark(text), _WIDTH, initial_indent="# ", subsequent_indent="# ")
    if said.licence is not None:
        yield f"# Licence: {_remark(', '.join(said.licence.value))} ({said.licence.where})."


def _package(found: Found, said: Survey) -> Iterator[str]:
    yield "[package]"
    yield f"name = {_quoted(found.project)}"
    names = said.import_names
    if names is not None and names.value != (found.project.replace("-", "_"),):
        yield f"import-names = {_list(names.value)} # {_remark(names.where)}"


def _version(found: Found) -> Iterator[str]:
    yield "[[version]]"
    yield f"version = {_quoted(str(found.version))}"
    yield f"sha256 = {_quoted(found.sha256)} # says {_remark(found.origin)}"


def _packages(said: Survey) -> Iterator[str]:
    packages = merged(said.packages)
    if packages:
        yield "[system-packages]"
        yield from (f"# {_remark(proposal.why)}" for proposal in said.packages)
        yield from (f"{family} = {_list(packages[family])}" for family in FAMILIES if family in packages)


def _test(said: Survey) -> Iterator[str]:
    modules = module_names(said.extensions)[:_MOST_IMPORTS]
    if modules:
        where = dict.fromkeys(extension.where for extension in said.extensions if extension.name in modules)
        yield "[test]"
        yield f"# Extension modules by {_remark(', '.join(where))}."
        yield f"imports = {_list(modules)}"
        yield f"command = '''\n{proving_command(modules)}'''"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)  # what JSON escapes, TOML does alike


def _list(texts: Iterable[str]) -> str:
    return f"[{', '.join(map(_quoted, texts))}]"


def _remark(text: str) -> str:
    """Return a text that a source chose as one line of a comment."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)
