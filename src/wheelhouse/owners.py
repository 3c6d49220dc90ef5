"""Grafted libraries in; the same out, with the packages of this machine that they are of, where auditwheel left a gap.

auditwheel asks dpkg for `/usr/lib/…`, but dpkg knows many libraries under `/lib/…`, which is the same folder since
Debian merged the two. Only for wheels that were built on this machine itself.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from wheelhouse.process import Processes
    from wheelhouse.record import Grafted

#: `libkeyutils1:amd64: /lib/x86_64-linux-gnu/libkeyutils.so.1.10`
_OWNED = re.compile(r"(?P<package>[a-z0-9][a-z0-9+.-]*)(?::\w+)?: (?P<path>/.+)")
_SAFE = re.compile(r"[\w.+-]+")


def with_owners(
    grafted: Sequence[Grafted], *, environment: Mapping[str, str], processes: Processes
) -> tuple[Grafted, ...]:
    """Return the libraries, with a purl for each that one package of dpkg's owns."""
    nameless = [one.name for one in grafted if one.purl is None and _SAFE.fullmatch(one.name)]
    path = environment.get("PATH", os.defpath)
    query = shutil.which("dpkg-query", path=path)
    if not nameless or query is None:
        return tuple(grafted)
    packages = _packages(nameless, query, path, processes)
    purls = _purls(packages, query, path, processes)
    return tuple(
        one.model_copy(update={"purl": purls.get(packages.get(one.name, ""))}) if one.purl is None else one
        for one in grafted
    )


def _packages(names: Sequence[str], query: str, path: str, processes: Processes) -> dict[str, str]:
    """Return the package of each library that exactly one has."""
    command = [query, "--search", *(f"*/{name}" for name in names)]
    said = processes.run(command, env={"PATH": path, "LC_ALL": "C"}, check=False).output
    owners: dict[str, set[str]] = {}
    for found in map(_OWNED.fullmatch, said.splitlines()):
        if found is not None:
            owners.setdefault(found["path"].rpartition("/")[2], set()).add(found["package"])
    return {name: owner for name, (owner, *others) in owners.items() if not others}


def _purls(packages: Mapping[str, str], query: str, path: str, processes: Processes) -> dict[str, str]:
    """Return the purl of each package (purl-spec, type `deb`)."""
    from packageurl import PackageURL  # noqa: PLC0415 - start-up time

    if not packages:
        return {}
    system = platform.freedesktop_os_release().get("ID", "debian")
    command = [query, "--show", "--showformat=${Package} ${Version}\n", *sorted(set(packages.values()))]
    said = processes.run(command, env={"PATH": path, "LC_ALL": "C"}, check=False).output
    lines = (line.partition(" ") for line in said.splitlines())
    return {name: str(PackageURL("deb", system, name, version)) for name, _, version in lines if version}
