"""What a trial's processes wrote in, what happened out: the modules imported, where it stopped, and the findings."""

from __future__ import annotations

import json
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wheelhouse.finding import Finding, Severity
from wheelhouse.trial.codes import (
    COMMAND_FAILED,
    CRASHED,
    EXTENSION_IDLE,
    FOREIGN_MODULE,
    IMPORT_FAILED,
    LEAKED_LIBRARY,
    TIMED_OUT,
)
from wheelhouse.trial.libraries import SharedObject, Surrounding, leaks
from wheelhouse.trial.probe import MARK

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

#: A shell's status for a child that a signal ended is the signal's number and this (POSIX: "greater than 128").
_SIGNAL_BASE = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How the trial's process ended, and what it wrote."""

    status: int | None
    """As `subprocess` has it; None: it was stopped because its time was over."""
    output: str
    limit: float
    """Seconds that it had."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What the trial was to show."""

    site: Path
    """The wheel and its dependencies, as installed."""
    command: str | None
    allowed_libraries: tuple[str, ...]
    """Names of libraries that may come from the machine."""
    extensions: tuple[str, ...]
    """Extension modules of the wheel itself, by their paths in `site`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The trial's output, taken apart."""

    events: tuple[Mapping[str, Any], ...]
    talk: str
    """The rest: what the imports and the command printed."""

    @classmethod
    def parse(cls, output: str) -> Report:
        """Separate our events from all other output."""
        events: list[Mapping[str, Any]] = []
        talk: list[str] = []
        for line in output.splitlines():
            event = _event(line) if line.startswith(MARK) else None
            if event is not None:
                events.append(event)
            elif line.strip():
                talk.append(line)
        return cls(events=tuple(events), talk="\n".join(talk))

    @property
    def started(self) -> bool:
        """Whether Python got as far as our first line."""
        return self._first("start") is not None

    def findings(self, outcome: Outcome, expected: Expectation) -> Iterator[Finding]:
        """Yield what the trial has to say of the wheel. The trial must have started."""
        for event in self.events:
            if event["event"] == "failed":
                hint = "the log has the traceback"
                message = f"`import {event['name']}` fails: {event['error']}"
                yield Finding(code=IMPORT_FAILED, severity=Severity.ERROR, message=message, hint=hint)
            elif event["event"] == "imported" and not _is_inside(event["files"], expected.site):
                yield _foreign(event)
        yield from self._ending(outcome, expected)
        yield from self._libraries(expected)

    def _ending(self, outcome: Outcome, expected: Expectation) -> Iterator[Finding]:
        doing = self._doing(expected)
        if outcome.status is None:
            yield Finding(
                code=TIMED_OUT,
                severity=Severity.ERROR,
                message=f"{doing} did not end within {outcome.limit:.0f} s",
                hint="raise resources.timeout, or shorten test.command",
            )
        elif (name := _signal(outcome.status)) is not None:
            message = f"{doing} was ended by {name}"
            hint = "a crash of compiled code: the log has the Python stack"
            yield Finding(code=CRASHED, severity=Severity.ERROR, message=message, hint=hint)
        elif self._first("command") is not None:
            if outcome.status != 0:
                last = self.talk.rstrip().rsplit("\n", 1)[-1]
                message = f"{doing} ended with status {outcome.status}" + (f": {last}" if last else "")
                hint = "the log has its output"
                yield Finding(code=COMMAND_FAILED, severity=Severity.ERROR, message=message, hint=hint)
        elif self._first("done") is None:
            message = f"{doing} ended the interpreter with status {outcome.status}"
            yield Finding(code=CRASHED, severity=Severity.ERROR, message=message)

    def _doing(self, expected: Expectation) -> str:
        last = self.events[-1] if self.events else {"event": "nothing"}
        match last["event"]:
            case "importing":
                return f"`import {last['name']}`"
            case "command":
                return f"the test command (`{expected.command}`)"
            case "done":
                return "Python, at its exit,"
            case _:
                return "Python"

    def _libraries(self, expected: Expectation) -> Iterator[Finding]:
        mapped, start = self._first("libraries"), self._first("start")
        if mapped is None or start is None:
            return
        objects = [
            SharedObject(path=item["path"], soname=item["soname"], needed=tuple(item["needed"]))
            for item in mapped["objects"]
        ]
        surrounding = Surrounding(
            site=str(expected.site),
            executable=start["executable"],
            standard=tuple(start["standard"]),
            allowed=expected.allowed_libraries,
        )
        for leak in leaks(objects, surrounding):
            where = None if leak.needed_by is None else str(Path(leak.needed_by).relative_to(expected.site))
            how = "opened at run time" if leak.needed_by is None else "linked with"
            yield Finding(
                code=LEAKED_LIBRARY,
                severity=Severity.ERROR,
                where=where,
                message=f"{leak.library.name} of this machine ({leak.library.path}) is {how}: users need not have it",
                hint="let auditwheel graft it (repair), link it statically, or name it in repair.exclude",
            )
        if objects and expected.command is None and self._first("imported") is not None:
            yield from _idle(objects, expected)

    def _first(self, kind: str) -> Mapping[str, Any] | None:
        return next((event for event in self.events if event["event"] == kind), None)


def _event(line: str) -> Mapping[str, Any] | None:
    """Return our event; None for a line that only begins like one."""
    try:
        event = json.loads(line.removeprefix(MARK))
    except ValueError:
        return None
    return event if isinstance(event, dict) and "event" in event else None


def _idle(objects: Sequence[SharedObject], expected: Expectation) -> Iterator[Finding]:
    """Yield a finding where the wheel has extension modules and none was loaded."""
    loaded = {Path(item.path) for item in objects}
    if expected.extensions and not any(expected.site / path in loaded for path in expected.extensions):
        first = expected.extensions[0]
        yield Finding(
            code=EXTENSION_IDLE,
            severity=Severity.WARNING,
            where=first,
            message="the imports loaded no extension module, so the trial says nothing of the compiled code",
            hint=f'name it in test.imports, e.g. "{_module_name(first)}", or write a test.command',
        )


def _module_name(path: str) -> str:
    folders, _, file = path.rpartition("/")
    return ".".join([*folders.split("/"), file.split(".", 1)[0]] if folders else [file.split(".", 1)[0]])


def _foreign(event: Mapping[str, Any]) -> Finding:
    found = event["files"][0] if event["files"] else "the interpreter itself"
    return Finding(
        code=FOREIGN_MODULE,
        severity=Severity.ERROR,
        message=f"`import {event['name']}` does not find the wheel's module but {found}",
        hint="correct package.import-names or test.imports: the standard library may have a module of that name",
    )


def _is_inside(files: Sequence[str], site: Path) -> bool:
    return any(Path(file).is_relative_to(site) for file in files)


def _signal(status: int) -> str | None:
    """Return the name of the signal that a status tells of, as a shell or `subprocess` reports it."""
    number = -status if status < 0 else status - _SIGNAL_BASE
    try:
        return signal.Signals(number).name
    except ValueError:
        return None
