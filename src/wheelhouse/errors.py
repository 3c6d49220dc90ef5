"""Every error that a user can meet, each with its exit code.

The core raises, `cli` catches once and prints `error: …`, `hint: …`. Exit codes are stable and documented in
docs/reference/exit-codes.md; a test holds that page against this file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

#: Where in a file: `("version", 0, "sha256")`.
Location: TypeAlias = tuple[int | str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong in a file."""

    file: Path
    key: str = ""
    """Key path, as `version[0].sha256`; empty: the file as a whole."""
    message: str

    def __str__(self) -> str:
        """Return `file: key.path: message`."""
        return f"{self.file}: {self.key}: {self.message}" if self.key else f"{self.file}: {self.message}"


class WheelhouseError(Exception):
    """Base of all errors: what is wrong, where, and what to do about it."""

    exit_code: ClassVar[int] = 1
    summary: ClassVar[str] = "an error with no exit code of its own"

    def __init__(self, message: str, *, where: str | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        """Return `where: message`, as compilers do."""
        return f"{self.where}: {self.message}" if self.where else self.message

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle by state: the constructor has keyword arguments that `args` does not hold."""
        return (_rebuild, (type(self), self.__dict__.copy(), self.args))


def _rebuild(kind: type[WheelhouseError], state: dict[str, object], args: tuple[object, ...]) -> WheelhouseError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class UsageError(WheelhouseError):
    """The command line asks for something that does not exist or does not go together."""

    exit_code = 2
    summary = "the command line cannot be carried out as written"


class JobsFailedError(WheelhouseError):
    """Some jobs failed; the others were finished."""

    exit_code = 3
    summary = "one or more jobs failed; all others were finished"


class InvalidFileError(WheelhouseError):
    """A recipe or `wheelhouse.toml` is not valid. Carries every problem found, not the first."""

    exit_code = 4
    summary = "a recipe or wheelhouse.toml is not valid"

    def __init__(self, message: str, *, problems: Sequence[Problem] = (), hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.problems = tuple(problems)

    def __str__(self) -> str:
        """Return the message and one line a problem."""
        return "\n".join([self.message, *(f"  {problem}" for problem in self.problems)])


class SourceError(WheelhouseError):
    """A source cannot be fetched, does not match its hash, or cannot be unpacked or patched safely."""

    exit_code = 5
    summary = "a source could not be fetched, verified, unpacked or patched"


class RequirementsError(WheelhouseError):
    """The build requirements have no solution in wheels for the target."""

    exit_code = 6
    summary = "build requirements could not be resolved to wheels"


class BuildError(WheelhouseError):
    """The build of a job failed; its log says why."""

    exit_code = 7
    summary = "a build failed"


class BuildTimeoutError(BuildError):
    """The build ran longer than `resources.timeout`."""

    exit_code = 8
    summary = "a build ran into its timeout"


class CheckError(WheelhouseError):
    """A wheel has findings of severity error."""

    exit_code = 9
    summary = "a wheel did not pass its checks"


class InvalidWheelError(WheelhouseError):
    """A file given as a wheel (or an egg) is not one."""

    exit_code = 10
    summary = "a file is not the wheel or egg that it should be"


class MachineError(WheelhouseError):
    """This machine lacks something: an engine, an image, a compiler, a Python, room on the disk."""

    exit_code = 11
    summary = "this machine lacks what the command needs (engine, image, compiler, Python, disk)"


class NotReproducibleError(WheelhouseError):
    """Two builds of one key differ."""

    exit_code = 12
    summary = "a rebuild with the same key gave different bytes"


class StoreUnavailableError(WheelhouseError):
    """The store of the index cannot be reached, or does not do what it was asked; trying again may help."""

    exit_code = 13
    summary = "the store of the index is unavailable"


class IndexRefusesError(WheelhouseError):
    """What the index was asked to take or to do breaks one of its rules; trying again will not help."""

    exit_code = 14
    summary = "the index refuses: a rule of the index stands against it"


class FileExistsDifferentError(IndexRefusesError):
    """A file of this name is published, with other bytes."""

    exit_code = 15
    summary = "a file of that name is published with other bytes"


class NotOnIndexError(WheelhouseError):
    """The index has no such project, or the project no such file."""

    exit_code = 16
    summary = "the index has no such project or file"


class StoreDamagedError(WheelhouseError):
    """The bytes in the store are not those that the manifests promise."""

    exit_code = 17
    summary = "the store of the index is damaged"


class PublishError(WheelhouseError):
    """The index refused a file: for what it is, or for who sends it."""

    exit_code = 20
    summary = "the index refused a file"


class IndexUnavailableError(WheelhouseError):
    """The index could not be reached, or said that it cannot serve now; and nothing was to be spooled."""

    exit_code = 21
    summary = "the index could not be reached, and the files were not spooled"


class SpoolError(WheelhouseError):
    """The spool cannot be used, or does not hold what it should."""

    exit_code = 22
    summary = "the spool cannot be used, or holds items that need a look"


class SpoolFullError(SpoolError):
    """The spool may take no more bytes."""

    exit_code = 23
    summary = "the spool is full; what it did not take was not accepted"


class TrustedPublishingError(WheelhouseError):
    """A CI job has no identity, or the index does not trust the one it has."""

    exit_code = 28
    summary = "trusted publishing: no identity from the CI service, or none that the index trusts"


class NotAllowedError(WheelhouseError):
    """The index does not let us do this: it does not know who asks, or they may not."""

    exit_code = 29
    summary = "the index does not allow it: no token, or one without the scope"


class CertificateError(WheelhouseError):
    """The index cannot speak TLS with the certificate and the key that it was given."""

    exit_code = 30
    summary = "the TLS certificate or key of the index cannot be used"


class UpstreamUnavailableError(WheelhouseError):
    """An index that is mirrored cannot be asked, or answers with what cannot be used; trying again may help."""

    exit_code = 26
    summary = "an index that is mirrored did not answer, or not with what it should"


class PrefetchError(WheelhouseError):
    """Not everything that a fleet needs could be fetched ahead; what could, is there."""

    exit_code = 18
    summary = "not all that the mirror was to fetch ahead could be had; the rest is there"


class ShelfFullError(WheelhouseError):
    """The mirror's budget has no room for a file, even with everything evicted that may be."""

    exit_code = 27
    summary = "the mirror's disk budget is taken by what is kept on purpose"


class VerifyError(WheelhouseError):
    """A wheel is not what it is said to be, or nobody says what it should be."""

    exit_code = 31
    summary = "a wheel could not be verified"


class AttestationError(WheelhouseError):
    """Wheels were to be signed, and cannot be: no identity, or no answer from Sigstore."""

    exit_code = 32
    summary = "wheels could not be signed: no identity that Sigstore knows, or no answer from it"


class CanceledError(WheelhouseError):
    """The run was stopped by Ctrl-C or SIGTERM."""

    exit_code = 130
    summary = "stopped by Ctrl-C or SIGTERM; nothing is left half-written"
