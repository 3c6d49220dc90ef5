"""What a check has to say of a wheel."""

from __future__ import annotations

import enum
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterable


class Severity(enum.StrEnum):
    """How bad: an error keeps the wheel from being published."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing a check has to say. Records have some in them, which is where pydantic reads and writes them."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    code: str
    """Stable and documented, e.g. `WH203`; never used for something else later."""
    severity: Severity
    message: str
    """What is wrong, in one sentence without a full stop."""
    where: str | None = None
    """File inside the wheel."""
    hint: str | None = None
    """What to do about it."""

    def __str__(self) -> str:
        """Return one line: code, severity, place, message."""
        place = f"{self.where}: " if self.where else ""
        return f"{self.code} {self.severity}: {place}{self.message}"

    def to_json(self) -> dict[str, Any]:
        """Return what `--json` prints of it."""
        return asdict(self)


def errors(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return the findings that keep a wheel from being published."""
    return tuple(finding for finding in findings if finding.severity is Severity.ERROR)
