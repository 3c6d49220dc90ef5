"""A session of requests in; the same as uploads want it out: logged in, patient for so long, looking around once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from requests.adapters import HTTPAdapter
from requests.auth import AuthBase, HTTPBasicAuth
from requests.utils import get_netrc_auth

if TYPE_CHECKING:
    import requests

    from wheelhouse.publish.login import Login


def furnish(session: requests.Session, url: str, login: Login, *, timeout: float) -> None:
    """Prepare a session for uploads to one address. `timeout`: seconds of silence after which the index is down.

    What it needs of the environment (proxies, certificates, .netrc) is taken from there once, not at each request.
    """
    for scheme in ("http://", "https://"):
        session.mount(scheme, _Patience(timeout))
    if login.renewed is not None:
        session.auth = _Fresh(login)
    else:
        session.auth = login.now()
    found = session.merge_environment_settings(url, {}, None, None, None)
    session.proxies, session.verify, session.cert = found["proxies"], found["verify"], found["cert"]
    session.auth = session.auth or get_netrc_auth(url)
    session.trust_env = False


class _Patience(HTTPAdapter):
    """A connection that does not wait for ever, as twine's own does, and leaves retrying to us."""

    def __init__(self, seconds: float) -> None:
        super().__init__(max_retries=0)
        self._seconds = seconds

    def send(self, request: requests.PreparedRequest, *arguments: Any, **options: Any) -> requests.Response:
        options["timeout"] = (self._seconds, self._seconds)
        return super().send(request, *arguments, **options)


class _Fresh(AuthBase):
    """Credentials that are looked up for each request."""

    def __init__(self, login: Login) -> None:
        self._login = login

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        HTTPBasicAuth(*(self._login.now() or ("", "")))(request)
        return request
