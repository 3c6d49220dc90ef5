"""The record of a build in; the changes to its recipe that it asks for out. Knows of records, not of projects."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from wheelhouse.check.codes import Code
from wheelhouse.check.grafted import stem
from wheelhouse.diagnose.lookup import FAMILIES
from wheelhouse.finding import Severity
from wheelhouse.lifecycle.draft import proving_command
from wheelhouse.recipe_fields import is_requirement
from wheelhouse.trial.codes import DEPENDENCY_MISSING, EXTENSION_IDLE, IMPORT_FAILED, LEAKED_LIBRARY

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from packaging.utils import NormalizedName

    from wheelhouse.finding import Finding
    from wheelhouse.recipe import Recipe
    from wheelhouse.record import Record

#: What auditwheel puts into the name of a library that it grafts.
HASH = re.compile(r"-[0-9a-f]{8}(?=\.)")
_FAILED = re.compile(r"`import (?P<name>[\w.]+)` fails: (?P<error>[\w.]+)(?:: (?P<words>.*))?", re.DOTALL)
_ABSENT = re.compile(r"No module named '(?P<name>[\w.]+)'")
_WHEELLESS = re.compile(r"Wheels are required for `(?P<name>[\w.-]+)` because building from source is disabled")
_OPENED = re.compile(r"(?P<name>\S+) of this machine \((?P<folder>/\S+)/[^/\s]+\) is opened at run time")
_LIBRARY_FOLDER = re.compile(r"(?:/usr(?:/local)?)?/lib(?:32|64)?(?:/[\w-]+-linux-\w+)?")
#: Letters of the shortest words that can say for what machine a module is.
_STATEMENT = 12
#: Errors with which Python itself says that a module does not load; of any other, the module's own code is the author.
_NOT_LOADED = frozenset(
    {"ImportError", "ModuleNotFoundError", "SystemError", "AttributeError", "TypeError", "NameError"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change to a recipe."""

    table: str
    key: str
    add: tuple[str, ...] = ()
    """What an array gets."""
    put: str | tuple[str, ...] | None = None
    """What the key is set to, in place of `add`."""
    drop: bool = False
    """The key goes, in place of either."""
    why: str

    def __str__(self) -> str:
        """Return `table.key: values (why)`."""
        value = "left out" if self.drop else ", ".join(self.add) if self.put is None else _shown(self.put)
        return f"{self.table}.{self.key}: {value} ({self.why})"


def changes(record: Record, recipe: Recipe, *, registry: Collection[NormalizedName]) -> tuple[Change, ...]:
    """Return what would bring the job on, as far as the record says it in words that are known; nothing: it does not.

    `registry` has the names of all recipes: a requirement without a wheel may be one of them.
    """
    found = [
        *_diagnosed(record, recipe),
        *_libraries(record),
        *_plugins(record),
        *_imports(record, recipe),
        *_dependencies(record, registry),
    ]
    return tuple(change for change in found if is_new(change, recipe))


def _diagnosed(record: Record, recipe: Recipe) -> Iterator[Change]:
    """Yield what the diagnosis names: system packages of every family, else the first line that can be taken over."""
    if record.cause is None:
        return
    why = record.cause.message
    pairs = [line.partition(": ")[::2] for line in record.cause.mend]
    packages = [(key, value) for key, value in pairs if key in {f"system-packages.{family}" for family in FAMILIES}]
    for key, value in packages:
        yield Change(table="system-packages", key=key.partition(".")[2], add=tuple(value.split()), why=why)
    for key, value in pairs:
        if key == "build.requires" and all(map(is_requirement, value.split(", "))):
            yield Change(table="build", key="requires", add=tuple(value.split(", ")), why=why)
            return
        if key == "build.constraints" and is_requirement(value):
            yield Change(table="build", key="constraints", add=(value,), why=why)
            return
        if key == "build.environment" and (setting := re.fullmatch(r"(\w+) = \"([^\"]*)\"", value)):
            name, wanted = setting.groups()
            there = recipe.build.environment.get(name, "") if name.endswith("FLAGS") else ""
            if wanted not in there.split():
                yield Change(table="build.environment", key=name, put=f"{there} {wanted}".strip(), why=why)
            return


def _libraries(record: Record) -> Iterator[Change]:
    wheres = [finding.where for finding in record.findings if finding.code == Code.NOT_ALLOWED.code and finding.where]
    names = sorted({stem(HASH.sub("", where.rpartition("/")[2])) for where in wheres})
    if names:
        yield Change(table="repair", key="allow-grafted", add=tuple(names), why="auditwheel copies it into the wheel")


def _plugins(record: Record) -> Iterator[Change]:
    """Yield what a grafted library opens because the machine happens to have it, in a folder for that."""
    names = []
    for finding in record.findings:
        found = _OPENED.match(finding.message) if finding.code == LEAKED_LIBRARY else None
        if found and not _LIBRARY_FOLDER.fullmatch(found["folder"]):
            names.append(f"{stem(found['name'])}.so.*")
    if names:
        why = "plug-ins that this machine has, opened by a library where it finds them"
        yield Change(table="repair", key="exclude", add=tuple(sorted(names)), why=why)


def _imports(record: Record, recipe: Recipe) -> Iterator[Change]:
    tested = recipe.import_names if recipe.test.imports is None else recipe.test.imports
    absent: list[str] = []
    idle: dict[str, str] = {}
    for finding in record.findings:
        if finding.code == EXTENSION_IDLE and finding.where:
            idle |= dict.fromkeys(module_of(finding.where), finding.where)
        elif finding.code == IMPORT_FAILED and (failed := _FAILED.match(finding.message)):
            if failed["error"] not in _NOT_LOADED:
                yield from _refusal(failed["name"], failed["error"], failed["words"] or "")
            elif (lacking := _ABSENT.search(failed["words"] or "")) and lacking["name"] == failed["name"]:
                absent.append(failed["name"])
    left = tuple(name for name in tested if name not in absent)
    if idle:
        why = f"the imports loaded no extension, and the wheel has {', '.join(idle.values())}"
        yield from tests_of((*left, *idle), why=why)
    elif absent:  # a wheel that is imported from in no way passes, and then says itself what is in it
        why = f"not in the wheel: {', '.join(absent)}"
        yield Change(table="test", key="imports", put=left, why=why)
        if any(name in (recipe.test.command or "") for name in absent):
            yield Change(table="test", key="command", drop=True, why=why)


def tests_of(modules: tuple[str, ...], *, why: str) -> Iterator[Change]:
    """Yield the test that imports these modules and proves that the last is compiled code."""
    yield Change(table="test", key="imports", put=modules, why=why)
    yield Change(table="test", key="command", put=proving_command(modules[-1:]), why="what proves it")


def _refusal(module: str, error: str, words: str) -> Iterator[Change]:
    """Yield a test for a module that loads and then says by itself that it is for another machine.

    An error of its own kind, or one of few words, is no such statement.
    """
    said = re.split(r"[\"'\\$`\n]", words.strip())[0].strip()
    if "." in error or len(said) < _STATEMENT:
        return
    lines = ["try:", f"    import {module}", f"except {error} as error:", f"    assert '{said}' in str(error)"]
    why = f"its own code ends the import on this machine: {error}: {said}"
    yield Change(table="test", key="imports", put=(), why=why)
    yield Change(table="test", key="command", put="\n".join(['python -c "', *lines, '"', ""]), why="what proves it")


def _dependencies(record: Record, registry: Collection[NormalizedName]) -> Iterator[Change]:
    own = canonicalize_name(record.project)
    for text in _requirements(record):
        words = {canonicalize_name(word) for word in re.findall(r"[A-Za-z0-9][\w.-]*[A-Za-z0-9]", text)}
        if names := sorted((words & set(registry)) - {own}):
            yield Change(
                table="depends", key="build", add=tuple(names), why="no index has a wheel of it, a recipe is here"
            )


def wheelless(record: Record) -> tuple[NormalizedName, ...]:
    """Return the projects that the build or the wheel requires and that no index has a wheel of, as uv says it."""
    found = [match["name"] for text in _requirements(record) for match in _WHEELLESS.finditer(text)]
    return tuple(dict.fromkeys(canonicalize_name(name) for name in found))


def _requirements(record: Record) -> list[str]:
    """Return what a record says of requirements that could not be had."""
    texts = [finding.message for finding in record.findings if finding.code == DEPENDENCY_MISSING]
    if record.cause is not None and record.cause.kind == "requirements":
        texts.append(f"{record.cause.message} {record.cause.evidence or ''}")
    return texts


def is_new(change: Change, recipe: Recipe) -> bool:
    """Say whether the recipe does not say so already."""
    table: Mapping[str, object] = recipe.model_dump(mode="json", by_alias=True)
    for part in change.table.split("."):
        inner = table.get(part)
        table = inner if isinstance(inner, dict) else {}
    value = table.get(change.key)
    if change.drop:
        return value is not None
    if change.put is not None:
        return value != (change.put if isinstance(change.put, str) else list(change.put))
    return not isinstance(value, list) or not set(change.add) <= set(value)


def module_of(where: str) -> tuple[str, ...]:
    """Return the name under which a file of a wheel is imported; nothing where no import statement can have it."""
    folders, _, file = where.rpartition("/")
    parts = [*filter(None, folders.split("/")), file.split(".", 1)[0]]
    return (".".join(parts),) if all(part.isidentifier() for part in parts) else ()


def _shown(value: str | tuple[str, ...]) -> str:
    return value.strip().replace("\n", "; ") if isinstance(value, str) else ", ".join(value) or "nothing"


def wrong(record: Record) -> tuple[Finding, ...]:
    """Return the findings that keep the wheel back."""
    return tuple(finding for finding in record.findings if finding.severity is Severity.ERROR)
