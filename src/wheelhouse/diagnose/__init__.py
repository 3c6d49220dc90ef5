"""The log of a failed build in, its cause in words out, with the lines of the recipe that would mend it."""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING

from wheelhouse.diagnose.clue import fill
from wheelhouse.diagnose.logtext import read_log
from wheelhouse.diagnose.lookup import FAMILIES, PackageLookup, machine_lookup
from wheelhouse.diagnose.rules import find_clue, last_complaint, looked_for
from wheelhouse.errors import (
    BuildError,
    BuildTimeoutError,
    CanceledError,
    CheckError,
    InvalidFileError,
    InvalidWheelError,
    MachineError,
    NotReproducibleError,
    RequirementsError,
    SourceError,
    WheelhouseError,
)
from wheelhouse.record import Cause

if TYPE_CHECKING:
    from wheelhouse.diagnose.clue import Clue, Missing
    from wheelhouse.diagnose.lookup import ImageFamily
    from wheelhouse.job import Job

__all__ = ["PackageLookup", "diagnose", "machine_lookup", "read_log"]

_EVIDENCE_BOUND = 400
#: Causes that come of something that was not found before, and do not name it.
_AFTER_A_SEARCH = frozenset({"no-network", "configuration"})
#: Of what was looked for in vain before them, so much is asked the platform's index, which takes its time.
_MOST_SOUGHT = 5

#: Import name -> distribution, where a normalised import name is not it.
_DISTRIBUTIONS = {
    "cython": "Cython",
    "mesonpy": "meson-python",
    "skbuild": "scikit-build",
    "scikit_build_core": "scikit-build-core",
    "setuptools_scm": "setuptools-scm",
    "setuptools_rust": "setuptools-rust",
    "flit_core": "flit-core",
    "pdm": "pdm-backend",
    "poetry": "poetry-core",
    "yaml": "PyYAML",
    "attr": "attrs",
    "git": "GitPython",
    "pkg_resources": "setuptools<81",
    "distutils": "setuptools",
    "sipbuild": "sip",
    "pyqtbuild": "PyQt-builder",
    "py_build_cmake": "py-build-cmake",
    "cmake_build_extension": "cmake-build-extension",
    "hatch_vcs": "hatch-vcs",
    "hatchling": "hatchling",
    "jinja2": "Jinja2",
    "mako": "Mako",
}


def diagnose(log: str, *, job: Job | None, error: WheelhouseError | None, lookup: PackageLookup) -> Cause:
    """Tell why a job failed, from its log and from the error that ended it.

    The error says what is certain (a timeout, a missing Python, a patch); the log says why a build tool gave up.
    Of its lines the earliest that is not a mere attempt counts. Any text is taken; nothing is raised.
    """
    certain = _from_error(error)
    if certain is not None:
        return certain
    clue = find_clue(log)
    if clue is None:
        return _unknown(log, error)
    values = _values(job, clue)
    mend = [fill(line, values) for line in clue.rule.mend]
    if clue.missing is not None:
        mend = [*_packages(clue.missing, log=log, job=job, lookup=lookup), *mend]
    elif clue.rule.missing is None:
        mend = _in_order(mend, _family(log, job, lookup))
    message = fill(clue.rule.message, values).replace("  ", " ")
    if clue.rule.kind in _AFTER_A_SEARCH and (sought := _sought(log, clue, job=job, lookup=lookup)):
        name, packages = sought
        message += f"; it did not find `{name}` here"
        mend = [*packages, *mend]
    return Cause(
        kind=clue.rule.kind,
        message=message,
        mend=tuple(mend),
        evidence=clue.line[:_EVIDENCE_BOUND],
    )


def _from_error(error: WheelhouseError | None) -> Cause | None:
    """Return the cause where the error itself is one; None where the log must be read."""
    if error is None or type(error) is BuildError:
        return None
    kinds: dict[type[WheelhouseError], str] = {
        BuildTimeoutError: "timeout",
        CanceledError: "canceled",
        CheckError: "check",
        InvalidFileError: "invalid-file",
        InvalidWheelError: "invalid-wheel",
        NotReproducibleError: "not-reproducible",
    }
    kind = next((name for known, name in kinds.items() if isinstance(error, known)), None)
    if kind is None:
        for known, words in _BY_WORDS:
            if isinstance(error, known):
                kind = next((name for pattern, name in words if re.search(pattern, str(error), re.IGNORECASE)), None)
                break
        else:
            return None
    if kind is None:
        return None
    mend = (error.hint,) if error.hint else ()
    if kind == "timeout":
        mend = ("resources.timeout: 2h", *mend)
    return Cause(kind=kind, message=str(error), mend=mend)


#: Errors of one class with several causes, told apart by their words; the last pattern of a class fits anything.
_BY_WORDS: tuple[tuple[type[WheelhouseError], tuple[tuple[str, str], ...]], ...] = (
    (
        MachineError,
        (
            (r"no space left|disk", "disk-full"),
            (r"\b(?:CPython|Python|interpreter)\b", "no-python"),
            (r"compiler", "missing-compiler"),
            (r"podman|docker|engine", "no-engine"),
            (r"image", "no-image"),
            (r"", "machine"),
        ),
    ),
    (
        SourceError,
        (
            (r"\b(?:patch|hunk)", "patch-failed"),
            (r"sha256|hash", "hash-mismatch"),
            (r"resolve|unreachable|connect|timed out|network", "no-network"),
            (r"", "source"),
        ),
    ),
    (
        RequirementsError,
        (
            (r"resolve host|unreachable|connect|dns|network", "no-network"),
            (r"sha256|hash", "hash-mismatch"),
            (r"", "requirements"),
        ),
    ),
)


def _values(job: Job | None, clue: Clue) -> dict[str, str]:
    values = {
        "project": "this project",
        "version": "",
        "python": "3.x",
        "python-tag": "cp3x",
        "platform-tag": "manylinux_*",
    }
    if job is not None:
        values = {
            "project": job.project,
            "version": str(job.version),
            "python": job.target.python_version,
            "python-tag": job.target.abi_tag,
            "platform-tag": job.target.platform_tag,
        }
    name = clue.groups.get("name", "")
    module = name.split(".")[0]
    distribution = _DISTRIBUTIONS.get(module.lower(), module.replace("_", "-"))
    return {**values, **clue.groups, "name": name, "distribution": distribution}


def _unknown(log: str, error: WheelhouseError | None) -> Cause:
    said = last_complaint(log)
    kind = next(
        (name for pattern, name in _OWN_WORDS if error is not None and re.search(pattern, str(error))), "unknown"
    )
    return Cause(
        kind=kind,
        message=str(error)
        if error is not None
        else "the build failed, and its log does not say why in words that are known",
        mend=(error.hint,) if error is not None and error.hint else (),
        evidence=None if said is None else said[:_EVIDENCE_BOUND],
    )


#: What wheelhouse itself says of a build whose log names no cause.
_OWN_WORDS = (
    (r"no extension module|no binary inside", "no-extension"),
    (r"back end also needs", "missing-module"),
    (r"auditwheel", "repair"),
)


def _packages(missing: Missing, *, log: str, job: Job | None, lookup: PackageLookup) -> list[str]:
    found = lookup.packages(missing)
    lines = [f"system-packages.{family}: {found[family]}" for family in FAMILIES if family in found]
    return _in_order(lines, _family(log, job, lookup))


def _sought(log: str, clue: Clue, *, job: Job | None, lookup: PackageLookup) -> tuple[str, list[str]] | None:
    """Return what a build had looked for in vain on the machine, the last first, and the packages that have it."""
    for missing in islice(looked_for(log, clue), _MOST_SOUGHT):
        if missing.kind != "tool" and (packages := _packages(missing, log=log, job=job, lookup=lookup)):
            return missing.name, packages
    return None


def _in_order(mend: list[str], first: ImageFamily) -> list[str]:
    """Put the line of the image family that the job was built in before those of the others; nothing else moves."""
    mine = f"system-packages.{first}:"
    places = [number for number, line in enumerate(mend) if line.startswith("system-packages.")]
    lines = sorted((mend[number] for number in places), key=lambda line: not line.startswith(mine))
    for number, line in zip(places, lines, strict=True):
        mend[number] = line
    return mend


def _family(log: str, job: Job | None, lookup: PackageLookup) -> ImageFamily:
    if job is not None and job.target.family == "musllinux":
        return "musllinux"
    # The container builder says what it builds in; else cibuildwheel does, whose own images are AlmaLinux.
    begin = log[:_IMAGE_BOUND]
    if told := re.search(r"^image: .*, packages by system-packages\.(\w+)$", begin, re.MULTILINE):
        return next((family for family in FAMILIES if family == told[1]), "manylinux")
    if re.search(r"Starting container image \S*/(?:manylinux_|manylinux20)", begin):
        return "manylinux"
    return lookup.family or "manylinux"


_IMAGE_BOUND = 200_000
