"""Every code that `check` can give, with its severity and meaning; a test holds docs/reference/findings.md against it.

100s: the archive. 200s: names, metadata, RECORD. 300s: binaries and tags. 400s: the trial's own. 500s: what is inside.
"""

from __future__ import annotations

import enum
from dataclasses import replace

from wheelhouse.finding import Finding, Severity

_ERROR, _WARNING, _NOTE = Severity.ERROR, Severity.WARNING, Severity.NOTE


@enum.unique
class Code(enum.Enum):
    """One kind of finding: code, severity, title, and the severity in a wheel of which no recipe is known."""

    UNSAFE_NAME = "WH101", _ERROR, "a member's name leads out of the wheel or is not portable"
    DUPLICATE = "WH102", _ERROR, "a member stands in the archive twice"
    SPECIAL_FILE = "WH103", _ERROR, "a member is a symbolic link or a special file"
    BOMB = "WH104", _ERROR, "the archive unpacks to far more than it holds"
    STRAY_BYTES = "WH105", _ERROR, "bytes before the archive or after its end"
    ENCRYPTED = "WH106", _ERROR, "a member is encrypted"
    NAME_ENCODING = "WH107", _ERROR, "a member's name is not UTF-8"
    CASE_COLLISION = "WH108", _WARNING, "names that differ only by case"
    UNREADABLE = "WH109", _ERROR, "a member cannot be read"
    COMPRESSION = "WH110", _ERROR, "a compression that installers do not read"
    FILE_MODE = "WH111", _NOTE, "file modes that make trouble where installers keep them"

    DIST_INFO = "WH201", _ERROR, "no .dist-info folder, several, or one of another name"
    METADATA = "WH202", _ERROR, "METADATA is missing or not valid"
    METADATA_FIELD = "WH203", _NOTE, "METADATA uses a field newer than its version"
    NAME_OR_VERSION = "WH204", _ERROR, "METADATA has another name or version than the filename"
    WHEEL_FILE = "WH205", _ERROR, "WHEEL is missing or not valid"
    TAGS = "WH206", _ERROR, "WHEEL has other tags than the filename"
    BUILD_TAG = "WH207", _ERROR, "WHEEL has another build tag than the filename"
    PURELIB = "WH208", _ERROR, "Root-Is-Purelib is wrong"
    FILENAME_FORM = "WH209", _WARNING, "the filename is not normalised"
    RECORD = "WH210", _ERROR, "RECORD is missing or not valid"
    NOT_RECORDED = "WH211", _ERROR, "a file is not in RECORD"
    HASH = "WH212", _ERROR, "a file does not match its hash or size in RECORD"
    RECORDED_MISSING = "WH213", _ERROR, "RECORD lists a file that is not there"
    WEAK_HASH = "WH214", _ERROR, "RECORD has no hash for a file, or a weak one"
    UNEXPECTED = "WH215", _ERROR, "the wheel is not the one that the job should give"
    DESCRIPTION = "WH220", _ERROR, "the long description cannot be rendered"
    NO_DESCRIPTION = "WH221", _NOTE, "no long description"
    LICENCE_MISSING = "WH222", _ERROR, "METADATA names a licence file that is not there"
    NO_LICENCE = "WH223", _WARNING, "no licence file"

    ARCHITECTURE = "WH301", _ERROR, "a binary is for another architecture than the platform tag"
    PLATFORM_TAG = "WH302", _ERROR, "the platform tag promises more than the binaries keep"
    LINUX_TAG = "WH303", _ERROR, "a linux_* tag, which no index takes", _WARNING
    BINARY_IN_ANY = "WH304", _ERROR, "a binary in a wheel for any platform"
    NO_EXTENSION = "WH305", _ERROR, "no extension module or executable, though the recipe expects one"
    SUFFIX = "WH306", _ERROR, "an extension module that the wheel's Python will not find"
    ABI3_EXPECTED = "WH307", _ERROR, "the recipe expects an abi3 wheel"
    ABI3_VIOLATION = "WH308", _ERROR, "an abi3 wheel uses what the stable ABI does not have"
    RPATH = "WH309", _ERROR, "an RPATH that leads out of the wheel", _WARNING
    EXECUTABLE_STACK = "WH310", _ERROR, "a binary asks for an executable stack"
    TEXT_RELOCATIONS = "WH311", _WARNING, "a binary has text relocations"
    BUILD_PATH = "WH312", _WARNING, "a path of the build machine", _NOTE
    DEBUG_SECTIONS = "WH313", _NOTE, "debug sections"
    HARDENING = "WH314", _NOTE, "a binary without RELRO"
    MALFORMED_BINARY = "WH315", _ERROR, "a binary is damaged"
    UNKNOWN_BINARY = "WH316", _NOTE, "binaries for a platform that is not looked into"

    NOT_ALLOWED = "WH501", _ERROR, "a grafted library that the recipe does not allow"
    GRAFTED = "WH502", _NOTE, "what was grafted"
    UNUSED_ALLOWANCE = "WH503", _NOTE, "an allowance that nothing needs"
    BYTECODE = "WH511", _NOTE, "compiled Python files"
    LEFTOVERS = "WH512", _NOTE, "leftovers of the build"
    TOP_LEVEL = "WH513", _NOTE, "a top-level folder with a name that others use too"

    def __init__(self, code: str, severity: Severity, title: str, foreign: Severity | None = None) -> None:
        self.code = code
        self.severity = severity
        self.title = title
        self.foreign = foreign or severity

    def finding(self, message: str, *, where: str | None = None, hint: str | None = None) -> Finding:
        """Return a finding of this kind, at its full severity."""
        return Finding(code=self.code, severity=self.severity, message=message, where=where, hint=hint)


_BY_CODE = {kind.code: kind for kind in Code}


def relaxed(finding: Finding) -> Finding:
    """Return the finding as it counts in somebody else's wheel, of which no recipe is known."""
    kind = _BY_CODE[finding.code]
    return finding if kind.foreign is kind.severity else replace(finding, severity=kind.foreign)
