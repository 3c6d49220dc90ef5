"""What minions say of themselves and a job in; which of them fit it by which builder, or why none does, out. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import pydantic
from packaging.version import InvalidVersion, Version

from wheelhouse import __version__
from wheelhouse.builders import Unavailable
from wheelhouse.plan import BuilderChoice
from wheelhouse.selection import Machines

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from wheelhouse.config import BuilderChoice as BuilderSetting
    from wheelhouse.job import BuilderName, Job
    from wheelhouse.record import Record
    from wheelhouse.results import Results

#: What a processor runs besides its own, without emulation.
_ALSO_RUNS = {"x86_64": ("i686",), "aarch64": ("armv7l",)}
_NAMED = 5
"""Minions that a reason names."""


class Minion(pydantic.BaseModel):
    """A minion that builds, by its grains."""

    model_config = pydantic.ConfigDict(frozen=True, extra="ignore", strict=True)

    id: str
    arch: str
    """The grain `cpuarch`."""
    libc: Literal["glibc", "musl"] = "glibc"
    libc_version: str = ""
    engine: str = ""
    """`podman` or `docker`; empty: it has none."""
    pythons: tuple[str, ...] = pydantic.Field(default=(), strict=False)
    """Those of the host builder: `3.13`, `3.14t`."""
    emulates: tuple[str, ...] = pydantic.Field(default=(), strict=False)
    """Architectures that its containers run though its processor does not."""
    crosses: tuple[str, ...] = pydantic.Field(default=(), strict=False)
    """Architectures that its host builder compiles for."""
    version: str
    """Of its wheelhouse."""
    width: pydantic.PositiveInt = 1
    """Jobs at once."""
    memory: pydantic.NonNegativeInt = 0
    """Bytes for all of them; 0: it does not say."""

    @property
    def libc_age(self) -> tuple[int, ...]:
        """What sorts minions by their C library, the oldest first."""
        try:
            return Version(self.libc_version).release
        except InvalidVersion:
            return (10**6,)


def read_minion(id_: str, told: Any) -> Minion | Unavailable:
    """Parse what a minion says that it can do; what cannot be used has a reason."""
    if not isinstance(told, dict):
        return Unavailable(reason=" ".join(str(told).split())[:200])
    try:
        return Minion.model_validate({**told, "id": id_})
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(map(str, first["loc"]))
        number = " (YAML takes 1.10 for the number 1.1: quote it)" if isinstance(first["input"], float) else ""
        return Unavailable(reason=f"its grain wheelhouse:{field} cannot be used: {first['msg']}{number}")


def skew(minion: Minion, own: str = __version__) -> str | None:
    """Say in what a minion's wheelhouse differs too much from this one; None: they understand each other.

    Another minor release has other recipes and other build keys; one that differs in the last number is a mend.
    """
    if minion.version.split(".")[:2] == own.split(".")[:2]:
        return None
    return f"it has wheelhouse {minion.version}, and this is {own}"


def fit(job: Job, minion: Minion, setting: BuilderSetting = "auto") -> BuilderName | Unavailable:
    """Return who builds a job on a minion, or why nobody can. `setting` is `--builder`."""
    if (difference := skew(minion)) is not None:
        return Unavailable(reason=difference, hint="state.apply wheelhouse.builder brings it to the master's version")
    if not job.target.is_linux:
        return Unavailable(reason="minions build wheels for Linux", hint="build it on GitHub: `wheelhouse matrix`")
    problems: dict[BuilderName, Unavailable | None] = {
        "cibuildwheel": _container(job, minion),
        "host": _host(job, minion),
    }
    if setting != "auto":
        return problems[setting] or setting
    found = next((name for name, problem in problems.items() if problem is None), None)
    if found is not None:
        return found
    container, host = (problem for problem in problems.values() if problem is not None)
    return Unavailable(reason=f"{container.reason}; without a container: {host.reason}", hint=host.hint)


def _container(job: Job, minion: Minion) -> Unavailable | None:
    """Say why a job cannot be built in a container on a minion; None: it can."""
    arch = job.target.arch
    if not job.extension:
        return Unavailable(reason="cibuildwheel makes no wheels without an extension")
    if not minion.engine:
        return Unavailable(reason="it has no container engine")
    if arch not in (minion.arch, *_ALSO_RUNS.get(minion.arch, ()), *minion.emulates):
        return Unavailable(reason=f"it is {minion.arch} and runs no containers for {arch}")
    return None


def _host(job: Job, minion: Minion) -> Unavailable | None:
    """Say why the host builder cannot build a job on a minion; None: it can."""
    target = job.target
    wanted = "musl" if target.family == "musllinux" else "glibc"
    if target.implementation != "cp":
        return Unavailable(reason="the host builder builds for CPython only")
    if minion.libc != wanted:
        return Unavailable(reason=f"its C library is {minion.libc}, not {wanted}")
    if target.arch not in (minion.arch, *minion.crosses):
        return Unavailable(reason=f"it is {minion.arch} and compiles for no {target.arch}")
    if target.python_version not in minion.pythons:
        return Unavailable(
            reason=f"it has no CPython {target.python_version}", hint=f"`uv python install {target.python_version}`"
        )
    return None


def machines(minions: Sequence[Minion]) -> Machines:
    """Return what is built for when nothing is said: the architectures of the fleet."""
    return Machines(
        archs=frozenset(minion.arch for minion in minions),
        families=frozenset({"manylinux", "musllinux"}),
        where="on these minions",
    )


class FleetFacts:
    """A planner's facts of a fleet: who can build is known by grains, what was built by its last record.

    The whole build key is known where a job is built: tools, images and build requirements are there. So a job counts
    as done when its last record is of the same recipe, source and patches, and its wheel went to the index; `--force`
    sends it all the same, and the minion that has the very key answers without building.
    """

    def __init__(
        self,
        *,
        minions: Sequence[Minion],
        refused: Mapping[str, str],
        setting: BuilderSetting,
        results: Results,
        recorded: Callable[[str, datetime | None], Record | None],
    ) -> None:
        """Take what is known. `refused`: why, of minions that cannot be used.

        `recorded` gives the index's record of a job (an id) if it is newer than that moment.
        """
        self._minions = minions
        self._refused = refused
        self._setting = setting
        self._results = results
        self._known = results.recorded()
        self._recorded = recorded
        self._finished: set[str] = set()
        self._latest: dict[str, Record | None] = {}

    def builder(self, job: Job) -> BuilderChoice | Unavailable:
        """Say who builds the job: in containers, where some minion can."""
        found = {minion.id: fit(job, minion, self._setting) for minion in self._minions}
        for name in ("cibuildwheel", "host"):
            if fitting := [id_ for id_, one in found.items() if one == name]:
                return BuilderChoice(name=name, reason=f"on {_names(fitting)}")
        misfits = {id_: one for id_, one in found.items() if isinstance(one, Unavailable)}
        reasons: dict[str, list[str]] = {}
        for id_, reason in (*((id_, one.reason) for id_, one in misfits.items()), *self._refused.items()):
            reasons.setdefault(reason, []).append(id_)
        told = "; ".join(f"{_names(ids)}: {reason}" for reason, ids in reasons.items())
        hint = next((one.hint for one in misfits.values() if one.hint), None)
        return Unavailable(reason=f"no minion fits: {told}", hint=hint)

    def inputs(self, job: Job, builder: BuilderName, depends: Mapping[str, str]) -> Mapping[str, str] | None:
        """Return the inputs of the last record, where all that can be known here of them is still so."""
        last = self.latest(job)
        if last is None or last.status != "built" or last.key is None or last.details.get("published") is None:
            return None
        mine = {"target": str(job.target), "builder": builder, **job.recipe_inputs()}
        theirs = {name: value for name, value in last.inputs.items() if _is_known_here(name)}
        if mine != theirs:
            return None
        self._finished.add(last.key)
        others = {name: value for name, value in last.inputs.items() if not name.startswith("depends.")}
        return {**others, **{f"depends.{id_}": key for id_, key in depends.items()}}

    def finished(self, key: str) -> bool:
        """Say whether a record of this key was found."""
        return key in self._finished

    def latest(self, job: Job) -> Record | None:
        """Return the last record of the job: the workspace's, or the index's where that is newer."""
        if job.id not in self._latest:
            own = self._results.latest(job.id) if job.id in self._known else None
            self._latest[job.id] = self._recorded(job.id, own.started if own is not None else None) or own
        return self._latest[job.id]


def _is_known_here(name: str) -> bool:
    return name in {"target", "builder"} or name.startswith(("recipe.", "source."))


def _names(ids: Sequence[str]) -> str:
    more = f" and {len(ids) - _NAMED} more" if len(ids) > _NAMED else ""
    return ", ".join(sorted(ids)[:_NAMED]) + more
