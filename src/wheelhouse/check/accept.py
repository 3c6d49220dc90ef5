"""A sealed wheel and all findings in; a `CheckedWheel` out, or an error: nothing else makes one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wheelhouse.errors import CheckError
from wheelhouse.finding import errors
from wheelhouse.wheel import CheckedWheel

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wheelhouse.check.examine import Examination
    from wheelhouse.finding import Finding
    from wheelhouse.wheel import SealedWheel


def accept(
    sealed: SealedWheel, examination: Examination, *, trial_findings: Iterable[Finding], executed: bool
) -> CheckedWheel:
    """Let a wheel pass that has no finding of severity error.

    Raises CheckError, which lists the errors.
    """
    findings = (*examination.findings, *trial_findings)
    if wrong := errors(findings):
        lines = "\n".join(f"  {finding}" for finding in wrong)
        hints = [finding.hint for finding in wrong if finding.hint]
        raise CheckError(f"{sealed.path.name} did not pass its checks:\n{lines}", hint=hints[0] if hints else None)
    return CheckedWheel(
        path=sealed.path,
        sha256=sealed.sha256,
        size=sealed.size,
        findings=findings,
        grafted=examination.grafted,
        executed=executed,
    )
