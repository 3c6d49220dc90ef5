"""A job and how it will be built in, the text of cibuildwheel's configuration file out. Pure.

The recipe's verbatim options stay; where an option is ours, ours wins, or stands beside it (environment, hooks).
"""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from wheelhouse.builders.flags import compiler_flags

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from wheelhouse.job import Job
    from wheelhouse.requirements import Requirements

FrontEnd = Literal["uv", "build"]

#: Where the wheels of the build requirements, the list of them, and they themselves are in the container.
REQUIREMENTS = "/wheelhouse/requirements"
INPUTS = "/wheelhouse/inputs"
LIST = "requirements.txt"
INSTALLED = "/wheelhouse/installed"

_PLATFORMS = ("linux", "macos", "windows", "android", "ios", "pyodide")
#: What bash reads otherwise inside double quotes.
_SPECIAL = re.compile(r'([\\"$`])')
_ESCAPED = r"\\\1"
_HOOKS = ("before-all", "before-build")
#: The same for every build, so that equal inputs give equal bytes.
_EVERYWHERE = {"PYTHONHASHSEED": "0", "LC_ALL": "C.UTF-8", "TZ": "UTC"}
#: A build ID is a digest of debug data too, which names a back end's random folders and is stripped later. Whatever the
#: recipe or the image say of LDFLAGS stays.
_NO_BUILD_ID = 'LDFLAGS="-Wl,--build-id=none $LDFLAGS"'
#: How a build finds its requirements. After the recipe's variables: theirs cannot hide ours.
_FOUND = (f'PYTHONPATH="{INSTALLED}"', f'PATH="{INSTALLED}/bin:$PATH"')
#: What both installers need to know: nothing but the folder of wheels, no settings of the source's own.
_OFFLINE = {
    "PIP_NO_INDEX": "1",
    "PIP_FIND_LINKS": REQUIREMENTS,
    "PIP_NO_COMPILE": "1",
    "UV_NO_INDEX": "1",
    "UV_OFFLINE": "1",
    "UV_FIND_LINKS": REQUIREMENTS,
    "UV_NO_CONFIG": "1",
    "UV_PYTHON_DOWNLOADS": "never",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerPlan:
    """How a job will be built in a container."""

    engine: str
    create_args: tuple[str, ...]
    image_option: str
    image: str
    front_end: FrontEnd
    installed: bool
    """Whether there are build requirements, mounted at `INSTALLED`."""
    epoch: int


def requirements_list(requirements: Requirements) -> str:
    """Return the lock as a requirements file with hashes."""
    return "".join(f"{pin.name}=={pin.version} --hash=sha256:{pin.sha256}\n" for pin in requirements.lock.pins)


def wants_network(job: Job) -> bool:
    """Say whether the recipe has hooks of its own: they fetch what no image holds."""
    options = _verbatim(job, "linux")
    return any(options.get(hook) for hook in _HOOKS)


def container_config(job: Job, plan: ContainerPlan) -> str:
    """Return the configuration for a build in a container."""
    environment = {**_EVERYWHERE, **_OFFLINE, "SOURCE_DATE_EPOCH": str(plan.epoch)}
    options = _verbatim(job, "linux")
    options |= _common(job, options, environment)
    found = _FOUND if plan.installed else ()
    options["environment"] = _joined(str(options["environment"]), _NO_BUILD_ID, *found)
    options["build-frontend"] = _front_end(plan.front_end)
    options["container-engine"] = {
        "name": plan.engine,
        "create-args": list(plan.create_args),
        "disable-host-mount": True,
    }
    options["repair-wheel-command"] = repair_command(job)
    options[plan.image_option] = plan.image
    return to_toml(options)


def native_config(job: Job, *, platform: Literal["macos", "windows"], epoch: int, folder: str) -> str:
    """Return the configuration for a build by cibuildwheel's own means on macOS and Windows.

    cibuildwheel fetches its own tools for these, so the index stays within reach; the resolved wheels are offered too.
    """
    links = {"PIP_FIND_LINKS": folder, "UV_FIND_LINKS": folder}
    environment = {**_EVERYWHERE, **links, "SOURCE_DATE_EPOCH": str(epoch)}
    options = _verbatim(job, platform)
    options |= _common(job, options, environment)
    options["build-frontend"] = "build[uv]"
    return to_toml(options)


def _common(job: Job, verbatim: Mapping[str, Any], environment: Mapping[str, str]) -> dict[str, object]:
    """Return what is ours on every platform. The recipe's environment wins over our defaults."""
    ours = {**environment, **compiler_flags(job.environment)}
    return {
        "environment": _joined(_shell_table(verbatim.get("environment"), '{}="{}"'), _variables(ours)),
        "config-settings": _joined(
            _shell_table(verbatim.get("config-settings"), "{}={}"), _assignments(job.config_settings)
        ),
        # What wheelhouse does itself, later and for both builders.
        "test-command": "",
        "audit-command": "",
        # cibuildwheel's constraints are for tools that it would install: here, everything is installed by us.
        "dependency-versions": "latest",
    }


def _verbatim(job: Job, platform: str) -> dict[str, Any]:
    """Return the recipe's own options, those for the platform over the general ones."""
    general = {key: value for key, value in job.cibuildwheel.items() if key not in _PLATFORMS}
    return general | dict(job.cibuildwheel.get(platform, {}))


def _front_end(name: FrontEnd) -> dict[str, object]:
    # No isolation: the container is the isolation, and the lock comes before all that the image's Python holds.
    args = {"uv": ["--no-build-isolation"], "build": ["--no-isolation"]}
    return {"name": name, "args": args[name]}


def repair_command(job: Job) -> str:
    """Return how auditwheel is called in the container: the tag is what it proves, not the image's name."""
    # Without the build's requirements: auditwheel has a Python and libraries of its own. Bytecode of them, where the
    # image has none, would be written for nobody.
    words = ["env", "-u", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE=1", "auditwheel", "repair", "--plat", "auto"]
    words += ["--strip"] if job.repair.strip else []
    for library in job.repair.exclude:
        words += ["--exclude", shlex.quote(library)]
    return " ".join([*words, "-w", "{dest_dir}", "{wheel}"])


def _shell_table(option: object, form: str) -> str:
    """Return a verbatim option that is a table or a text as a text."""
    if isinstance(option, dict):
        return " ".join(form.format(key, value) for key, value in _pairs(option))
    return str(option or "")


def _variables(values: Mapping[str, str]) -> str:
    """Return variables as bash assignments without any expansion.

    In double quotes: bashlex, which reads them for cibuildwheel, keeps the marks of a single quote inside single ones.
    """
    return " ".join(f'{key}="{_SPECIAL.sub(_ESCAPED, value)}"' for key, value in values.items())


def _assignments(values: Mapping[str, str | tuple[str, ...]]) -> str:
    """Return settings as words that `shlex.split` takes apart again."""
    return " ".join(f"{key}={shlex.quote(value)}" for key, value in _pairs(values))


def _pairs(values: Mapping[str, str | Sequence[str]]) -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        for one in [value] if isinstance(value, str) else value:
            yield key, str(one)


def _joined(*parts: str) -> str:
    return " ".join(part for part in parts if part)


def to_toml(options: Mapping[str, object]) -> str:
    """Return a `pyproject.toml` with these options in `[tool.cibuildwheel]`."""
    lines = [f"{_toml(key)} = {_toml(value)}" for key, value in sorted(options.items())]
    return "\n".join(["[tool.cibuildwheel]", *lines, ""])


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_toml(key)} = {_toml(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_toml(inner) for inner in value) + "]"
    # JSON's texts, numbers and booleans are TOML's, but for one character that TOML wants escaped.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
