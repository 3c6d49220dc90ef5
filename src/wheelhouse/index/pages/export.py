"""A store in, the index as static files out: for nginx, a bucket with a web front, a medium carried to an offline site.

`simple/<project>/index.html` and `index.json`, each with its `.gz` and `.zst`, and `files/…` as the links on the pages
have them, `.metadata` beside each. Pages are written after the files they name, so that the folder can be served while
an export runs; what an earlier export wrote and the index no longer has is removed last.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from wheelhouse.errors import IndexRefusesError
from wheelhouse.index.pages.render import RELATIVE, render_project, render_root
from wheelhouse.record import write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from wheelhouse.index.model import File, Sha256
    from wheelhouse.index.pages.render import Links, Page, Pages
    from wheelhouse.index.stores.store import Store

LIST = ".wheelhouse-export.json"
"""What the last export wrote: nothing else in the folder is ever removed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What an export did."""

    projects: int
    files: int
    """That the index has."""
    written: int
    """Files and pages that were not there, or were others."""
    removed: int


def export(store: Store, folder: Path, *, links: Links = RELATIVE) -> Exported:
    """Write the index below a folder, and only what has changed since the last time.

    A wheel is a hard link to the store's own bytes where both are on one disk. Raises IndexRefusesError where the
    list of an earlier export is none, StoreUnavailableError, StoreDamagedError, NotOnIndexError.
    """
    before = _read_list(folder / LIST)
    names = sorted(store.projects())
    there: set[str] = set()
    files = written = 0
    for name in names:
        manifest = store.read_manifest(name)
        if manifest is None:
            continue
        files += len(manifest.offered)
        for path, sha256 in (pair for file in manifest.offered for pair in _paths(file)):
            there.add(path)
            written += _place(store, sha256, folder / path)
        written += _write_pages(render_project(manifest, links), folder, f"simple/{name}", there)
    written += _write_pages(render_root(names), folder, "simple", there)
    write_atomically(folder / LIST, orjson.dumps(sorted(there | before), option=orjson.OPT_INDENT_2))
    removed = sum(_remove(folder, path) for path in sorted(before - there))
    write_atomically(folder / LIST, orjson.dumps(sorted(there), option=orjson.OPT_INDENT_2))
    return Exported(projects=len(names), files=files, written=written, removed=removed)


def _paths(file: File) -> Iterator[tuple[str, Sha256]]:
    path = f"files/{file.sha256[:2]}/{file.sha256}/{file.filename}"
    yield path, file.sha256
    if file.core_metadata:
        yield f"{path}.metadata", file.core_metadata
    if file.provenance:
        yield f"{path}.provenance", file.provenance


def _place(store: Store, sha256: Sha256, target: Path) -> bool:
    if target.is_file():  # its path has its hash, and it was put there whole
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    local = store.local_path(sha256)
    if local is not None and local.stat().st_dev == target.parent.stat().st_dev:
        target.hardlink_to(local)
        return True
    unfinished = target.with_name(f".{target.name}.part")
    try:
        with unfinished.open("wb") as file:
            file.writelines(store.open_range(sha256))
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)
    return True


def _write_pages(pages: Pages, folder: Path, below: str, there: set[str]) -> int:
    return _write_page(pages.html, folder, f"{below}/index.html", there) + _write_page(
        pages.json, folder, f"{below}/index.json", there
    )


def _write_page(page: Page, folder: Path, path: str, there: set[str]) -> int:
    written = 0
    for suffix, body in (("", page.identity), (".gz", page.gzip), (".zst", page.zstd)):
        there.add(path + suffix)
        target = folder / (path + suffix)
        if not (target.is_file() and target.read_bytes() == body.data):
            write_atomically(target, body.data)
            target.chmod(0o644)  # a web server has to read it, whoever made it
            written += 1
    return written


def _read_list(path: Path) -> set[str]:
    try:
        paths = orjson.loads(path.read_bytes())
    except FileNotFoundError:
        return set()
    except ValueError as error:
        raise _no_list(path) from error
    if not isinstance(paths, list) or not all(isinstance(each, str) and _is_below(each) for each in paths):
        raise _no_list(path)
    return set(paths)


def _no_list(path: Path) -> IndexRefusesError:
    return IndexRefusesError(
        "not the list of an export", where=str(path), hint="export to a new folder, or remove this file"
    )


def _is_below(path: str) -> bool:
    return path.startswith(("simple/", "files/")) and ".." not in path.split("/")


def _remove(folder: Path, path: str) -> bool:
    target = folder / path
    if not target.is_file():
        return False
    target.unlink()
    for parent in target.relative_to(folder).parents:
        if not parent.name or any((folder / parent).iterdir()):
            break
        (folder / parent).rmdir()
    return True
