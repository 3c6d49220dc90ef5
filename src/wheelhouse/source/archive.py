"""An archive and an empty folder in; the unpacked tree's top folder and its newest modification time out.

The archive is hostile, although its hash is known: nothing is written outside the folder, no link leads out of it, no
device is made, and what unpacks to far more than it weighs is refused. Modes and times come out the same everywhere.
"""

from __future__ import annotations

import calendar
import os
import shutil
import stat
import tarfile
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, cast

from wheelhouse.errors import SourceError

if not hasattr(tarfile, "data_filter"):  # Python before 3.11.4, as Debian 12 has it
    from backports import tarfile  # type: ignore[no-redef]  # the same module of a newer standard library

if TYPE_CHECKING:
    from collections.abc import Iterator

_MEBIBYTE = 2**20
#: Zip cannot say a time before 1980 or after 2107, and wheels are zips.
_EARLIEST, _LATEST = 315532800, 4354819198
_MAX_LINK = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What an archive may unpack to before it counts as a bomb."""

    bytes: int = 8192 * _MEBIBYTE
    members: int = 500_000
    ratio: int = 200
    """Bytes unpacked for each byte packed..."""
    free: int = 64 * _MEBIBYTE
    """...beyond the first so many, since small files may compress to next to nothing."""

    def allowance(self, packed: int) -> int:
        """Return how many bytes an archive of `packed` bytes may unpack to."""
        return min(self.bytes, max(self.free, self.ratio * packed))


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpacked:
    """An unpacked archive."""

    top: Path
    """The archive's one top folder; the destination itself where it has none or several."""
    epoch: int
    """The newest modification time of its members, within what a zip can say."""


_DEFAULT = Limits()


def unpack(archive: Path, destination: Path, *, limits: Limits = _DEFAULT) -> Unpacked:
    """Unpack a tar (plain, gz, bz2, xz) or zip archive, known by its first bytes, into `destination`.

    Raises SourceError; what was unpacked until then is removed.
    """
    destination.mkdir(parents=True, exist_ok=True)
    if any(destination.iterdir()):
        raise SourceError("the folder to unpack into is not empty", where=str(destination))
    try:
        with _readable():
            newest = _unpack(archive, destination, limits)
        top = _top(destination)
    except BaseException:
        for entry in destination.iterdir():
            shutil.rmtree(entry) if _is_folder(entry) else entry.unlink()
        raise
    return Unpacked(top=top, epoch=min(max(newest, _EARLIEST), _LATEST))


def _top(destination: Path) -> Path:
    entries = list(destination.iterdir())
    if not entries:
        raise SourceError("the archive is empty", hint="take another version, or give source.url in the recipe")
    return entries[0] if len(entries) == 1 and _is_folder(entries[0]) else destination


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def settle(root: Path, *, epoch: int) -> None:
    """Give every file below `root` the modification time `epoch` and mode 644 or 755: wheels carry both."""
    for folder, _, files in os.walk(root, topdown=False):
        for name in files:
            path = Path(folder, name)
            mode = path.lstat().st_mode
            if stat.S_ISREG(mode):
                path.chmod(0o755 if mode & stat.S_IXUSR else 0o644)
            os.utime(path, (epoch, epoch), follow_symlinks=False)
        Path(folder).chmod(0o755)
        os.utime(folder, (epoch, epoch))


def _unpack(archive: Path, destination: Path, limits: Limits) -> int:
    allowance = limits.allowance(archive.stat().st_size)
    with archive.open("rb") as raw:
        start = raw.read(6)
        raw.seek(0)
        if start.startswith(b"PK\x03\x04"):
            return _unzip(raw, destination, _Guard(allowance=allowance, members=limits.members))
        counted = _Counted(_decompressed(raw, start), allowance)
        return _untar(counted, destination, _Guard(allowance=allowance, members=limits.members))


def _decompressed(raw: IO[bytes], start: bytes) -> IO[bytes]:
    """Return the plain stream. Closing `raw` is all that these readers need."""
    if start.startswith(b"\x1f\x8b"):
        import gzip  # noqa: PLC0415 - one of three

        return cast("IO[bytes]", gzip.GzipFile(fileobj=raw))
    if start.startswith(b"BZh"):
        import bz2  # noqa: PLC0415 - one of three

        return cast("IO[bytes]", bz2.BZ2File(raw))
    if start.startswith(b"\xfd7zXZ\x00"):
        import lzma  # noqa: PLC0415 - one of three

        return cast("IO[bytes]", lzma.LZMAFile(raw))
    return raw


class _Counted:
    """A stream that ends with an error after too many bytes, wherever in the archive they are (headers too)."""

    def __init__(self, stream: IO[bytes], allowance: int) -> None:
        self._stream = stream
        self._left = allowance

    def read(self, size: int) -> bytes:
        data = self._stream.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise _bomb()
        return data


class _Guard:
    """Counts members and bytes, and refuses names and links that lead out."""

    def __init__(self, *, allowance: int, members: int) -> None:
        self._bytes = allowance
        self._members = members
        self._links: set[PurePosixPath] = set()

    def count(self, size: int) -> None:
        self._members -= 1
        self._bytes -= size
        if self._members < 0 or self._bytes < 0:
            raise _bomb()

    def path(self, name: str) -> PurePosixPath:
        """Return the member's path. Raises SourceError where it is not inside."""
        path = PurePosixPath(name)
        if (
            not name
            or path.is_absolute()
            or ".." in path.parts
            or "\\" in name
            or "\0" in name
            or ":" in (path.parts or ("",))[0]
        ):
            raise SourceError(f"the archive has a member outside its folder: `{name}`", hint=_HOSTILE)
        if any(parent in self._links for parent in (path, *path.parents)):
            raise SourceError(f"the archive writes through a link of its own: `{name}`", hint=_HOSTILE)
        return path

    def link(self, path: PurePosixPath, target: str) -> None:
        """Note a symbolic link. Raises SourceError where it leads out."""
        depth = len(path.parent.parts)
        for part in PurePosixPath(target).parts:
            depth += -1 if part == ".." else 1
            if depth < 0:
                break
        if depth < 0 or PurePosixPath(target).is_absolute() or "\\" in target:
            raise SourceError(f"the archive has a link that leads out: `{path}` -> `{target}`", hint=_HOSTILE)
        self._links.add(path)


_HOSTILE = "do not build it; nothing of it was kept"


def _bomb() -> SourceError:
    return SourceError("the archive unpacks to far more than a source is", hint=_HOSTILE)


def _untar(stream: _Counted, destination: Path, guard: _Guard) -> int:
    newest = 0
    with tarfile.open(fileobj=cast("IO[bytes]", stream), mode="r|", errorlevel=2) as archive:
        for member in archive:
            guard.count(member.size)
            path = guard.path(member.name)
            if member.issym():
                guard.link(path, member.linkname)
            elif member.islnk():
                guard.path(member.linkname)
            archive.extract(member, destination, filter="data")
            newest = max(newest, int(member.mtime))
    return newest


def _unzip(raw: IO[bytes], destination: Path, guard: _Guard) -> int:
    newest = 0
    with zipfile.ZipFile(raw) as archive:
        for member in archive.infolist():
            if member.header_offset < 0:
                raise zipfile.BadZipFile("a member lies before the beginning of the archive")
            guard.count(member.file_size)
            path = guard.path(member.filename)
            _unzip_member(archive, member, destination, path, guard)
            newest = max(newest, _zip_time(member))
    return newest


def _unzip_member(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, destination: Path, path: PurePosixPath, guard: _Guard
) -> None:
    mode = member.external_attr >> 16
    target = destination / path
    kind = stat.S_IFMT(mode)
    if member.is_dir():
        target.mkdir(parents=True, exist_ok=True)
    elif kind == stat.S_IFLNK:
        if member.file_size > _MAX_LINK:
            raise SourceError(f"the archive has a link that is no path: `{path}`", hint=_HOSTILE)
        link = archive.read(member).decode("utf-8", "surrogateescape")
        guard.link(path, link)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(link)
    elif kind in {0, stat.S_IFREG}:
        target.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(member) as source, target.open("xb") as file:
            shutil.copyfileobj(source, file)
        target.chmod(0o755 if mode & stat.S_IXUSR else 0o644)
    else:
        raise SourceError(f"the archive has a device or pipe: `{path}`", hint=_HOSTILE)


def _zip_time(member: zipfile.ZipInfo) -> int:
    try:
        return calendar.timegm((*member.date_time, 0, 0, 0))
    except ValueError:  # month 0, as some writers leave it
        return 0


@contextmanager
def _readable() -> Iterator[None]:
    """Turn what the readers of archives raise into a SourceError."""
    import lzma  # noqa: PLC0415 - for its error
    import zlib  # noqa: PLC0415 - likewise

    try:
        yield
    except tarfile.FilterError as error:
        raise SourceError(f"the archive has a member that is refused: {error}", hint=_HOSTILE) from error
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, lzma.LZMAError) as error:
        raise _damaged(error) from error
    except (KeyError, UnicodeError, NotImplementedError, RuntimeError, FileExistsError, NotADirectoryError) as error:
        raise _damaged(error) from error
    except OSError as error:
        if error.errno is None:  # gzip and bz2 report damage so; anything else is the disk's
            raise _damaged(error) from error
        raise


def _damaged(error: Exception) -> SourceError:
    return SourceError(
        f"the archive is damaged, or neither a tar nor a zip: {error}",
        hint="its hash is the recipe's, so it was published like this: take another version, or give source.url",
    )
