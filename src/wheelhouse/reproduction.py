"""A wheel that a build has to give again in; silence out where it did, else an error that says in what it differs."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wheelhouse.buildkey import changes
from wheelhouse.difference import differences
from wheelhouse.errors import NotReproducibleError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from wheelhouse.joblog import JobLog
    from wheelhouse.record import Record
    from wheelhouse.requirements import Lock
    from wheelhouse.wheel import SealedWheel

#: Inputs that differ, named in a message.
_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A wheel that a build has to give again, and what is known of how it was built."""

    wheel: Path
    sha256: str
    record: Record | None = None
    """None: the wheel comes from elsewhere."""
    key: str | None = None
    inputs: Mapping[str, str] | None = None
    lock: Lock | None = None

    def expect_key(self, key: str, inputs: Mapping[str, str], *, log: JobLog) -> None:
        """Refuse to build what cannot be the same: the key is in the wheel. Raises NotReproducibleError."""
        if self.key in {None, key}:
            return
        differing = list(changes(self.inputs, inputs)) if self.inputs is not None else []
        for line in differing:
            log.line(f"another input: {line}")
        told = "; ".join(differing[:_SHOWN]) or "its provenance would tell in what"
        more = f" and {len(differing) - _SHOWN} more" if len(differing) > _SHOWN else ""
        raise NotReproducibleError(
            f"it would be built otherwise here: {told}{more}",
            hint="build with the same image, tools and recipe as it was",
        )

    def expect_bytes(self, sealed: SealedWheel, *, keep_in: Path, log: JobLog) -> None:
        """Hold a new wheel against this one; one that differs is kept in a folder. Raises NotReproducibleError."""
        if sealed.sha256 == self.sha256:
            return
        found = differences(self.wheel, sealed.path)
        for difference in found:
            log.line(str(difference))
        kept = keep_in / sealed.path.name
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(sealed.path, kept)
        first = f": {found[0]}" if found else ""
        raise NotReproducibleError(
            f"the same key gave other bytes{first}", hint=f"compare with {kept}; the log lists every difference"
        )
