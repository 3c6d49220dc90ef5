"""A patch and a source tree in; the patched tree out, or an error that names file and hunk.

As GNU patch with `-p1 -F0`: a hunk may have moved, but its context must be there to the letter. All hunks are tried
before a file is written. Nothing but Python is needed, so that a source is the same tree on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from wheelhouse.errors import SourceError
from wheelhouse.source.diff import FilePatch, Hunk, parse, split_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

_EXECUTABLE = 0o100
_REFRESH = "the patch is for another version: refresh it, or bound it with when-version"


def apply_patch(patch: Path, root: Path) -> None:
    """Apply a unified diff to the tree at `root`; paths lose their first part (`-p1`).

    Raises SourceError with the file and the hunk; the tree is then as it was.
    """
    where = patch.name
    changes = [_change(file, root, where) for file in parse(patch.read_bytes(), where)]
    for change in changes:
        for path in change.remove:
            path.unlink()
    for change in changes:
        if change.path is not None:
            change.path.parent.mkdir(parents=True, exist_ok=True)
            change.path.write_bytes(change.content)
            change.path.chmod(0o755 if change.executable else 0o644)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Change:
    path: Path | None
    content: bytes = b""
    executable: bool = False
    remove: tuple[Path, ...] = ()


def _change(file: FilePatch, root: Path, where: str) -> _Change:
    source = None if file.old is None else _inside(root, file.old, where)
    target = None if file.new is None else _inside(root, file.new, where)
    if source is not None and source == target and not source.exists() and all(not hunk.old for hunk in file.hunks):
        source = None  # `diff -N` names a new file on both sides
    if source is not None and not source.is_file():
        raise SourceError(f"{file.old} is not in the source", where=where, hint=_REFRESH)
    if target is not None and target != source and target.exists():
        raise SourceError(f"{file.new} is in the source already", where=where, hint=_REFRESH)
    lines = [] if source is None else split_lines(source.read_bytes())
    content = _joined(_apply(lines, file, where))
    if target is None:
        if content:
            raise SourceError(f"{file.old} has more lines than the patch deletes", where=where, hint=_REFRESH)
        return _Change(path=None, remove=() if source is None else (source,))
    executable = file.executable
    if executable is None:
        executable = source is not None and bool(source.stat().st_mode & _EXECUTABLE)
    gone = source is not None and source != target and not file.keeps_old
    return _Change(
        path=target, content=content, executable=executable, remove=(source,) if gone and source is not None else ()
    )


def _apply(lines: list[bytes], file: FilePatch, where: str) -> list[bytes]:
    result: list[bytes] = []
    done = moved = 0
    for number, hunk in enumerate(file.hunks, 1):
        at = _locate(lines, hunk, guess=_guess(hunk) + moved, floor=done)
        if at is None:
            raise SourceError(
                f"{file.old or file.new}: hunk {number} of {len(file.hunks)} does not apply: {hunk.header}",
                where=where,
                hint=_REFRESH,
            )
        moved = at - _guess(hunk)
        result += lines[done:at] + hunk.new
        done = at + len(hunk.old)
    return result + lines[done:]


def _joined(lines: list[bytes]) -> bytes:
    """Join lines; one that ended its file in the patch, and does not here, gets its end of line (as by GNU patch)."""
    return b"".join([*(line if line.endswith(b"\n") else line + b"\n" for line in lines[:-1]), *lines[-1:]])


def _guess(hunk: Hunk) -> int:
    return hunk.start - 1 if hunk.old else hunk.start


def _locate(lines: list[bytes], hunk: Hunk, *, guess: int, floor: int) -> int | None:
    """Return the index where the hunk's old lines are, nearest to `guess`; None: nowhere."""
    last = len(lines) - len(hunk.old)
    if not hunk.old:
        return guess if floor <= guess <= last else None
    # Less context on one side means that the hunk touches that end of the file (GNU patch, `locate_hunk`).
    at_start = hunk.leading < hunk.trailing and hunk.start <= 1
    at_end = hunk.trailing < hunk.leading
    for at in _nearest(guess, floor, last):
        if at_start and at != 0:
            continue
        if at_end and at != last:
            continue
        if lines[at : at + len(hunk.old)] == hunk.old:
            return at
    return None


def _nearest(guess: int, floor: int, last: int) -> Iterator[int]:
    for distance in range(max(guess - floor, last - guess, 0) + 1):
        for at in dict.fromkeys((guess + distance, guess - distance)):
            if floor <= at <= last:
                yield at


def _inside(root: Path, name: str, where: str) -> Path:
    path = PurePosixPath(name)
    target = root / path
    if path.is_absolute() or ".." in path.parts or not target.resolve().is_relative_to(root.resolve()):
        raise SourceError(f"the patch changes a file outside the source: {name}", where=where, hint="do not use it")
    if target.is_symlink():
        raise SourceError(f"{name} is a link, which a patch cannot change", where=where, hint="patch what it leads to")
    return target
