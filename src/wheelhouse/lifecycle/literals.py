"""Python source in, the extension modules that it declares out, as far as they stand there as literals."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

#: How modules of pkg-config are called: no option, no word in capitals.
_MODULE = r"[a-z][\w.+]*(?:-[\w.+]+)*"


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """A call that makes an extension module."""

    name: str
    """Dotted, as it is imported; empty: put together when the file runs."""
    sources: tuple[str, ...] = ()
    """Those that stand there; empty: put together when the file runs."""
    libraries: tuple[str, ...] = ()
    """What it is linked with, on whatever platform: where the list is put together, all that it may hold."""


def declared_extensions(source: bytes) -> tuple[Declared, ...]:
    """Return the extension modules of a `setup.py` or the like; none where it is no Python."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return ()
    values = _assigned(tree)
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _called(node).endswith("Extension"):
            keywords = {keyword.arg: keyword.value for keyword in node.keywords}
            name = _name(node.args[0] if node.args else keywords.get("name"), values)
            libraries = tuple(dict.fromkeys(_texts(keywords.get("libraries"), values)))
            sources = tuple(_texts(node.args[1] if node.args[1:] else keywords.get("sources"), values))
            found.append(Declared(name=name, sources=sources, libraries=libraries))
    return tuple({extension.name: extension for extension in found}.values())


def asked_of_pkg_config(source: bytes) -> tuple[str, ...]:
    """Return the modules that a build script asks pkg-config for: texts beside its name in one call."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return ()
    found: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            texts = [text for argument in node.args for text in _texts(argument, {})]
            asks = "pkg-config" in texts or re.fullmatch(r"pkg_?config\w*", _called(node))
            found += [text for text in texts if asks and re.fullmatch(_MODULE, text) and text != "pkg-config"]
    return tuple(dict.fromkeys(found))


def _called(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def _name(node: ast.expr | None, values: dict[str, list[ast.expr]]) -> str:
    """Return a module's name where the file has it as one text."""
    if isinstance(node, ast.Name) and len(values.get(node.id, ())) == 1:
        node = values[node.id][0]
    known = isinstance(node, ast.Constant) and isinstance(node.value, str) and "*" not in node.value
    return node.value.replace("/", ".").removesuffix(".__init__") if known else ""  # type: ignore[union-attr]


def _assigned(tree: ast.AST) -> dict[str, list[ast.expr]]:
    """Return what each name is set to or has appended, wherever in the file."""
    values: dict[str, list[ast.expr]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    values.setdefault(target.id, []).append(node.value)
        elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            values.setdefault(node.target.id, []).append(node.value)
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
            and node.func.attr in {"append", "extend"}
        ):
            values.setdefault(node.func.value.id, []).extend(node.args)
    return values


def _texts(node: ast.expr | None, values: dict[str, list[ast.expr]], depth: int = 3) -> Iterator[str]:
    """Yield the texts that an expression is or holds; names are looked up, calls are not followed."""
    match node:
        case ast.Constant(value=str(text)):
            yield text
        case ast.List(elts=elements) | ast.Tuple(elts=elements):
            for element in elements:
                yield from _texts(element, values, depth)
        case ast.BinOp(left=left, op=ast.Add(), right=right) if not isinstance(left, ast.Constant):
            yield from _texts(left, values, depth)
            yield from _texts(right, values, depth)
        case ast.Name(id=name) if depth:
            for value in values.get(name, ()):
                yield from _texts(value, values, depth - 1)
        case _:
            return
