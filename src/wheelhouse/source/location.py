"""A project and version in, the address of its sdist on the index out, or an error that says what the index has."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from packaging.version import InvalidVersion, Version

from wheelhouse.download import NotThereError, read_page, without_secrets
from wheelhouse.errors import SourceError

if TYPE_CHECKING:
    from pypi_simple import DistributionPackage, ProjectPage
    from urllib3 import PoolManager

    from wheelhouse.job import SourceSpec

_SHOWN = 12
_SDISTS = (".tar.gz", ".zip", ".tar.bz2", ".tar.xz", ".tgz")


def sdist_url(spec: SourceSpec, *, index: str) -> str:
    """Ask the index for the address of the sdist; the file with the wanted hash goes before any other.

    Raises SourceError where the index does not know the project, has no such version, or has wheels only.
    """
    page = project_page(spec.project, index=index)
    versions: dict[Version, list[DistributionPackage]] = {}
    for file in page.packages:
        try:
            versions.setdefault(Version(file.version or ""), []).append(file)
        except InvalidVersion:
            continue
    where = without_secrets(index)
    files = versions.get(spec.version)
    if files is None:
        there = sorted(versions, reverse=True)
        raise SourceError(
            f"the index has no {spec.project} {spec.version}",
            where=where,
            hint=f"it has {_some([str(version) for version in there])}",
        )
    sdists = [file for file in files if file.filename.lower().endswith(_SDISTS)]
    if not sdists:
        raise SourceError(
            f"the index has no sdist of {spec.project} {spec.version}",
            where=where,
            hint=f"give source.url in the recipe; the index has {_some([file.filename for file in files])}",
        )
    return min(sdists, key=lambda file: _preference(file, spec)).url


def _preference(file: DistributionPackage, spec: SourceSpec) -> tuple[bool, int]:
    suffix = next(number for number, end in enumerate(_SDISTS) if file.filename.lower().endswith(end))
    return (file.digests.get("sha256") != spec.sha256, suffix)


def project_page(project: str, *, index: str, pool: PoolManager | None = None) -> ProjectPage:
    """Ask the index for all files of a project (normalised name), over `pool` where many are asked for.

    Raises SourceError.
    """
    from pypi_simple import (  # noqa: PLC0415 - a second of start-up
        ACCEPT_JSON_PREFERRED,
        ProjectPage,
        UnexpectedRepoVersionWarning,
        UnsupportedRepoVersionError,
    )

    address = f"{index.rstrip('/')}/{project}/"
    try:
        page = read_page(address, accept=ACCEPT_JSON_PREFERRED, pool=pool)
    except NotThereError as error:
        raise SourceError(
            f"the index does not know {project}",
            where=without_secrets(index),
            hint="check package.name and index.url, or give source.url in the recipe",
        ) from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UnexpectedRepoVersionWarning)
            if "json" in page.content_type:
                import orjson  # noqa: PLC0415 - start-up time

                return ProjectPage.from_json_data(orjson.loads(page.data), base_url=page.url)
            return ProjectPage.from_html(project, page.data, base_url=page.url)
    except (ValueError, KeyError, TypeError, UnsupportedRepoVersionError) as error:
        raise SourceError(
            f"the index's page of {project} cannot be read: {error}",
            where=without_secrets(address),
            hint="index.url must be the root of a Simple API (PEP 503, PEP 691)",
        ) from error


def _some(texts: list[str]) -> str:
    more = len(texts) - _SHOWN
    return ", ".join(texts[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
