"""An expression in; the minions that it picks and that answer, by what they say that they can build, out."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wheelhouse.builders import Unavailable
from wheelhouse.errors import MachineError
from wheelhouse.farm.salt.bus import Call, Returned, Sent, Unsent
from wheelhouse.farm.salt.minion import read_minion

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wheelhouse.farm.salt.bus import Bus
    from wheelhouse.farm.salt.minion import Minion

#: How long to wait for those that the master expects (seconds).
_PATIENCE = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Who answered."""

    minions: tuple[Minion, ...]
    refused: Mapping[str, str]
    """Why, of those that cannot be used."""


def discover(bus: Bus, expression: str, *, patience: float = _PATIENCE) -> Found:
    """Ask who can build. Raises MachineError where nobody can, or the master does not answer."""
    call = bus.send(Call(function="wheelhouse.capabilities", arguments={}, to=expression, by="compound"))
    end = time.monotonic() + patience
    expected: set[str] | None = None
    answers: dict[str, Minion | Unavailable] = {}
    while (expected is None or expected - answers.keys()) and (left := end - time.monotonic()) > 0:
        message = bus.receive(left)
        if message is None or message.call != call:
            continue
        if isinstance(message, Unsent):
            raise MachineError(f"the Salt master does not answer: {message.why}", hint="is salt-master running here?")
        if isinstance(message, Sent):
            expected = set(message.minions)
        elif isinstance(message, Returned):
            answers[message.minion] = read_minion(message.minion, message.value)
    silent = {
        id_: Unavailable(reason=f"no answer within {patience:.0f} s") for id_ in (expected or set()) - set(answers)
    }
    answers |= silent
    minions = tuple(one for one in answers.values() if not isinstance(one, Unavailable))
    refused = {id_: one.reason for id_, one in answers.items() if isinstance(one, Unavailable)}
    if not minions:
        told = "; ".join(f"{id_}: {reason}" for id_, reason in refused.items())
        raise MachineError(
            f"no minion can build: {told or f'none fits `{expression}`'}",
            hint="state.apply wheelhouse.builder makes a minion a builder; `minions` under [salt] says which are asked",
        )
    return Found(minions=tuple(sorted(minions, key=lambda minion: minion.id)), refused=refused)
