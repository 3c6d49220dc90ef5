"""A job in, a repaired wheel out, by one cibuildwheel process that is told everything and inherits nothing.

The result depends on its inputs alone: the source always lies at /project; the build requirements are those of the
lock, by hash, at a fixed path, before all that the image has; the container has no network and does not see the host.
So no compiler flags are needed for equal bytes, and none are set: `CFLAGS` would take autoconf's own `-O2` away.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Literal

from wheelhouse.builders import Unavailable
from wheelhouse.builders.cibuildwheel_config import (
    INPUTS,
    INSTALLED,
    LIST,
    REQUIREMENTS,
    ContainerPlan,
    container_config,
    native_config,
    requirements_list,
    wants_network,
)
from wheelhouse.builders.derived import Derived, DerivedImages
from wheelhouse.builders.engine import OWNER_LABEL, Engine, engine_environment, find_engine, owner
from wheelhouse.builders.image import Images, default_reference, option_name, python_folder
from wheelhouse.builders.installed import Installation
from wheelhouse.builders.leaks import remove_search_paths
from wheelhouse.builders.versions import tool_version
from wheelhouse.errors import BuildError, MachineError
from wheelhouse.process import WORK_VARIABLE, Failure
from wheelhouse.wheel import BuiltWheel

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from wheelhouse.builders import BuildRequest
    from wheelhouse.builders.image import Contents, Image
    from wheelhouse.config import Config
    from wheelhouse.job import BuilderName, Job
    from wheelhouse.joblog import JobLog
    from wheelhouse.process import Processes
    from wheelhouse.target import BuildIdentifier

JOB_LABEL = "wheelhouse.job"
#: Families that cibuildwheel builds for on their own system: `sys.platform`, and cibuildwheel's name of it.
_NATIVE: Mapping[str, tuple[str, Literal["macos", "windows"]]] = {
    "macosx": ("darwin", "macos"),
    "win": ("win32", "windows"),
}
#: Raised when the same inputs would give other bytes because this builder works otherwise.
_FORMAT = "3"
_STATUS = {
    2: "cibuildwheel refuses its configuration: is an option of the recipe's [cibuildwheel] wrong?",
    5: "the build made a pure Python wheel: its extension was left out",
    7: "the container engine is too old for cibuildwheel",
    8: "the repair left no wheel, or more than one",
    10: "the build ended well but left no wheel",
}
_NO_BINARY = "This does not look like a platform wheel"


class CibuildwheelBuilder:
    """Builds in containers for Linux, and natively for macOS and Windows. Safe to use from many threads."""

    def __init__(
        self, processes: Processes, config: Config, environment: Mapping[str, str], cache: Path, *, pull: bool = False
    ) -> None:
        """`cache` remembers what is known of images. With `pull`, an image that is not here counts as available."""
        self._processes = processes
        self._config = config
        self._environment = environment
        self._cache = cache
        self._pull = pull
        self._lock = threading.RLock()
        self._found: Engine | Unavailable | None = None
        self._answers: dict[tuple[BuildIdentifier, str], Image | Unavailable] = {}
        self._known: dict[tuple[str, str], Image] = {}
        """Images by reference and architecture: all Pythons of a platform have the same."""
        self._with_packages: DerivedImages | None = None
        self._swept = False

    @property
    def name(self) -> BuilderName:
        """`cibuildwheel`."""
        return "cibuildwheel"

    def unavailable(self, target: BuildIdentifier) -> Unavailable | None:
        """Say why there is no container (or native machine) for `target` here."""
        if not target.is_linux:
            return _not_native(target)
        answer = self._image(target, default_reference(target, self._config.images.get(target.platform_tag)))
        return answer if isinstance(answer, Unavailable) else None

    def runs_on(self, target: BuildIdentifier) -> BuildIdentifier:
        """Return `target`: a container is of its architecture and C library."""
        return target

    def prepare(self, job: Job, log: JobLog, *, timeout: float, upgrade: bool = False) -> None:
        """Pull the job's image, and install its system packages in one that is derived from it."""
        if not job.target.is_linux:
            return
        with log.stage("image"):
            image, contents = self._pulled(job, log)
            # Read by `diagnose`, which gives names of packages.
            log.line(
                f"image: {image.reference}, {contents.os}, packages by system-packages.{contents.family or 'none'}"
            )
            derived = self._derived(self._engine_or_raise())
            derived.having(image, job.system_packages, log, timeout=timeout, upgrade=upgrade)

    def inputs(self, job: Job) -> Mapping[str, str] | None:
        """Return cibuildwheel's version, the image's digest, and what the system packages brought into it."""
        inputs = {"tool.cibuildwheel": tool_version("cibuildwheel"), "tool.builder": _FORMAT}
        if not job.target.is_linux:
            if (problem := _not_native(job.target)) is not None:
                raise MachineError(problem.reason, hint=problem.hint)
            return inputs
        image = self._image_or_raise(job)
        assert image.digest is not None  # noqa: S101 - an image without one is Unavailable
        inputs["image.digest"] = image.digest
        if job.system_packages.empty:
            return inputs
        derived = self._derived(self._engine_or_raise()).known(image, job.system_packages) if image.here else None
        if derived is None:
            return None
        return {**inputs, **{f"system.{name}": version for name, version in derived.packages.items()}}

    def build(self, request: BuildRequest) -> BuiltWheel:
        """Build and repair in a container that is removed whatever happens."""
        if not request.job.target.is_linux:
            return self._build_natively(request)
        engine = self._engine_or_raise()
        self._sweep(engine)
        deadline = time.monotonic() + request.timeout
        image, contents = self._pulled(request.job, request.log)
        packages, allowed = request.job.system_packages, request.timeout
        derived = self._derived(engine).having(image, packages, request.log, timeout=allowed)
        network = wants_network(request.job) or python_folder(request.job.target) not in contents.pythons
        inputs = _inputs(request.work, requirements_list(request.requirements))
        installed = None
        if request.requirements.lock.pins:
            installation = Installation(
                engine=engine,
                image=image,
                contents=contents,
                processes=request.processes,
                cache=self._cache,
                log=request.log,
                deadline=deadline,
            )
            installed = installation.folder(python_folder(request.job.target), request.requirements, inputs)
        plan = self._plan(request, engine, derived.image, contents, installed=installed, network=network)
        config = _config(request.work, container_config(request.job, plan))
        try:
            wheel = self._run(request, config, engine.environment, timeout=deadline - time.monotonic())
        except BaseException:
            # cibuildwheel removes its container when it may end in peace; a signal or a time limit does not let it.
            engine.remove_containers({OWNER_LABEL: owner(), JOB_LABEL: request.job.id})
            raise
        details = {
            "engine": str(engine),
            "image": image.reference,
            "image-system": contents.os,
            "front-end": f"{plan.front_end} {contents.uv if plan.front_end == 'uv' else ''}".strip(),
            "auditwheel": contents.auditwheel or "",
            "network": "allowed, for the recipe's hooks" if network else "denied",
            "system-packages": _told(request.job, contents, derived),
            "emulated": "no"
            if engine.arch == request.job.target.arch
            else f"{request.job.target.arch} on {engine.arch}",
        }
        return BuiltWheel(path=wheel, details={key: value for key, value in details.items() if value})

    # -- what there is

    def _engine(self) -> Engine | Unavailable:
        with self._lock:
            if self._found is None:
                self._found = find_engine(self._processes, self._environment)
            return self._found

    def _engine_or_raise(self) -> Engine:
        engine = self._engine()
        if isinstance(engine, Unavailable):
            raise MachineError(engine.reason, hint=engine.hint)
        return engine

    def _images(self, engine: Engine) -> Images:
        return Images(engine, self._processes, self._cache)

    def _derived(self, engine: Engine) -> DerivedImages:
        with self._lock:
            if self._with_packages is None:
                self._with_packages = DerivedImages(self._images(engine), engine, self._processes, self._cache)
            return self._with_packages

    def _pulled(self, job: Job, log: JobLog) -> tuple[Image, Contents]:
        """Return the job's image, which is here then, and what it holds."""
        images = self._images(self._engine_or_raise())
        image = images.pull(self._image_or_raise(job), log)
        with self._lock:  # those who ask from now on learn that it is here
            self._known[image.reference, job.target.arch] = self._answers[job.target, image.reference] = image
        contents = images.contents(image)
        _require_python(job.target, image, contents)
        return image, contents

    def _image(self, target: BuildIdentifier, reference: str) -> Image | Unavailable:
        with self._lock:
            key = (target, reference)
            if key not in self._answers:
                self._answers[key] = self._look(target, reference)
            return self._answers[key]

    def _look(self, target: BuildIdentifier, reference: str) -> Image | Unavailable:
        engine = self._engine()
        if isinstance(engine, Unavailable):
            return engine
        if (problem := engine.cannot_run(target.arch)) is not None:
            return problem
        if not reference:
            hint = f"name one in wheelhouse.toml: [images] {target.platform_tag} = …"
            return Unavailable(reason=f"no image is known for {target.platform_tag}", hint=hint)
        return self._look_for_image(engine, target, reference)

    def _look_for_image(self, engine: Engine, target: BuildIdentifier, reference: str) -> Image | Unavailable:
        images = self._images(engine)
        known = (reference, target.arch)
        if known not in self._known:
            try:
                self._known[known] = images.find(reference, target.arch)
            except MachineError as error:
                return Unavailable(reason=error.message, hint=error.hint)
        image = self._known[known]
        if not image.here and not self._pull:
            return Unavailable(
                reason=f"the image {reference} is not on this machine",
                hint=f"`{engine.name} pull {reference}`, or --builder cibuildwheel, which pulls it",
            )
        if image.digest is None:
            return Unavailable(
                reason=f"the image {reference} is not here and not named by digest: the build key needs one of the two",
                hint=f"`{engine.name} pull {reference}`, or name it as …@sha256:… under [images]",
            )
        if image.here:
            try:
                _require_python(target, image, images.contents(image))
            except MachineError as error:
                return Unavailable(reason=error.message, hint=error.hint)
        return image

    def _image_or_raise(self, job: Job) -> Image:
        image = self._image(job.target, default_reference(job.target, job.image))
        if isinstance(image, Unavailable):
            raise MachineError(image.reason, hint=image.hint)
        return image

    def _sweep(self, engine: Engine) -> None:
        """Remove, once a run, the containers that killed runs left behind."""
        with self._lock:
            if not self._swept:
                self._swept = True
                engine.remove_leftovers()

    # -- building

    def _plan(
        self,
        request: BuildRequest,
        engine: Engine,
        image: Image,
        contents: Contents,
        *,
        installed: Path | None,
        network: bool,
    ) -> ContainerPlan:
        labels = {OWNER_LABEL: owner(), JOB_LABEL: request.job.id}
        return ContainerPlan(
            engine=engine.name,
            create_args=(
                *(f"--label={key}={value}" for key, value in labels.items()),
                engine.volume(request.requirements.folder.absolute(), REQUIREMENTS),
                engine.volume((request.work / "inputs").absolute(), INPUTS),
                *([engine.volume(installed.absolute(), INSTALLED)] if installed else []),
                *([] if network else engine.no_network()),
            ),
            image_option=option_name(request.job.target),
            image=image.reference,
            front_end="uv" if contents.uv else "build",
            installed=installed is not None,
            epoch=request.tree.facts.epoch,
        )

    def _build_natively(self, request: BuildRequest) -> BuiltWheel:
        if (problem := _not_native(request.job.target)) is not None:
            raise MachineError(problem.reason, hint=problem.hint)
        text = native_config(
            request.job,
            platform=_NATIVE[request.job.target.family][1],
            epoch=request.tree.facts.epoch,
            folder=os.fspath(request.requirements.folder.absolute()),
        )
        config = _config(request.work, text)
        wheel = self._run(request, config, engine_environment(self._environment), timeout=request.timeout)
        return BuiltWheel(path=wheel, details={"engine": f"none: cibuildwheel on {sys.platform}"})

    def _run(self, request: BuildRequest, config: Path, environment: Mapping[str, str], *, timeout: float) -> Path:
        output, scratch = request.work / "output", request.work / "tmp"
        for folder in (output, scratch):
            folder.mkdir(parents=True)
        command: list[str | Path] = [
            *(sys.executable, "-m", "cibuildwheel", "--only", str(request.job.target)),
            *("--config-file", config.absolute(), "--output-dir", output.absolute()),
            ".",
        ]
        variables = {
            **environment,
            "TMPDIR": os.fspath(scratch.absolute()),
            "SOURCE_DATE_EPOCH": str(request.tree.facts.epoch),
            "NO_COLOR": "1",
            WORK_VARIABLE: os.fspath(request.work.parent),
        }
        try:
            request.processes.run(
                command, cwd=request.tree.root, env=variables, log=request.log.path, timeout=max(timeout, 1.0)
            )
        except Failure as failure:
            raise _build_error(request, failure) from failure
        wheels = list(output.glob("*.whl"))
        if len(wheels) != 1:
            raise BuildError(f"{request.job} left {len(wheels)} wheels", hint="the log has all that cibuildwheel said")
        if request.job.target.is_linux:
            remove_search_paths(wheels[0], request, variables)
        return wheels[0]


def _not_native(target: BuildIdentifier) -> Unavailable | None:
    if target.family not in _NATIVE:
        return Unavailable(reason=f"wheelhouse does not build for {target.family}")
    needed, name = _NATIVE[target.family]
    if sys.platform == needed:
        return None
    return Unavailable(
        reason=f"{target} is built on {name} only", hint=f"run this job on {name}, as the github farm does"
    )


def _require_python(target: BuildIdentifier, image: Image, contents: Contents) -> None:
    folder = python_folder(target)
    if folder in contents.pythons or contents.fetches_pythons:
        return
    there = ", ".join(path.rsplit("/", 1)[1] for path in contents.pythons) or "none"
    raise MachineError(
        f"the image {image.reference} has no {folder} (it has {there})",
        hint=f"name an image that has it under [images] {target.platform_tag} in wheelhouse.toml",
    )


def _told(job: Job, contents: Contents, derived: Derived) -> str:
    """Return the job's own system packages and their versions, where they are not the image's."""
    names = getattr(job.system_packages, contents.family) if contents.family else ()
    return " ".join(f"{name}={derived.packages[name]}" for name in sorted(names) if name in derived.packages)


def _inputs(work: Path, requirements: str) -> Path:
    folder = work / "inputs"
    folder.mkdir(parents=True)
    (folder / LIST).write_text(requirements, "utf-8")
    return folder


def _config(work: Path, text: str) -> Path:
    path = work / "cibuildwheel.toml"
    path.write_text(text, "utf-8")
    return path


def _build_error(request: BuildRequest, failure: Failure) -> BuildError:
    status = failure.completed.returncode
    reason = _STATUS.get(status, f"cibuildwheel ended with status {status}")
    if _NO_BINARY in _tail(request.log.path):
        reason = _STATUS[5]
    return BuildError(f"{request.job}: {reason}", hint=f"`wheelhouse log {request.job.id}` shows all that was said")


def _tail(path: Path, size: int = 16384) -> str:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - size))
        return file.read().decode("utf-8", "replace")
