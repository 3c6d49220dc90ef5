"""Expressions of GitHub Actions, as far as our workflows use them: what stands between `${{` and `}}`, evaluated.

Covered: contexts and their properties (`needs.plan.outputs.stages`, hyphens in names, missing ones are null), texts,
numbers, `!`, `&&`, `||`, `==`, `!=`, `<`, `>`, parentheses, and the functions fromJSON, format, cancelled, always,
success and failure. `==` compares texts without their case, and text with number as numbers, as GitHub does. Not
covered: `*`, `[]` and the other functions; a workflow that uses them fails its test, loudly.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<number>\d+)|(?P<name>[A-Za-z_][\w-]*)|(?P<sign>&&|\|\||==|!=|[!<>().,]))"
)
_EMBEDDED = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contexts:
    values: Mapping[str, Any]
    failed: bool = False
    """Whether a step or a needed job before has failed."""


def fill(value: Any, contexts: Contexts) -> Any:
    """Return a value of a workflow with every expression in it evaluated; one that is an expression keeps its type."""
    if isinstance(value, Mapping):
        return {key: fill(inner, contexts) for key, inner in value.items()}
    if isinstance(value, list):
        return [fill(inner, contexts) for inner in value]
    if not isinstance(value, str):
        return value
    if whole := re.fullmatch(r"\s*\$\{\{((?:(?!\}\}).)*)\}\}\s*", value, re.DOTALL):
        return evaluate(whole[1], contexts)
    return _EMBEDDED.sub(lambda found: text(evaluate(found[1], contexts)), value)


def holds(condition: str | None, contexts: Contexts) -> bool:
    """Say whether an `if` lets a job or a step run: without a word on failures, only while nothing has failed."""
    if condition is None:
        return not contexts.failed
    bare = condition.strip().removeprefix("${{").removesuffix("}}")
    asks = re.search(r"\b(cancelled|always|failure|success)\(\)", bare)
    return bool(evaluate(bare, contexts)) and (asks is not None or not contexts.failed)


def evaluate(expression: str, contexts: Contexts) -> Any:
    parser = _Parser(expression, contexts)
    value = parser.either()
    assert parser.at == len(parser.tokens), f"not understood: {expression}"
    return value


def text(value: Any) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


class _Parser:
    def __init__(self, expression: str, contexts: Contexts) -> None:
        self.tokens: list[tuple[str, str]] = []
        self.at = 0
        self.contexts = contexts
        place = 0
        while place < len(expression.rstrip()):
            found = _TOKEN.match(expression, place)
            assert found is not None, f"not understood: {expression[place:]}"
            self.tokens.append((str(found.lastgroup), found[str(found.lastgroup)]))
            place = found.end()

    def either(self) -> Any:
        value = self.both()
        while self.take("||"):
            other = self.both()
            value = value or other
        return value

    def both(self) -> Any:
        value = self.comparison()
        while self.take("&&"):
            other = self.comparison()
            value = value and other
        return value

    def comparison(self) -> Any:
        left = self.single()
        for sign in ("==", "!=", "<", ">"):
            if self.take(sign):
                return _compare(sign, left, self.single())
        return left

    def single(self) -> Any:
        if self.take("!"):
            return not self.single()
        if self.take("("):
            value = self.either()
            assert self.take(")")
            return value
        kind, word = self.tokens[self.at]
        self.at += 1
        if kind == "text":
            return word[1:-1].replace("''", "'")
        if kind == "number":
            return int(word)
        assert kind == "name", word
        return self.call(word) if self.take("(") else self.property(word)

    def property(self, word: str) -> Any:
        literals = {"true": True, "false": False, "null": None}
        if word in literals:
            return literals[word]
        assert word in self.contexts.values, f"no context {word}"
        value = self.contexts.values[word]
        while self.take("."):
            name = self.tokens[self.at][1]
            self.at += 1
            value = value.get(name) if isinstance(value, Mapping) else None
        return value

    def call(self, name: str) -> Any:
        arguments: list[Any] = []
        while not self.take(")"):
            arguments.append(self.either())
            self.take(",")
        match name:
            case "fromJSON":
                return json.loads(arguments[0])
            case "format":
                return re.sub(r"\{(\d+)\}", lambda found: text(arguments[1 + int(found[1])]), arguments[0])
            case "always":
                return True
            case "cancelled":
                return False
            case "success":
                return not self.contexts.failed
            case "failure":
                return self.contexts.failed
        raise AssertionError(f"no function {name}")

    def take(self, sign: str) -> bool:
        if self.at < len(self.tokens) and self.tokens[self.at] == ("sign", sign):
            self.at += 1
            return True
        return False


def _compare(sign: str, left: Any, right: Any) -> bool:
    if isinstance(left, str) and isinstance(right, str):
        left, right = left.lower(), right.lower()
    else:
        left, right = _number(left), _number(right)
    return bool({"==": left == right, "!=": left != right, "<": left < right, ">": left > right}[sign])


def _number(value: Any) -> float:
    try:
        return float(value or 0)
    except ValueError:
        return math.nan
