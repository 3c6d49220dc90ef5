"""A log in, the clue to its cause out: the earliest of the heaviest lines that a rule fits."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING

from wheelhouse.diagnose import machine_rules, python_rules, toolchain_rules
from wheelhouse.diagnose.clue import Clue, Rule, Weight
from wheelhouse.diagnose.logtext import lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wheelhouse.diagnose.logtext import Line

#: A line without any of these is fitted by no rule: asking so costs a tenth of asking the rules.
_WORDS = (
    "error", "not found", "no such", "cannot", "could not", "couldn't", "can't", "unable", "missing", "not there", "required", "requires", "needs",
    "killed", "exhausted", "memory", "bad_alloc", "sigkill", "no space", "quota", "enospc", "did not end", "read-only", "undefined", "unrecognized",
    "name or service", "unreachable", "resolve", "lookup", "connect", "route to host", "servname", "getaddrinfo", "network", "hunk", "patch", "hash",
    "sha256", "no match", "no package", "no such package", "nothing provides", "candidate", "locate", "invalid", "superseded", "deprecated", "too ",
    "has been removed", "not installed", "unknown", "failed", "cargo", "rust", "supported", "newer", "implicit", "incompatible", "older", "trying", "found",
    "git", "puccinialin", "glibc", "cmake_make_program", "no fortran", "no c compiler", "137",
)  # fmt: skip
#: Files that build scripts compile only to see whether they can.
_PROBES = re.compile(
    r"(?:^|[/ ])(?:conftest|_configtest|testfile|test_?compile|CMakeScratch|try_compile|tmp[a-z0-9_]{8})\b"
)


@functools.cache
def all_rules() -> tuple[Rule, ...]:
    """Return every rule, the more special before the more general: of those that fit a line, the first counts."""
    return (
        *machine_rules.LIMITS,
        *machine_rules.SOURCES,
        *machine_rules.PACKAGES,
        *machine_rules.REPAIR,
        *toolchain_rules.HEADERS,
        *toolchain_rules.LIBRARIES,
        *toolchain_rules.CMAKE,
        *toolchain_rules.CONFIGURATION,
        *toolchain_rules.RUST,
        *toolchain_rules.COMPILERS,
        *python_rules.MODULES,
        *python_rules.SUPPORT,
        *python_rules.c_api_rules(),
        *toolchain_rules.STRICTNESS,
        *toolchain_rules.TOOLS,
        *machine_rules.NETWORK,
        *machine_rules.LAST,
    )


def find_clue(log: str) -> Clue | None:
    """Return the clue that explains the others; None where no rule fits any line."""
    best: Clue | None = None
    for clue in _clues(log):
        if best is None or clue.weight < best.weight:
            best = clue
            if best.weight is Weight.DECISIVE:
                break
    return best


def last_complaint(log: str) -> str | None:
    """Return the last line that speaks of an error, for a log that no rule fits."""
    found: str | None = None
    for line in lines(log):
        text = line.text.strip()
        if re.search(r"\b(?:[Ee]rror|ERROR|FAILED|[Ff]atal|\w+Error)\b", text) and not _WRAPPERS.search(text):
            found = text
    return found


#: What front ends say after the one that matters has spoken.
_WRAPPERS = re.compile(
    r"Backend subprocess exited|returned non-zero exit status|subprocess-exited-with-error|metadata-generation-failed|ld returned \d|Configuring incomplete|error: command .* failed with exit"
)


def _clues(log: str) -> Iterator[Clue]:
    for line in lines(log):
        lowered = line.text.lower()
        if any(word in lowered for word in _WORDS) and (clue := _fit(line)):
            yield clue


def _fit(line: Line) -> Clue | None:
    for rule in all_rules():
        if rule.applies(line.stage) and (found := rule.pattern.search(line.text)):
            groups = {name: value for name, value in found.groupdict().items() if value is not None}
            probing = rule.weight is Weight.FATAL and _PROBES.search(line.text[: found.start() + 1])
            return Clue(
                rule=rule,
                groups=groups,
                line=line.text.strip(),
                number=line.number,
                weight=Weight.PROBE if probing else rule.weight,
            )
    return None
