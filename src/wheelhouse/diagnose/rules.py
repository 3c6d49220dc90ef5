"""A log in, the clue to its cause out: the earliest of the heaviest lines that a rule fits."""

from __future__ import annotations

import functools
import importlib.resources
import re
import tomllib
from typing import TYPE_CHECKING, Any

from wheelhouse.diagnose.clue import Clue, Rule, Weight
from wheelhouse.diagnose.logtext import lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from wheelhouse.diagnose.clue import Missing
    from wheelhouse.diagnose.logtext import Line

#: Files that build scripts compile only to see whether they can.
_PROBES = re.compile(r"(?:^|[/ ])(?:conftest|_configtest|testfile|CMakeScratch|TryCompile|tmp[a-z0-9_]{8})\b")
#: What front ends say after the one that matters has spoken.
_WRAPPERS = re.compile(
    r"Backend subprocess exited|returned non-zero exit status|subprocess-exited-with-error|metadata-generation-failed"
    r"|ld returned \d|Configuring incomplete|failed with exit code|the build back end failed with status \d"
)
_COMPLAINT = re.compile(r"\b(?:[Ee]rror|ERROR|FAILED|[Ff]atal|\w+Error)\b")


@functools.cache
def all_rules() -> tuple[Rule, ...]:
    """Return every rule of `rules.toml`, in its order: of those that fit a line, the first counts."""
    names = {
        table: "(?:" + "|".join(re.escape(name) for version in versions.values() for name in version) + r")\b"
        for table, versions in _read("c_api.toml").items()
    }
    return tuple(_rule(entry, names) for entry in _read("rules.toml")["rule"])


def find_clue(log: str) -> Clue | None:
    """Return the clue that explains the others; None where no rule fits any line."""
    best: Clue | None = None
    words = tuple(_read("rules.toml")["words"])
    wanted = all_rules()
    for line in lines(log):
        lowered = line.text.lower()
        if any(word in lowered for word in words) and (clue := _fit(line, wanted)):
            if best is None or clue.weight < best.weight:
                best = clue
                wanted = tuple(rule for rule in all_rules() if rule.weight < clue.weight)
            if best.weight is Weight.DECISIVE:
                break
    return best


def looked_for(log: str, clue: Clue) -> Iterator[Missing]:
    """Yield what build scripts had looked for in vain by the time of a clue, the last first."""
    found: list[Missing] = []
    for line in lines(log):
        if line.text.strip() == clue.line:
            break
        probe = _fit(line, all_rules())
        if probe is not None and probe.weight is Weight.PROBE and probe.missing is not None:
            found.append(probe.missing)
    yield from dict.fromkeys(reversed(found))


def last_complaint(log: str) -> str | None:
    """Return the last line that speaks of an error, for a log that no rule fits."""
    said = [line.text.strip() for line in lines(log) if _COMPLAINT.search(line.text)]
    return next((text for text in reversed(said) if not _WRAPPERS.search(text)), None)


def _fit(line: Line, wanted: tuple[Rule, ...]) -> Clue | None:
    plain = line.plain
    for rule in wanted:
        found = rule.search(plain, line.stage)
        if found is not None:
            probing = rule.weight is Weight.FATAL and _PROBES.search(plain[: found.start() + 1])
            return Clue(
                rule=rule,
                groups={name: value for name, value in found.groupdict().items() if value is not None},
                line=line.text.strip(),
                weight=Weight.PROBE if probing else rule.weight,
            )
    return None


def _rule(entry: Mapping[str, Any], names: Mapping[str, str]) -> Rule:
    def pattern(text: str) -> re.Pattern[str]:
        for name, alternatives in names.items():
            text = text.replace(f"{{{name}}}", alternatives)
        return re.compile(text)

    return Rule(
        kind=entry["kind"],
        patterns=tuple(pattern(text) for text in entry["patterns"]),
        message=entry["message"],
        mend=tuple(entry.get("mend", ())),
        missing=entry.get("missing"),
        weight=Weight[entry.get("weight", "fatal").upper()],
        stages=frozenset(entry["stages"]) if "stages" in entry else None,
    )


@functools.cache
def _read(name: str) -> Mapping[str, Any]:
    return tomllib.loads(importlib.resources.files(__package__).joinpath(name).read_text("utf-8"))
