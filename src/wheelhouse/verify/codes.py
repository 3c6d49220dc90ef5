"""Every code that `verify` can give beside those of `check`; a test holds docs/reference/findings.md against it."""

from __future__ import annotations

import enum

from wheelhouse.finding import Finding, Severity

_ERROR, _WARNING, _NOTE = Severity.ERROR, Severity.WARNING, Severity.NOTE


@enum.unique
class Code(enum.Enum):
    """One kind of finding: code, severity, title."""

    NOT_ON_INDEX = "WH601", _ERROR, "the index does not have the file"
    OTHER_ON_INDEX = "WH602", _ERROR, "the index has other bytes under this name"
    SAME_ON_INDEX = "WH603", _NOTE, "the index has the same bytes"

    NO_PROVENANCE = "WH611", _WARNING, "nothing tells where the wheel comes from"
    PROVENANCE_INVALID = "WH612", _ERROR, "the provenance cannot be read, or is of another file"
    PROVENANCE_CONTRADICTS = "WH613", _ERROR, "the provenance contradicts the wheel, or itself"
    PROVENANCE = "WH614", _NOTE, "what the provenance says"

    NO_SBOM = "WH621", _WARNING, "no bill of materials"
    SBOM_CONTRADICTS = "WH622", _ERROR, "the bill of materials is not of this wheel"
    SBOM = "WH623", _NOTE, "what the bill of materials lists"

    NOT_SIGNED = "WH631", _NOTE, "nobody signed for the wheel"
    SIGNATURE = "WH632", _ERROR, "a signature is not good"
    SIGNER = "WH633", _ERROR, "it is not signed by whom it should be"
    SIGNED = "WH634", _NOTE, "who signed for the wheel"

    OTHER_BYTES = "WH641", _ERROR, "a rebuild gave other bytes"
    NOT_REBUILT = "WH642", _ERROR, "the wheel could not be built again"
    SAME_BYTES = "WH643", _NOTE, "a rebuild gave the same bytes"

    def __init__(self, code: str, severity: Severity, title: str) -> None:
        self.code = code
        self.severity = severity
        self.title = title

    def finding(self, message: str, *, where: str | None = None, hint: str | None = None) -> Finding:
        """Return a finding of this kind."""
        return Finding(code=self.code, severity=self.severity, message=message, where=where, hint=hint)
