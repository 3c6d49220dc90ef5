"""Calls of functions on minions in; what came back out. All that the farm knows of Salt is here and in `program`."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import orjson

from wheelhouse.errors import MachineError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from wheelhouse.process import Conversation, Processes
    from wheelhouse.salt_config import SaltSettings

_PROGRAM = Path(__file__).with_name("program.py")
#: Importing Salt takes seconds on a busy machine.
_START = 120.0
_ONEDIR = "/opt/saltstack/salt/bin/python3"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A function to be called on minions."""

    function: str
    arguments: Mapping[str, Any]
    to: str | Sequence[str]
    """Ids of minions; or an expression."""
    by: Literal["list", "compound"] = "list"
    """What `to` is, in Salt's words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """The master has published a call. A minion that is away does not get it later."""

    call: int
    minions: tuple[str, ...]
    """Those that the master expects an answer of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsent:
    """The master did not say that it published a call. It may have, all the same."""

    call: int
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Returned:
    """A minion has carried out a call."""

    call: int
    minion: str
    code: int
    """0: it went well. Salt's own commands do not tell: they exit with 0."""
    value: Any


Message = Sent | Unsent | Returned


class Bus(Protocol):
    """Carries calls to minions, and what they return. Neither is sure to arrive, and a return may come twice."""

    def send(self, call: Call) -> int:
        """Send a call, and return the number that messages about it carry."""
        ...

    def receive(self, timeout: float) -> Message | None:
        """Return the next message; None: there is none within `timeout` seconds."""
        ...


class SaltBus:
    """The bus of a Salt master on this machine."""

    def __init__(self, conversation: Conversation) -> None:
        self._conversation = conversation
        self._calls = 0

    def send(self, call: Call) -> int:
        """Send a call, and return the number that messages about it carry. Raises MachineError."""
        self._calls += 1
        request = {
            "call": self._calls,
            "to": call.to if isinstance(call.to, str) else list(call.to),
            "by": call.by,
            "function": call.function,
            "arguments": dict(call.arguments),
        }
        self._conversation.say(orjson.dumps(request))
        return self._calls

    def receive(self, timeout: float) -> Message | None:
        """Return the next message; None: there is none within `timeout` seconds. Raises MachineError."""
        line = self._conversation.hear(timeout)
        return None if line is None else _message(orjson.loads(line))


def _message(said: Mapping[str, Any]) -> Message | None:
    if "sent" in said:
        return Sent(call=said["sent"], minions=tuple(said["minions"]))
    if "unsent" in said:
        return Unsent(call=said["unsent"], why=said["why"])
    if "returned" in said:
        return Returned(call=said["returned"], minion=said["minion"], code=said["code"], value=said["value"])
    return None


@contextmanager
def salt_bus(settings: SaltSettings, *, processes: Processes, log: Path) -> Iterator[SaltBus]:
    """Start what speaks to Salt, and end it with the context.

    Raises MachineError where Salt is not on this machine or does not start; `log` then has the reason.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_bytes(b"")
    with processes.converse([_python(settings), "-I", _PROGRAM, settings.master_config], log=log) as conversation:
        try:
            line = conversation.hear(_START)
        except MachineError as error:
            said = log.read_text("utf-8", "replace").strip().splitlines()
            raise MachineError(
                f"Salt cannot be used: {said[-1] if said else error}",
                hint="`python` under [salt] in wheelhouse.toml names the Python that Salt is installed in",
            ) from error
        if line is None:
            raise MachineError(f"Salt did not start within {_START:.0f} s", hint=f"{log} may say why")
        yield SaltBus(conversation)


def _python(settings: SaltSettings) -> str:
    """Return the Python that has Salt. Raises MachineError."""
    if settings.python:
        return settings.python
    if (command := shutil.which("salt-run")) is not None:
        with Path(command).open("rb") as file:
            first = file.readline(200)
        if first.startswith(b"#!"):
            interpreter = first[2:].split()[0].decode()
            if "python" in Path(interpreter).name:
                return interpreter
    if Path(_ONEDIR).exists():
        return _ONEDIR
    raise MachineError(
        "no Salt was found on this machine: --farm salt is for a Salt master",
        hint="`python` under [salt] in wheelhouse.toml names the Python that Salt is installed in",
    )
