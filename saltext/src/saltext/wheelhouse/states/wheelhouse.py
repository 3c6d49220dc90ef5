"""What should be there in, a state's result out: environments, what is installed in them, credentials for an index."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from salt.exceptions import CommandExecutionError

if TYPE_CHECKING:
    from collections.abc import Callable

    __salt__: dict[str, Callable[..., Any]]
    __opts__: dict[str, Any]

__virtualname__ = "wheelhouse"

# No parameter is keyword-only: Salt 3006 knows none of those.

_EXACT = re.compile(r"[A-Za-z0-9][A-Za-z0-9.!+_-]*")
#: What pip and uv say when an index has a project's sdist alone, or wheels for other machines.
_NO_WHEEL = ("No matching distribution", "no wheels", "no usable wheels", "was not found in the package registry")


def __virtual__() -> str:  # noqa: N807 - Salt's own name for it
    return __virtualname__


def environment(name: str, python: str = "python3", user: str | None = None, installer: str = "auto") -> dict[str, Any]:
    """Have a Python environment at a path. One that is there is left as it is.

    .. code-block:: yaml

        /srv/app/venv:
          wheelhouse.environment:
            - python: /usr/bin/python3.12
            - user: app

    installer
        ``uv`` or a path of it makes the environment with uv, and without pip.
    """
    try:
        there = __salt__["wheelhouse_environment.interpreter"](name, user=user)
        if there is not None:
            return _result(name, f"{name} is an environment of Python {there}")
        if __opts__["test"]:
            return _result(name, f"{name} would be made with {python}", {name: {"old": "", "new": python}})
        __salt__["wheelhouse_environment.create"](name, python=python, user=user, installer=installer)
        made = __salt__["wheelhouse_environment.interpreter"](name, user=user)
    except CommandExecutionError as error:
        return _failed(name, str(error))
    return _result(name, f"{name} is now an environment of Python {made}", {name: {"old": "", "new": f"Python {made}"}})


def installed(
    name: str,
    target: str,
    version: str | None = None,
    pkgs: list[str | dict[str, str]] | None = None,
    requirements: str | None = None,
    index: str | None = None,
    upgrade: bool = False,
    only_binary: bool = True,
    pre_releases: bool = False,
    user: str | None = None,
    installer: str = "auto",
    timeout: int = 600,
) -> dict[str, Any]:
    """Have a project installed in an environment, with all that it needs.

    .. code-block:: yaml

        psycopg2:
          wheelhouse.installed:
            - version: "2.9.10"
            - target: /srv/app/venv

        what the shop needs:
          wheelhouse.installed:
            - target: /srv/shop/venv
            - pkgs:
              - psycopg2: "2.9.10"
              - lxml: ">=5,<6"
              - uwsgi
            - index: https://wheels.example/simple/

    name
        A project, with its extras if any, as ``psycopg[c]``; any text where ``pkgs`` or ``requirements`` say what is
        wanted.
    version
        An exact version, or conditions as ``>=2.9,<3``. To be quoted: YAML takes ``1.10`` for the number 1.1.
    requirements
        A requirements file, as a path of the minion or a ``salt://`` address.
    index
        Simple API root. Left out, what pip or uv is configured with (``wheelhouse.client`` of the formula).
    upgrade
        Also when what is installed fits: take the newest version that the index has.
    only_binary
        Wheels only; ``False`` lets the minion build from source.
    installer
        ``auto`` (the environment's pip, else uv), ``pip``, ``uv``, or a path of uv.
    """
    try:
        wanted = _wanted(name, version, pkgs, requirements)
        file = _requirements_file(requirements)
        options = {
            "requirements_file": file,
            "index": index,
            "upgrade": upgrade,
            "only_binary": only_binary,
            "pre_releases": pre_releases,
            "user": user,
            "installer": installer,
            "timeout": timeout,
        }
        if not __opts__["test"]:
            changes = __salt__["wheelhouse_environment.install"](target, wanted, **options)
            return _result(name, _told(changes, target, "is", _named(wanted, requirements)), changes)
        changes = _predicted(target, wanted, options)
    except CommandExecutionError as error:
        return _failed(name, _with_hint(str(error), only_binary=only_binary))
    return _result(name, _told(changes, target, "would be", _named(wanted, requirements)), changes)


def removed(
    name: str,
    target: str,
    pkgs: list[str] | None = None,
    user: str | None = None,
    installer: str = "auto",
) -> dict[str, Any]:
    """Have a project, or those in ``pkgs``, not installed in an environment. What it needed stays.

    .. code-block:: yaml

        psycopg2:
          wheelhouse.removed:
            - target: /srv/app/venv
    """
    names = [name] if pkgs is None else pkgs
    try:
        if __salt__["wheelhouse_environment.interpreter"](target, user=user) is None:
            return _result(name, f"there is no environment at {target}")
        if __opts__["test"]:
            there = __salt__["wheelhouse_environment.versions"](target, user=user, installer=installer)
            found = {key: there[key] for key in map(_normalized, names) if key in there}
            changes = {key: {"old": version, "new": ""} for key, version in found.items()}
            return _result(name, _told(changes, target, "would be", ", ".join(names), gone=True), changes)
        changes = __salt__["wheelhouse_environment.remove"](target, names, user=user, installer=installer)
    except CommandExecutionError as error:
        return _failed(name, str(error))
    return _result(name, _told(changes, target, "is", ", ".join(names), gone=True), changes)


def credentials(
    name: str, machine: str, pillar: str, login: str = "__token__", file: str | None = None
) -> dict[str, Any]:
    """Have the token of an index in a user's netrc file, where pip, uv and twine look for it and nobody else can read.

    .. code-block:: yaml

        app:
          wheelhouse.credentials:
            - machine: wheels.example
            - pillar: wheelhouse:client:token

    name
        The user.
    machine
        The host of the index, without a port.
    pillar
        The key of the pillar that has the token, or an ``sdb://`` address of it: no state file has it, and no output.
    file
        Default: ``.netrc`` in the user's home folder.
    """
    try:
        password = __salt__["config.get"](pillar)  # `pillar.get` masks it, from Salt 3008 on
        if not password:
            return _failed(name, f"the pillar has no {pillar}")
        path = file or __salt__["wheelhouse_netrc.path_of"](name)
        if __salt__["wheelhouse_netrc.is_set"](path, machine, login, password, user=name):
            return _result(name, f"{path} has the credentials for {machine}")
        changes = {path: {"old": "", "new": f"credentials for {machine}"}}
        if __opts__["test"]:
            return _result(name, f"{path} would get the credentials for {machine}", changes)
        __salt__["wheelhouse_netrc.set_entry"](path, machine, login, password, user=name)
    except CommandExecutionError as error:
        return _failed(name, str(error))
    return _result(name, f"{path} now has the credentials for {machine}", changes)


def _wanted(
    name: str, version: str | None, pkgs: list[str | dict[str, str]] | None, requirements: str | None
) -> list[str]:
    """Return requirements as pip takes them."""
    if pkgs is None:
        return [] if requirements is not None and version is None else [_requirement(name, version)]
    if version is not None:
        raise CommandExecutionError(
            "`version` goes with one project; in `pkgs`, write it behind the name: `- lxml: '5.3'`"
        )
    pairs: list[tuple[str, str | None]] = []
    for each in pkgs:
        pairs += each.items() if isinstance(each, dict) else [(each, None)]
    return [_requirement(*pair) for pair in pairs]


def _requirement(name: object, version: object) -> str:
    if not isinstance(name, str):
        raise CommandExecutionError(
            f"`{name}` is no name of a project, but a {type(name).__name__}: write it in quotes"
        )
    if version is None:
        return name
    if not isinstance(version, str):
        raise CommandExecutionError(
            f"the version of {name} is the {type(version).__name__} {version} here, as YAML takes 1.10 for 1.1: "
            "write the version in quotes"
        )
    return f"{name}=={version}" if _EXACT.fullmatch(version) else f"{name}{version}"


def _requirements_file(requirements: str | None) -> str | None:
    if requirements is None or not requirements.startswith("salt://"):
        return requirements
    cached = __salt__["cp.cache_file"](requirements)
    if not cached:
        raise CommandExecutionError(f"the master has no {requirements}")
    return str(cached)


def _predicted(target: str, wanted: list[str], options: dict[str, Any]) -> dict[str, dict[str, str]]:
    """Return what pip or uv says that it would change, or the little that is known without them."""
    module = "wheelhouse_environment"
    there: dict[str, str] = {}
    if __salt__[f"{module}.interpreter"](target, user=options["user"]) is not None:
        changes = __salt__[f"{module}.preview"](target, wanted, **options)
        if changes is not None:
            return dict(changes)
        there = __salt__[f"{module}.versions"](target, user=options["user"], installer=options["installer"])
    guessed = {}
    for requirement in wanted:
        project, _, exact = requirement.partition("==")
        old = there.get(_normalized(re.split(r"[^A-Za-z0-9._-]", project)[0]), "")
        if not old or options["upgrade"] or (exact and exact != old):
            guessed[_normalized(project)] = {"old": old, "new": exact or "latest"}
    return guessed


def _named(wanted: list[str], requirements: str | None) -> str:
    return ", ".join([*wanted, *([f"all of {requirements}"] if requirements else [])])


def _told(changes: dict[str, dict[str, str]], target: str, verb: str, named: str, *, gone: bool = False) -> str:
    if not changes:
        return f"{named}: {'not' if gone else 'already'} installed in {target}"
    parts = [
        f"{name} {verb} {'removed' if not each['new'] else 'now ' + each['new'] if verb == 'is' else each['new']}"
        for name, each in changes.items()
    ]
    return f"in {target}: " + ", ".join(parts)


def _with_hint(cause: str, *, only_binary: bool) -> str:
    if not only_binary or not any(word in cause for word in _NO_WHEEL):
        return cause
    return (
        f"{cause}\nNo wheel was found: the index has none for this machine's Python and platform (`wheelhouse build` "
        "on a builder makes one, `only_binary: false` builds from source here), is out of reach, or wants a token "
        "(`wheelhouse.credentials`)"
    )


def _result(name: str, comment: str, changes: dict[str, Any] | None = None) -> dict[str, Any]:
    result = None if changes and __opts__["test"] else True
    return {"name": name, "result": result, "changes": changes or {}, "comment": comment}


def _failed(name: str, comment: str) -> dict[str, Any]:
    return {"name": name, "result": False, "changes": {}, "comment": comment}


def _normalized(name: str) -> str:
    """Return a project's name as PEP 503 has it."""
    return re.sub(r"[-_.]+", "-", name).lower()
