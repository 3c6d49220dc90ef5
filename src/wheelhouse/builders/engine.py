"""An environment in, the container engine that works here out (podman or docker), and how to speak to it."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from wheelhouse.builders import Unavailable
from wheelhouse.errors import BuildTimeoutError, MachineError
from wheelhouse.process import Processes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

EngineName = Literal["podman", "docker"]

#: Chooses the engine: `podman` or `docker`.
ENVIRONMENT_ENGINE = "WHEELHOUSE_ENGINE"
#: Containers that we start carry this label; its value is the process that has to remove them.
OWNER_LABEL = "wheelhouse.owner"

#: Architectures as cibuildwheel spells them, and as OCI does.
OCI_PLATFORMS = {
    "x86_64": "linux/amd64",
    "i686": "linux/386",
    "aarch64": "linux/arm64",
    "armv7l": "linux/arm/v7",
    "ppc64le": "linux/ppc64le",
    "s390x": "linux/s390x",
    "riscv64": "linux/riscv64",
}
_ARCHITECTURES = {platform.split("/")[1]: arch for arch, platform in OCI_PLATFORMS.items()}
#: What a processor runs besides its own, without emulation.
_ALSO_RUNS = {"x86_64": {"i686"}, "aarch64": {"armv7l"}}
#: ELF `e_machine` numbers (the generic ABI's registry), by which binfmt_misc tells executables apart.
_ELF_MACHINES = {"x86_64": 62, "i686": 3, "aarch64": 183, "armv7l": 40, "ppc64le": 21, "s390x": 22, "riscv64": 243}
_ELF_MACHINE_OFFSET = 18
_BINFMT = Path("/proc/sys/fs/binfmt_misc")

#: Asks each engine for its version, its machine's architecture and whether that machine is another one.
_QUESTIONS: Mapping[EngineName, tuple[str, ...]] = {
    # Not `podman info`, which looks at the whole storage: half a second, before anything is built.
    "podman": (
        "version",
        "--format",
        "{{.Client.Version}} {{with .Server}}{{.OsArch}} true{{else}}{{.Client.OsArch}} false{{end}}",
    ),
    "docker": ("version", "--format", "{{.Server.Version}} {{.Server.Arch}} false"),
}
_PATIENCE = 20.0

_PASSED = frozenset(
    {
        *(
            "PATH",
            "HOME",
            "USER",
            "LOGNAME",
            "LANG",
            "TMPDIR",
            "TEMP",
            "TMP",
            "SSH_AUTH_SOCK",
            "DBUS_SESSION_BUS_ADDRESS",
        ),
        *("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "ALL_PROXY", "NO_PROXY", "REGISTRY_AUTH_FILE"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
        # Windows and macOS, where cibuildwheel looks for compilers itself
        *("APPDATA", "COMSPEC", "LOCALAPPDATA", "PATHEXT", "PROCESSOR_ARCHITECTURE", "PROGRAMDATA", "PROGRAMFILES"),
        *("PROGRAMFILES(X86)", "PROGRAMW6432", "SYSTEMDRIVE", "SYSTEMROOT", "USERPROFILE", "WINDIR"),
        *("DEVELOPER_DIR", "SDKROOT"),
    }
)
_PASSED_PREFIXES = ("XDG_", "DOCKER_", "CONTAINER_", "CONTAINERS_", "PODMAN_", "STORAGE_")


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """A container engine that has answered."""

    name: EngineName
    version: str
    arch: str
    """Of the machine that runs the containers, as cibuildwheel spells it."""
    remote: bool
    """Whether that machine may be another one than this."""
    environment: Mapping[str, str]
    """What its commands are started with: an allow-list of the caller's variables."""

    def __str__(self) -> str:
        """Return name and version."""
        return f"{self.name} {self.version}"

    def run_command(
        self,
        image: str,
        command: Sequence[str],
        *,
        volumes: Mapping[Path, str] | None = None,
        network: bool = False,
        platform: str | None = None,
        env: Mapping[str, str] | None = None,
        name: str | None = None,
        keep: bool = False,
    ) -> list[str]:
        """Return the command line that runs `command` in a fresh container of a local image.

        `volumes` (folder here -> path in the container) are mounted read-only. Without `network` the container has no
        interface but its own loopback. `platform` is one of `OCI_PLATFORMS`' values. With `keep` the container stays
        when it has ended.
        """
        words = [self.name, "run", "--pull=never", f"--label={OWNER_LABEL}={owner()}"]
        words += [] if keep else ["--rm"]
        words += [] if network else self.no_network()
        words += [f"--name={name}"] if name else []
        words += [f"--platform={platform}"] if platform else []
        words += [self.volume(folder, path) for folder, path in (volumes or {}).items()]
        words += [f"--env={key}={value}" for key, value in (env or {}).items()]
        return [*words, image, *command]

    def no_network(self) -> list[str]:
        """Return the options that leave a container alone with itself."""
        # podman hands the caller's proxy variables to containers unless told not to; docker has no such option.
        return ["--network=none", "--http-proxy=false"] if self.name == "podman" else ["--network=none"]

    @staticmethod
    def volume(folder: Path, path: str) -> str:
        """Return the option that mounts a folder of ours read-only; `z` lets SELinux show it to containers."""
        return f"--volume={folder}:{path}:ro,z"

    def remove_containers(self, labels: Mapping[str, str]) -> int:
        """Remove the containers with these labels, running or not; return how many there were.

        Works after the run's own `Processes` was canceled: cleaning up is what is left to do then.
        """
        processes = Processes()
        filters = [f"--filter=label={key}={value}" for key, value in labels.items()]
        found = self._ask(processes, "ps", "--all", "--quiet", *filters).split()
        if found:
            self._ask(processes, "rm", "--force", "--volumes", *found)
        return len(found)

    def remove_named(self, name: str) -> None:
        """Remove the container of this name, if there is one; works after a cancellation too."""
        self._ask(Processes(), "rm", "--force", "--volumes", name)

    def remove_leftovers(self) -> int:
        """Remove the containers of runs that were killed: labelled by an owner that lives no more."""
        form = f'{{{{.ID}}}} {{{{.Label "{OWNER_LABEL}"}}}}'
        if self.name == "podman":
            form = f'{{{{.ID}}}} {{{{index .Labels "{OWNER_LABEL}"}}}}'
        processes = Processes()
        lines = self._ask(processes, "ps", "--all", f"--filter=label={OWNER_LABEL}", f"--format={form}").splitlines()
        dead = [words[0] for words in (line.split() for line in lines) if len(words) == 2 and not _lives(words[1])]  # noqa: PLR2004 - id and owner
        if dead:
            self._ask(processes, "rm", "--force", "--volumes", *dead)
        return len(dead)

    def _ask(self, processes: Processes, *words: str) -> str:
        """Return what the engine says; nothing where it fails, since nobody waits for the answer."""
        try:
            completed = processes.run([self.name, *words], env=self.environment, check=False, timeout=60.0)
        except (BuildTimeoutError, MachineError):
            return ""
        return completed.output if completed.returncode == 0 else ""

    def cannot_run(self, arch: str) -> Unavailable | None:
        """Say why containers of this architecture do not run here; None: they do."""
        if arch not in OCI_PLATFORMS:
            return Unavailable(reason=f"no container has the architecture {arch}")
        if arch == self.arch or arch in _ALSO_RUNS.get(self.arch, ()):
            return None
        if self.remote or sys.platform != "linux":
            return None  # that machine's emulation cannot be looked at from here
        return _emulation(arch)


def oci_platform(arch: str) -> str:
    """Return OCI's name of an architecture that cibuildwheel spells `arch`."""
    return OCI_PLATFORMS[arch]


def engine_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what an engine's client needs of the caller's environment, and nothing else: no tokens, no `CIBW_*`."""
    return {
        name: value
        for name, value in environment.items()
        if name.upper() in _PASSED or name.upper().startswith(_PASSED_PREFIXES)
    }


def find_engine(processes: Processes, environment: Mapping[str, str]) -> Engine | Unavailable:
    """Return the engine that `WHEELHOUSE_ENGINE` names, else the first of podman and docker that answers."""
    chosen = environment.get(ENVIRONMENT_ENGINE)
    if chosen and chosen not in _QUESTIONS:
        return Unavailable(
            reason=f"{ENVIRONMENT_ENGINE} is `{chosen}`", hint=f"set {ENVIRONMENT_ENGINE} to podman or docker"
        )
    names = [name for name in _QUESTIONS if chosen in {None, "", name}]
    passed = engine_environment(environment)
    refusals: list[Unavailable] = []
    for name in names:
        if shutil.which(name, path=environment.get("PATH")) is not None:
            answer = _question(name, processes, passed)
            if isinstance(answer, Engine):
                return answer
            refusals.append(answer)
    if refusals:
        return refusals[0]
    return Unavailable(
        reason=f"no container engine: {' or '.join(names)} is not on PATH",
        hint="install podman or docker, or build without containers: --builder host",
    )


def _question(name: EngineName, processes: Processes, environment: Mapping[str, str]) -> Engine | Unavailable:
    hint = {
        "podman": "`podman version` must work for this user",
        "docker": "start the docker daemon, and let this user reach its socket",
    }[name]
    try:
        completed = processes.run([name, *_QUESTIONS[name]], env=environment, check=False, timeout=_PATIENCE)
    except BuildTimeoutError:
        return Unavailable(reason=f"{name} did not answer within {_PATIENCE:.0f} s", hint=hint)
    except MachineError as error:
        return Unavailable(reason=error.message, hint=error.hint)
    words = completed.output.split()
    if completed.returncode != 0 or len(words) != 3:  # noqa: PLR2004 - version, architecture, remote
        said = next((line for line in reversed(completed.output.splitlines()) if line.strip()), "nothing")
        return Unavailable(reason=f"{name} does not work: it said `{said.strip()}`", hint=hint)
    version, platform, remote = words
    arch = platform.rpartition("/")[2]
    return Engine(
        name=name,
        version=version,
        arch=_ARCHITECTURES.get(arch, arch),
        remote=remote == "true" or any(key in environment for key in ("DOCKER_HOST", "CONTAINER_HOST")),
        environment=environment,
    )


def _emulation(arch: str, folder: Path = _BINFMT) -> Unavailable | None:
    hint = (
        f"register qemu for {arch}, with the F flag: install qemu-user-static and binfmt-support "
        "(or run the `tonistiigi/binfmt` image), and see that binfmt_misc is mounted"
    )
    wanted = _ELF_MACHINES[arch]
    for entry in sorted(folder.glob("*")) if folder.is_dir() else ():
        fields = _binfmt_fields(entry)
        magic = bytes.fromhex(fields.get("magic", ""))[_ELF_MACHINE_OFFSET:]
        order: Literal["little", "big"] = "big" if arch == "s390x" else "little"
        if "enabled" in fields and int.from_bytes(magic[:2], order) == wanted:
            if "F" in fields.get("flags:", ""):
                return None
            return Unavailable(
                reason=f"{entry.name} emulates {arch}, but not in containers: its F flag is missing", hint=hint
            )
    return Unavailable(reason=f"this machine cannot run {arch}: no emulator is registered", hint=hint)


def _binfmt_fields(entry: Path) -> dict[str, str]:
    if entry.name in {"register", "status"}:
        return {}
    try:
        lines = entry.read_text("ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        return {}
    return {name: value for name, _, value in (line.partition(" ") for line in lines)}


def owner() -> str:
    """Return what names this very process, even after its number has been given to another."""
    return f"{os.getpid()}-{_started(os.getpid())}"


def _lives(name: str) -> bool:
    number, _, started = name.partition("-")
    return number.isdigit() and str(_started(int(number))) == started


def _started(number: int) -> int | None:
    import psutil  # noqa: PLC0415 - start-up time

    try:
        return int(psutil.Process(number).create_time())
    except psutil.Error:
        return None
