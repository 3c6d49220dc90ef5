"""A folder, and a project of the index or none, in; the files of a new registry out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from packaging.utils import InvalidName, InvalidSdistFilename, canonicalize_name, parse_sdist_filename

from wheelhouse.config import FILE_NAME, bundled
from wheelhouse.errors import SourceError, UsageError
from wheelhouse.recipe import FILE_NAME as RECIPE_NAME
from wheelhouse.record import write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from packaging.version import Version
    from pypi_simple import DistributionPackage

#: The recipe of a registry for which no project was named: small, quick, and it comes with wheelhouse.
FIRST = "markupsafe"
_IGNORED = ("/dist/", "/.wheelhouse/")
_CONFIG = """\
# Defaults of all recipes in recipes/. What a recipe says itself goes before. Every key may be left out.

[targets]
# cibuildwheel's selectors of build identifiers.
build = ["cp311-*", "cp312-*", "cp313-*", "cp314-*"]
# skip = ["*-musllinux_i686"]
# "auto" is this machine's own architecture; "all"; or names: ["x86_64", "aarch64"].
archs = ["auto"]

[build]
# "cibuildwheel" builds in containers, "host" without; "auto" takes what this machine has.
builder = "auto"
# jobs = 0             # how many at once; 0: one more than processors, as memory allows
# timeout = "30m"      # for one job

# [index]
# url = "https://…"    # Simple API that sources and build requirements come from

# [images]             # build images, best by digest
# manylinux_x86_64 = "…@sha256:…"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sdist:
    """The newest source of a project on an index."""

    name: str
    version: Version
    sha256: str


def newest_sdist(project: str, *, index: str) -> Sdist:
    """Ask the index for a project's newest sdist; a prerelease only where there is nothing else.

    Raises UsageError for what is no name, SourceError where the index has no sdist of the project, or none with a hash.
    """
    from wheelhouse.source.location import project_page  # noqa: PLC0415 - start-up time

    try:
        name = canonicalize_name(project, validate=True)
    except InvalidName:
        raise UsageError(f"`{project}` is not a project name (PEP 508)") from None
    page = project_page(name, index=index)
    sdists = sorted(_sdists(page.packages), key=lambda sdist: (not sdist.version.is_prerelease, sdist.version))
    if not sdists:
        raise SourceError(
            f"the index has no sdist of {name} with a sha256",
            hint="write the recipe by hand, with source.url; `wheelhouse init` without --package makes an example",
        )
    return sdists[-1]


def _sdists(files: Iterable[DistributionPackage]) -> Iterable[Sdist]:
    for file in files:
        try:
            name, version = parse_sdist_filename(file.filename)
        except InvalidSdistFilename:
            continue
        if not file.is_yanked and (sha256 := file.digests.get("sha256")):
            yield Sdist(name=name, version=version, sha256=sha256)


def recipe_text(sdist: Sdist) -> str:
    """Return a recipe of ten lines, with the next steps as comments."""
    return f"""\
[package]
name = "{sdist.name}"
# import-names = ["…"]          # where they differ from the name

[[version]]
version = "{sdist.version}"
sha256 = "{sdist.sha256}"

# [system-packages]             # what the build needs of the system, by family of image
# manylinux = ["libpq-devel"]
# musllinux = ["libpq-dev"]
# debian = ["libpq-dev"]

# [test]                        # what proves that the extension is there
# command = "python -c 'import …'"
"""


def registry_files(folder: Path, sdist: Sdist | None) -> Mapping[Path, str]:
    """Return the files of a new registry in `folder`.

    Raises UsageError where one of them would be overwritten.
    """
    name = FIRST if sdist is None else sdist.name
    recipe = folder / "recipes" / name / RECIPE_NAME
    text = (bundled() / "recipes" / FIRST / RECIPE_NAME).read_text("utf-8") if sdist is None else recipe_text(sdist)
    files = {folder / FILE_NAME: _CONFIG, recipe: text}
    for path in files:
        if path.exists():
            raise UsageError(
                f"{path} is there already, and nothing was changed",
                hint="`wheelhouse init FOLDER` makes a registry elsewhere",
            )
    ignore = folder / ".gitignore"
    present = ignore.read_text("utf-8") if ignore.is_file() else ""
    if missing := [line for line in _IGNORED if line not in present.splitlines()]:
        files[ignore] = present + ("\n" if present and not present.endswith("\n") else "") + "\n".join(missing) + "\n"
    return files


def write_registry(files: Mapping[Path, str]) -> None:
    """Write the files of a registry; `wheelhouse.toml`, which makes a folder one, last."""
    for path, text in sorted(files.items(), key=lambda item: item[0].name == FILE_NAME):
        write_atomically(path, text.encode())
        path.chmod(0o644)  # a temporary file is its owner's alone; these are for all who work here
