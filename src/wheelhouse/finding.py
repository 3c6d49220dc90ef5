"""What a check has to say of a wheel."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

import pydantic

if TYPE_CHECKING:
    from collections.abc import Iterable


class Severity(enum.StrEnum):
    """How bad: an error keeps the wheel from being published."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class Finding(pydantic.BaseModel):
    """One thing a check has to say."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", defer_build=True)

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


def errors(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return the findings that keep a wheel from being published."""
    return tuple(finding for finding in findings if finding.severity is Severity.ERROR)
