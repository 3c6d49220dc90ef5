from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from wheelhouse.index.serving.proxies import NO_PROXIES, Proxies

if TYPE_CHECKING:
    from wheelhouse.index.serving.answers import Scope

KNOWN = Proxies.of(("10.0.0.0/8", "::1/128"))


@pytest.mark.parametrize(
    ("client", "forwarded", "asker"),
    [
        ("10.1.1.1", ["198.51.100.7"], "198.51.100.7"),
        ("10.1.1.1", ["203.0.113.9, 198.51.100.7"], "198.51.100.7"),
        ("10.1.1.1", ["203.0.113.9, 198.51.100.7, 10.2.2.2"], "198.51.100.7"),
        ("10.1.1.1", ["203.0.113.9", "198.51.100.7"], "198.51.100.7"),
        ("10.1.1.1", ["10.2.2.2"], "10.2.2.2"),
        ("::1", ["2001:db8::7"], "2001:db8::7"),
        ("10.1.1.1", ["203.0.113.9, nonsense"], "10.1.1.1"),
        ("10.1.1.1", [""], "10.1.1.1"),
        ("10.1.1.1", [], "10.1.1.1"),
        ("192.0.2.1", ["198.51.100.7"], "192.0.2.1"),
        ("unix", ["198.51.100.7"], "unix"),
    ],
)
def test_unveil__what_a_known_proxy_says__counts(client: str, forwarded: list[str], asker: str) -> None:
    headers = [(b"x-forwarded-for", value.encode()) for value in forwarded]
    scope = {"client": (client, 1), "headers": [(b"host", b"wheels.example"), *headers]}
    assert KNOWN.unveil(scope)["client"][0] == asker
    assert NO_PROXIES.unveil(scope)["client"][0] == client


def test_unveil__no_client__is_left_as_it_is() -> None:
    scope: Scope = {"client": None, "headers": []}
    assert KNOWN.unveil(scope) == scope
