"""A netrc file and a machine's name in, who logs in there out, or the file with a line changed.

pip, uv, curl and twine read `~/.netrc` themselves, so that an address of an index needs no password in it.
"""

from __future__ import annotations

import contextlib
import netrc
import os
import pwd
import re
import tempfile
from pathlib import Path

from salt.exceptions import CommandExecutionError

#: What each reader of netrc files takes for itself, whatever it makes of quotes and hashes.
_PLAIN = re.compile(r"[A-Za-z0-9!$%&()*+,./:;<=>?@\[\]^_`{|}~-]+")


def path_of(user: str) -> str:
    """Return where a user's netrc file is.

    .. code-block:: bash

        salt '*' wheelhouse_netrc.path_of app
    """
    return str(Path(_account(user).pw_dir, ".netrc"))


def is_set(path: str, machine: str, login: str, password: str, user: str) -> bool:
    """Say whether a file of a user's, which nobody else can read, has these credentials for a machine."""
    text, status = _read(path)
    private = status is not None and status.st_mode & 0o077 == 0 and status.st_uid == _account(user).pw_uid
    found = _hosts(text, path).get(machine)
    return private and found is not None and (found[0], found[2]) == (login, password)


def set_entry(path: str, machine: str, login: str, password: str, user: str) -> None:
    """Put credentials for a machine into a file, with mode 0600, and leave the other machines' as they are."""
    for name, text in (("machine", machine), ("login", login), ("password", password)):
        if not isinstance(text, str) or not _PLAIN.fullmatch(text):
            raise CommandExecutionError(f"the {name} for {path} is no text of plain characters")
    line = rf"^machine[ \t]+{re.escape(machine)}[ \t]+login[ \t]+\S+[ \t]+password[ \t]+\S+[ \t]*\n?"
    rest = re.sub(line, "", _read(path)[0], flags=re.MULTILINE)
    if machine in _hosts(rest, path):
        raise CommandExecutionError(
            f"{path} has an entry for {machine} over several lines: take it out, or make it one line"
        )
    # In front: what follows `default` is read by nobody.
    _write(Path(path), f"machine {machine} login {login} password {password}\n{rest}", _account(user))


def _read(path: str) -> tuple[str, os.stat_result | None]:
    """Return a file's text, and what it is; None where there is none.

    The folder is a user's, and we may be root: a link would have us read another's file, or write to it.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return "", None
    except OSError as error:
        raise CommandExecutionError(f"{path} is a link or cannot be read: {error.strerror}") from None
    with os.fdopen(descriptor, encoding="utf-8", errors="surrogateescape") as stream:
        return stream.read(), os.fstat(descriptor)


def _hosts(text: str, path: str) -> dict[str, tuple[str, str, str]]:
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", errors="surrogateescape") as copy:  # mode 0600
        copy.write(text)
        copy.flush()
        try:
            return dict(netrc.netrc(copy.name).hosts)
        except netrc.NetrcParseError as error:
            raise CommandExecutionError(f"{path} is no netrc file: line {error.lineno}: {error.msg}") from None


def _write(file: Path, text: str, account: pwd.struct_passwd) -> None:
    try:
        descriptor, draft = tempfile.mkstemp(dir=file.parent)
    except OSError as error:
        raise CommandExecutionError(f"{file} cannot be written: {error.strerror}") from None
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape") as stream:
            stream.write(text)
            if os.geteuid() == 0:
                os.fchown(stream.fileno(), account.pw_uid, account.pw_gid)
        Path(draft).replace(file)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            Path(draft).unlink()
        raise


def _account(user: str) -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(user)
    except KeyError:
        raise CommandExecutionError(f"there is no user {user} on this minion") from None
