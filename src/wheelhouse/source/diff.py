"""The bytes of a unified diff in, what it does to each file out.

Git's headers for renames, copies, modes and empty files are understood; binary changes are refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from wheelhouse.errors import SourceError

_HUNK = re.compile(rb"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")


@dataclass(slots=True)
class Hunk:
    """One `@@` part of a diff."""

    header: str
    start: int
    """Line of the old file, from 1; the line before where nothing is taken away."""
    old: list[bytes] = field(default_factory=list)
    new: list[bytes] = field(default_factory=list)
    leading: int = 0
    """Lines of context before the first change."""
    trailing: int = 0
    """Lines of context after the last change."""


@dataclass(slots=True)
class FilePatch:
    """What a diff does to one file."""

    old: str | None = None
    """None: the file is new."""
    new: str | None = None
    """None: the file is deleted."""
    executable: bool | None = None
    moved: bool = False
    """Renamed or copied: `old` and `new` differ with intent."""
    keeps_old: bool = False
    """A copy, not a change or a rename."""
    hunks: list[Hunk] = field(default_factory=list)


def split_lines(data: bytes) -> list[bytes]:
    r"""Split at `\n` only: a lone `\r` is part of a line for diff and patch."""
    lines = data.split(b"\n")
    last = lines.pop()
    return [line + b"\n" for line in lines] + ([last] if last else [])


def parse(data: bytes, where: str) -> list[FilePatch]:
    """Read a unified diff, with git's headers for renames, modes and empty files.

    Raises SourceError where it is none, with the line.
    """
    reader = _Reader(split_lines(data), where)
    files = reader.files()
    if not files:
        raise SourceError("this is not a unified diff", where=where, hint="make it with `git diff` or `diff -u`")
    return files


class _Reader:
    """Walks over the lines of a diff once."""

    def __init__(self, lines: list[bytes], where: str) -> None:
        self._lines = lines
        self._where = where
        self._at = 0
        self._sign = b""

    def _peek(self) -> bytes:
        return self._lines[self._at] if self._at < len(self._lines) else b""

    def _next(self) -> bytes:
        line = self._peek()
        self._at += 1
        return line

    def _bad(self, message: str) -> SourceError:
        return SourceError(message, where=f"{self._where}:{self._at + 1}", hint="make it anew with `git diff`")

    def files(self) -> list[FilePatch]:
        files: list[FilePatch] = []
        git: FilePatch | None = None
        while self._at < len(self._lines):
            line = self._peek()
            if line.startswith(b"diff --git "):
                git = self._git_header()
                files.append(git)
            elif line.startswith(b"--- ") and self._following().startswith(b"+++ "):
                file = git if git is not None and not git.hunks else FilePatch()
                self._names(file)
                if file is not git:
                    files.append(file)
                git = None
                file.hunks = self._hunks()
            elif line.startswith((b"GIT binary patch", b"Binary files ")):
                raise self._bad("binary changes cannot be applied")
            elif _HUNK.match(line):
                raise self._bad("a hunk without the name of its file")
            else:
                self._at += 1
        return files

    def _following(self) -> bytes:
        return self._lines[self._at + 1] if self._at + 1 < len(self._lines) else b""

    def _git_header(self) -> FilePatch:
        found = re.fullmatch(r"diff --git a/(.+) b/(.+)", self._text(self._next()))
        file = FilePatch(old=found[1], new=found[2]) if found else FilePatch()
        while self._at < len(self._lines):
            key, value = self._extended(self._text(self._peek()))
            if key is None:
                break
            self._at += 1
            if key == "new file mode":
                file.old, file.executable = None, value.endswith("755")
            elif key == "new mode":
                file.executable = value.endswith("755")
            elif key == "deleted file mode":
                file.new = None
            elif key in {"rename from", "copy from"}:
                file.old, file.moved, file.keeps_old = value, True, key == "copy from"
            elif key in {"rename to", "copy to"}:
                file.new = value
        return file

    @staticmethod
    def _extended(line: str) -> tuple[str | None, str]:
        found = re.fullmatch(
            r"(new file mode|deleted file mode|old mode|new mode|(?:rename|copy) (?:from|to)"
            r"|similarity index|dissimilarity index|index) (.+)",
            line,
        )
        return (found[1], found[2]) if found else (None, "")

    @staticmethod
    def _text(line: bytes) -> str:
        return line.decode("utf-8", "surrogateescape").rstrip("\r\n")

    def _names(self, file: FilePatch) -> None:
        old, new = (self._text(self._next())[4:].split("\t")[0].rstrip() for _ in range(2))
        if old == new == "/dev/null":
            raise self._bad("a change without a file")
        if file.moved:
            return
        file.old = None if old == "/dev/null" else self._stripped(old)
        file.new = None if new == "/dev/null" else self._stripped(new)
        if file.old is not None and file.new is not None:
            file.old = file.new  # `diff -u x.orig x`: the second name is the file, as for patch

    def _stripped(self, name: str) -> str:
        if name.startswith('"'):
            raise self._bad("file names in quotes cannot be read")
        rest = name.partition("/")[2]
        if name.startswith("/") or not rest:
            raise self._bad(f"`{name}` has no folder to strip: paths start with a/ and b/")
        return rest

    def _hunks(self) -> list[Hunk]:
        hunks: list[Hunk] = []
        while found := _HUNK.match(self._peek()):
            header = self._text(self._next())
            old, new = (1 if count is None else int(count) for count in (found[2], found[4]))
            hunks.append(self._hunk(Hunk(header=header, start=int(found[1])), old, new))
        if not hunks:
            raise self._bad("a file without a hunk")
        return hunks

    def _hunk(self, hunk: Hunk, old: int, new: int) -> Hunk:
        changed = False
        while old > 0 or new > 0 or self._peek().startswith(b"\\"):
            line = self._next()
            sign, text = line[:1], line[1:]
            if sign == b"\\":
                self._cut(hunk)
                continue
            if line == b"\n":  # editors and mailers strip the blank of an empty line of context
                sign, text = b" ", line
            if sign not in {b" ", b"-", b"+"} or not line:
                raise self._bad(f"the hunk is shorter than it says: {hunk.header}")
            self._sign = sign
            if sign != b"+":
                hunk.old.append(text)
                old -= 1
            if sign != b"-":
                hunk.new.append(text)
                new -= 1
            changed = changed or sign != b" "
            hunk.leading += not changed
            hunk.trailing = hunk.trailing + 1 if sign == b" " else 0
        if old < 0 or new < 0:
            raise self._bad(f"the hunk is longer than it says: {hunk.header}")
        return hunk

    def _cut(self, hunk: Hunk) -> None:
        r"""Take the newline off the line before `\ No newline at end of file`."""
        for side, signs in ((hunk.old, b" -"), (hunk.new, b" +")):
            if side and self._sign in signs:
                side[-1] = side[-1].rstrip(b"\n")
