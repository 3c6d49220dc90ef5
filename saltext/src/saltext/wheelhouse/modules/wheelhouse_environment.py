"""The path of a Python environment in, what is installed in it out, or what an installation changed there.

For the states `wheelhouse.installed`, `removed` and `environment`, and to be called by hand. The work is done by the
pip that the environment has, or by uv where it has none or where `installer` says so; both are asked what they would
do rather than guessed at.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from salt.exceptions import CommandExecutionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Changes = dict[str, dict[str, str]]

    __salt__: dict[str, Callable[..., Any]]

#: What a command tells of its trouble when it says nothing in particular: so many of its last lines.
_LAST_LINES = 12
#: The oldest pip that tells what it would do.
_PIP_WITH_REPORT = (22, 2)
_CREDENTIALS = re.compile(r"://[^/@\s]+@")
_UV_LINE = re.compile(r"^ ([+-]) ([^\s=]+)==(\S+)", re.MULTILINE)


def versions(target: str, user: str | None = None, installer: str = "auto") -> dict[str, str]:
    """Return the version of each project that is installed in an environment, by normalised name.

    .. code-block:: bash

        salt '*' wheelhouse_environment.versions /srv/app/venv
    """
    tool = _Tool(target, user=user, installer=installer)
    listed = json.loads(tool.run("list", "--format", "json"))
    return {_normalized(each["name"]): each["version"] for each in listed}


def preview(
    target: str,
    requirements: list[str],
    requirements_file: str | None = None,
    index: str | None = None,
    upgrade: bool = False,
    only_binary: bool = True,
    pre_releases: bool = False,
    user: str | None = None,
    installer: str = "auto",
    timeout: int = 600,
) -> Changes | None:
    """Return what `install` would change, and change nothing; None where the environment's pip is too old to tell.

    .. code-block:: bash

        salt '*' wheelhouse_environment.preview /srv/app/venv '["psycopg2==2.9.10"]'
    """
    tool = _Tool(target, user=user, installer=installer)
    before = versions(target, user=user, installer=installer)
    told_by_pip = tuple(int(part) for part in re.findall(r"\d+", before.get("pip", ""))[:2]) >= _PIP_WITH_REPORT
    if not tool.is_uv and not told_by_pip:
        return None
    chosen = {"--upgrade": upgrade, "--pre": pre_releases}
    with _words(requirements, requirements_file, chosen, only_binary=only_binary, user=user) as words:
        if tool.is_uv:
            told = tool.run("install", "--dry-run", *words, index=index, timeout=timeout, talk=True)
        else:
            told = tool.run("install", "--quiet", "--dry-run", "--report", "-", *words, index=index, timeout=timeout)
    if not tool.is_uv:
        wanted = [each["metadata"] for each in json.loads(told)["install"]]
        return _changes(before, {**before, **{_normalized(each["name"]): each["version"] for each in wanted}})
    lines = [(sign, _normalized(name), version) for sign, name, version in _UV_LINE.findall(told)]
    after = {name: version for name, version in before.items() if ("-", name, version) not in lines}
    after.update({name: version for sign, name, version in lines if sign == "+"})
    return _changes(before, after)


def install(
    target: str,
    requirements: list[str],
    requirements_file: str | None = None,
    index: str | None = None,
    upgrade: bool = False,
    only_binary: bool = True,
    pre_releases: bool = False,
    user: str | None = None,
    installer: str = "auto",
    timeout: int = 600,
) -> Changes:
    """Install what is asked for and not there yet; return the old and new version of all that changed.

    index
        Simple API root, as ``https://wheels.example/simple/``. Left out, the installer's own configuration counts.
    upgrade
        Ask the index for newer versions of what is there and fits.
    only_binary
        Install wheels alone. With ``False`` a source distribution may be built on the minion.
    timeout
        Seconds.

    .. code-block:: bash

        salt '*' wheelhouse_environment.install /srv/app/venv '["psycopg2==2.9.10"]'
    """
    tool = _Tool(target, user=user, installer=installer)
    before = versions(target, user=user, installer=installer)
    chosen = {"--upgrade": upgrade, "--pre": pre_releases}
    with _words(requirements, requirements_file, chosen, only_binary=only_binary, user=user) as words:
        tool.run("install", *words, index=index, timeout=timeout)
    return _changes(before, versions(target, user=user, installer=installer))


def remove(target: str, names: list[str], user: str | None = None, installer: str = "auto") -> Changes:
    """Remove projects from an environment; return the old version of each that was there.

    .. code-block:: bash

        salt '*' wheelhouse_environment.remove /srv/app/venv '[psycopg2]'
    """
    tool = _Tool(target, user=user, installer=installer)
    before = versions(target, user=user, installer=installer)
    there = [name for name in names if _normalized(name) in before]
    if there:
        tool.run("uninstall", *([] if tool.is_uv else ["--yes"]), *there)
    return _changes(before, versions(target, user=user, installer=installer))


def create(target: str, python: str = "python3", user: str | None = None, installer: str = "auto") -> str:
    """Make an environment for a Python and return its path. ``installer: uv`` makes one without pip.

    .. code-block:: bash

        salt '*' wheelhouse_environment.create /srv/app/venv python=/usr/bin/python3.12
    """
    there = os.path.lexists(target)
    by_uv = Path(installer).name == "uv"
    command = [_uv(installer), "venv", "--quiet", "--python", python] if by_uv else [python, "-m", "venv"]
    try:
        _run([*command, target], user=user)
    except CommandExecutionError:
        if not there:  # half an environment would be taken for a whole one by the next run
            shutil.rmtree(target, ignore_errors=True)
        raise
    return target


def interpreter(target: str, user: str | None = None) -> str | None:
    """Return the version of an environment's Python; None where there is no environment.

    .. code-block:: bash

        salt '*' wheelhouse_environment.interpreter /srv/app/venv
    """
    python = str(Path(target, "bin", "python"))
    if not os.path.lexists(python):
        return None
    return _run([python, "-c", "import platform; print(platform.python_version())"], user=user).strip()


class _Tool:
    """What installs into an environment: the environment's own pip, or uv."""

    def __init__(self, target: str, *, user: str | None, installer: str) -> None:
        self.python = str(Path(target, "bin", "python"))
        self.user = user
        if not os.path.lexists(self.python):
            raise CommandExecutionError(f"there is no Python environment at {target}: {self.python} is missing")
        if installer not in {"auto", "pip"}:
            self.is_uv = True
            self.command = [_uv(installer), "pip"]
        else:
            self.is_uv = installer == "auto" and not self._has_pip()
            self.command = [_uv("uv"), "pip"] if self.is_uv else [self.python, "-m", "pip"]

    def run(self, verb: str, *words: str, index: str | None = None, timeout: int = 600, talk: bool = False) -> str:
        """Run one of the tool's commands; return its stdout, or its stderr if it is the talk that is wanted."""
        # By environment, since an address may have a password in it, and arguments are everybody's to read.
        environment = {"UV_DEFAULT_INDEX" if self.is_uv else "PIP_INDEX_URL": index} if index else {}
        where = ["--python", self.python] if self.is_uv else []
        command = [*self.command, verb, *where, *words]
        return _run(command, user=self.user, environment=environment, timeout=timeout, talk=talk)

    def _has_pip(self) -> bool:
        probe = [self.python, "-c", "import importlib.util as u, sys; sys.exit(u.find_spec('pip') is None)"]
        try:
            _run(probe, user=self.user)
        except CommandExecutionError:
            if shutil.which("uv"):
                return False
            raise CommandExecutionError(
                f"neither is there a pip that {self.python} can run, nor a uv on this minion's PATH"
            ) from None
        return True


def _uv(installer: str) -> str:
    """Take `uv` or a path of it."""
    found = shutil.which(installer)
    if found is None:
        raise CommandExecutionError(
            f"there is no {installer} on this minion; `installer` is auto, pip, uv or uv's path"
        )
    return found


@contextlib.contextmanager
def _words(
    requirements: list[str],
    requirements_file: str | None,
    chosen: dict[str, bool],
    *,
    only_binary: bool,
    user: str | None,
) -> Iterator[list[str]]:
    """Give the words that both tools take."""
    for requirement in requirements:
        if not isinstance(requirement, str) or not re.match(r"[A-Za-z0-9]", requirement):
            raise CommandExecutionError(f"`{requirement}` is no requirement: it begins with the name of a project")
    words = [option for option, wanted in chosen.items() if wanted]
    words += ["--only-binary", ":all:"] if only_binary else []
    if requirements_file is None:
        yield [*words, *requirements]
        return
    if user is None:
        yield [*words, "--requirement", requirements_file, *requirements]
        return
    with tempfile.NamedTemporaryFile(suffix=".txt") as copy:  # Salt's own cache is root's to read
        copy.write(Path(requirements_file).read_bytes())
        copy.flush()
        shutil.chown(copy.name, user)
        yield [*words, "--requirement", copy.name, *requirements]


def _run(
    command: list[str],
    *,
    user: str | None = None,
    environment: dict[str, str] | None = None,
    timeout: int = 600,
    talk: bool = False,
) -> str:
    # Nobody is there to be asked, and what Salt's own Python is told must not reach the environment's.
    quiet = {"PIP_NO_INPUT": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "UV_NO_PROGRESS": "1", "NO_COLOR": "1"}
    own = {"PYTHONPATH": "", "PYTHONHOME": "", "VIRTUAL_ENV": ""}
    answer = __salt__["cmd.run_all"](
        command,
        python_shell=False,
        runas=user,
        env={**quiet, **own, **(environment or {})},
        timeout=timeout,
        output_loglevel="debug",
        ignore_retcode=True,
        cwd="/",
    )
    if answer["retcode"] != 0:
        raise CommandExecutionError(_cause(command, answer))
    return str(answer["stderr" if talk else "stdout"])


def _cause(command: list[str], answer: dict[str, Any]) -> str:
    who = "pip" if command[1:3] == ["-m", "pip"] else Path(command[0]).name
    lines = [line.rstrip() for line in f"{answer['stdout']}\n{answer['stderr']}".splitlines() if line.strip()]
    if who == "pip":  # what it talks of beside its errors is long, and a warning may be their cause: 401, no connection
        told = [line for line in dict.fromkeys(lines) if line.startswith(("ERROR:", "WARNING:"))][-_LAST_LINES:]
        if "ERROR: Exception:" in told:  # a traceback follows, and its last line is what happened
            told = lines[-1:]
    else:
        marks = ("error", "\u00d7")
        first = next((number for number, line in enumerate(lines) if line.lstrip().startswith(marks)), 0)
        told = lines[first:][-_LAST_LINES:]
    said = "\n".join(told or lines[-_LAST_LINES:]) or f"it ended with {answer['retcode']} and said nothing"
    return _CREDENTIALS.sub("://…@", f"{who} failed: {said}")


def _changes(before: dict[str, str], after: dict[str, str]) -> Changes:
    return {
        name: {"old": before.get(name, ""), "new": after.get(name, "")}
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    }


def _normalized(name: str) -> str:
    """Return a project's name as PEP 503 has it."""
    return re.sub(r"[-_.]+", "-", name).lower()
