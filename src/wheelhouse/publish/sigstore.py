"""The identity of a CI job in, a signer by Sigstore out, or the reason why there is none.

A signature goes into a public log with the names of wheel and repository. So nothing is signed unasked but in jobs of
public repositories. The services are those whose identities PyPI takes for attestations.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from wheelhouse.errors import AttestationError, MachineError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from sigstore.models import Bundle
    from sigstore.sign import Signer

#: For whom the identity is: Fulcio takes no other.
_AUDIENCE = "sigstore"
#: What says that a service can give its jobs such an identity, and has been told to.
_SERVICES = ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "SIGSTORE_ID_TOKEN")
#: Claims that say who may see a repository: GitHub's and GitLab's.
_VISIBILITY = ("repository_visibility", "project_visibility")
_LONGEST = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsigned:
    """Why nothing is signed."""

    reason: str
    hint: str | None = None


def find_identity(environment: Mapping[str, str], *, asked: bool) -> str | Unsigned:
    """Return the identity of this job, or why there is none.

    `asked`: somebody wants signatures; else they have to be harmless and welcome. Raises AttestationError where the
    service refuses one, MachineError where the library for it is missing.
    """
    if not any(environment.get(name) for name in _SERVICES):
        return Unsigned(
            reason="this is no CI job with an identity that Sigstore knows",
            hint="GitHub: `permissions: id-token: write`; GitLab: `id_tokens: SIGSTORE_ID_TOKEN` for `sigstore`",
        )
    if not asked and environment.get("TWINE_PASSWORD"):
        return Unsigned(reason="indexes take attestations with trusted publishing, and there is a password")
    _require_library()
    token = _detect()
    if token is None:
        return Unsigned(reason="the CI service gives this job no identity")
    if not asked and not _is_public(token):
        return Unsigned(
            reason="the repository is not public, and signing would put its name and the wheels' into a public log",
            hint="--attestations signs nevertheless",
        )
    return token


def _detect() -> str | None:
    from id import AmbientCredentialError, detect_credential  # noqa: PLC0415 - start-up time

    try:
        return detect_credential(_AUDIENCE)
    except AmbientCredentialError as error:
        raise AttestationError(
            f"the CI service gives this job no identity: {str(error)[:_LONGEST]}",
            hint="GitHub: `permissions: id-token: write`; --no-attestations publishes without",
        ) from error


def _is_public(token: str) -> bool:
    """Say whether an identity is of a repository that everybody sees. Its issuer vouches for it, but not to us."""
    import jwt  # noqa: PLC0415 - comes with sigstore

    try:
        claims = jwt.decode(token, options={"verify_signature": False})
    except jwt.PyJWTError:
        return False
    return any(claims.get(name) == "public" for name in _VISIBILITY)


class SigstoreSigner:
    """Signs with certificates of Sigstore's for an identity, and gets another when that has run out: they live minutes.

    Used in a `with`; its keys live as long as the block.
    """

    def __init__(self, token: str) -> None:
        self._token = token
        self._open = ExitStack()
        self._signer: Signer | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def sign(self, statement: bytes) -> Mapping[str, Any]:
        """Return an attestation of an in-toto statement, as JSON has it. Raises AttestationError."""
        from pypi_attestations import Attestation, ConversionError  # noqa: PLC0415 - an extra
        from sigstore.errors import Error as SigstoreError  # noqa: PLC0415 - likewise

        try:
            attestation = Attestation.from_bundle(self._bundle(statement))
        except (SigstoreError, ConversionError, OSError) as error:
            raise _failed(error) from error
        table: dict[str, Any] = attestation.model_dump(mode="json")
        return table

    def _bundle(self, statement: bytes) -> Bundle:
        from sigstore.dsse import Statement  # noqa: PLC0415 - an extra, and a second to load
        from sigstore.oidc import ExpiredIdentity  # noqa: PLC0415 - likewise

        if self._signer is None:
            self._signer = self._with(self._token)
        try:
            return self._signer.sign_dsse(Statement(statement))
        except ExpiredIdentity as error:
            token = _detect()
            if token is None:
                raise _failed(error) from error
            self._signer = self._with(token)
            return self._signer.sign_dsse(Statement(statement))

    def _with(self, token: str) -> Signer:
        from sigstore.errors import TUFError  # noqa: PLC0415 - an extra, and a second to load
        from sigstore.models import ClientTrustConfig  # noqa: PLC0415 - likewise
        from sigstore.oidc import IdentityToken  # noqa: PLC0415 - likewise
        from sigstore.sign import SigningContext  # noqa: PLC0415 - likewise

        try:
            trust = ClientTrustConfig.production()
        except TUFError:  # no news of its servers and keys to be had: those of the last time, or of the library, do
            trust = ClientTrustConfig.production(offline=True)
        context = SigningContext.from_trust_config(trust)
        return self._open.enter_context(context.signer(IdentityToken(token)))


def _failed(error: Exception) -> AttestationError:
    said = "".join(letter if letter.isprintable() else " " for letter in str(error) or type(error).__name__)
    return AttestationError(
        f"Sigstore did not sign: {said[:_LONGEST]}",
        hint="try again later; --no-attestations publishes without",
    )


def _require_library() -> None:
    try:
        import pypi_attestations  # noqa: F401, PLC0415 - an extra
    except ModuleNotFoundError as error:
        raise MachineError(
            f"to sign wheels needs {error.name}, which is not installed",
            hint="pip install 'wheelhouse[attestations]', or --no-attestations",
        ) from error
