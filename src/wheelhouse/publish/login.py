"""The environment, twine's files and the keyring in; as whom an index is spoken to out.

`TWINE_USERNAME` and `TWINE_PASSWORD` (a token needs no user name), `.pypirc`, a keyring; where there are none, the
identity of the CI job, if the index trusts it; else nobody: the upload is anonymous.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from wheelhouse.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from twine.settings import Settings

    from wheelhouse.publish.destination import Destination

TOKEN_USER = "__token__"  # noqa: S105 - a user name
"""The user name to which a token is the password."""
#: How tokens begin: ours (`wheelhouse token`), ours of a CI job (trusted publishing), PyPI's.
_TOKEN_BEGINNINGS = ("wh_", "whm_", "pypi-")


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """Credentials; both empty: none."""

    user: str = ""
    password: str = ""
    renewed: Callable[[], str | None] | None = None
    """A password that was got, not given: to be asked for again before each upload, since it ends."""

    def now(self) -> tuple[str, str] | None:
        """Return user and password as they are to be sent now; None: nobody's."""
        if self.renewed is not None:
            return TOKEN_USER, self.renewed() or ""
        return (self.user, self.password) if self.user else None

    def __post_init__(self) -> None:
        """Raise UsageError for what HTTP's basic authentication cannot carry, as its clients do it."""
        try:
            f"{self.user}:{self.password}".encode("latin-1")
        except UnicodeEncodeError:
            raise UsageError(
                "the credentials for the index have characters in them that are not in Latin-1",
                hint="a token has none: `wheelhouse token create`",
            ) from None


def find_login(
    destination: Destination,
    environment: Mapping[str, str],
    token: Callable[[], str | None] = lambda: None,
    *,
    token_first: bool = False,
) -> Login:
    """Find the credentials for an index. `token` is asked where there are none, or before all else.

    Raises UsageError where they are incomplete or cannot be read, and what `token` raises.
    """
    if token_first:
        return _by_token(token)
    # A secret that is not set comes as an empty text from CI services.
    user, password = environment.get("TWINE_USERNAME") or None, environment.get("TWINE_PASSWORD") or None
    if user is None and password is not None and password.startswith(_TOKEN_BEGINNINGS):
        user = TOKEN_USER
    if user is not None and password is not None:
        return Login(user=user, password=password)
    found = _twines(destination, user, password)
    if found is not None:
        return found
    return _by_token(token)


def _by_token(token: Callable[[], str | None]) -> Login:
    got = token()
    return Login() if got is None else Login(user=TOKEN_USER, password=got, renewed=token)


def _twines(destination: Destination, user: str | None, password: str | None) -> Login | None:
    """Return what twine finds in its files and in the keyring; None: nothing at all."""
    from twine.exceptions import TwineException  # noqa: PLC0415 - start-up time
    from twine.settings import Settings  # noqa: PLC0415 - likewise

    try:
        settings = Settings(**where(destination), username=user, password=password)
        name = _known(settings, "username")
        secret = _known(settings, "password") if name is not None else None
    except TwineException as error:
        raise UsageError(str(error).splitlines()[0], hint="see twine's documentation of .pypirc") from error
    if name is not None and secret is not None:
        return Login(user=name, password=secret)
    if user or password or name:
        raise UsageError(
            "the credentials for the index are incomplete",
            hint="set TWINE_USERNAME and TWINE_PASSWORD (a token's user name is `__token__`), or use .pypirc",
        )
    return None


def where(destination: Destination) -> dict[str, Any]:
    """Return how twine is told of an index, and that nobody is there to be asked."""
    return {
        "repository_name": destination.repository,
        "repository_url": None if destination.repository else destination.url,
        "non_interactive": True,
        "disable_progress_bar": True,
    }


def _known(settings: Settings, what: Literal["username", "password"]) -> str | None:
    """Return a part of the credentials, if twine finds it somewhere."""
    from twine.exceptions import NonInteractive  # noqa: PLC0415 - start-up time

    try:
        found: str | None = getattr(settings, what)
    except NonInteractive:
        return None
    return found
