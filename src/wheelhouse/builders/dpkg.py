"""Names of Debian packages in; their versions on this machine, and those of all that they depend on, out."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from wheelhouse.process import Processes

#: The name in `libpq5 (= 15.3-0)` and `python3:any`. Of alternatives, those that are installed count.
_NAME = re.compile(r"(?:^|[,|])\s*([a-z0-9][a-z0-9+.-]*)")
_FORMAT = "${binary:Package} ${db:Status-Abbrev}${Version} ${Pre-Depends}, ${Depends}\\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """An installed package."""

    version: str
    depends: str
    """As dpkg has it (Debian Policy, 7.1)."""


def ask_dpkg(processes: Processes, environment: Mapping[str, str]) -> Mapping[str, Installed]:
    """Return every installed package by name; nothing where this is no Debian.

    One question for all: dpkg reads its whole list to answer for one as well.
    """
    path = environment.get("PATH", os.defpath)
    query = shutil.which("dpkg-query", path=path)
    if query is None:
        return {}
    command = [query, "--show", f"--showformat={_FORMAT}"]
    said = processes.run(command, env={"PATH": path, "LC_ALL": "C"}, check=False).output
    installed: dict[str, Installed] = {}
    for line in said.splitlines():
        name, status, version, depends = (*line.split(" ", 3), "", "", "")[:4]
        if status == "ii":
            installed[name.partition(":")[0]] = Installed(version=version, depends=depends)
    return installed


def with_dependencies(names: Iterable[str], installed: Mapping[str, Installed]) -> dict[str, str]:
    """Return the versions of these packages, empty where one is not installed, and of all that is installed for them.

    A library that is grafted seldom comes from the package that a recipe names: `libpq-dev` brings `libpq5`.
    """
    versions = dict.fromkeys(names, "")
    waiting = list(versions)
    while waiting:
        name = waiting.pop()
        if (package := installed.get(name)) is None:
            continue
        versions[name] = package.version
        needed = set(_NAME.findall(package.depends)) - versions.keys()
        waiting += [other for other in needed if other in installed]
    return versions
