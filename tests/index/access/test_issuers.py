from __future__ import annotations

import asyncio

import pytest

from identities import DISCOVERY, KEYS, local_issuer
from servers import Answer
from wheelhouse.index.access.issuers import Issuer, IssuerUnavailableError, is_trustworthy


@pytest.mark.parametrize(
    ("address", "loopback", "trusted"),
    [
        ("https://ci.example/keys", False, True),
        ("http://ci.example/keys", True, False),
        ("http://127.0.0.1:8000/keys", True, True),
        ("http://127.0.0.1:8000/keys", False, False),
        ("https://user@ci.example/keys", False, False),
        ("https:///keys", False, False),
        ("https://[::1/keys", False, False),
        ("file:///etc/passwd", True, False),
    ],
)
def test_address__https_or_our_own(address: str, loopback: bool, trusted: bool) -> None:  # noqa: FBT001 - of the table
    assert is_trustworthy(address, loopback=loopback) is trusted


def test_key__a_hundred_askers__are_one_question() -> None:
    async def ask(issuer: Issuer) -> list[bool]:
        found = await asyncio.gather(*(issuer.key("one" if number % 2 else "other") for number in range(100)))
        return [key is not None for key in found]

    with local_issuer() as issuer:
        assert asyncio.run(ask(Issuer(address=issuer.url))) == [False, True] * 50
        assert issuer.server.asked == [DISCOVERY, KEYS]


def test_key__issuer_that_is_down__is_not_asked_by_everybody() -> None:
    async def ask(issuer: Issuer) -> list[BaseException | object]:
        return await asyncio.gather(*(issuer.key("one") for _ in range(20)), return_exceptions=True)

    with local_issuer() as issuer:
        issuer.answers[DISCOVERY] = [Answer(status=500)]
        found = asyncio.run(ask(Issuer(address=issuer.url)))
        assert {type(one) for one in found} == {IssuerUnavailableError}
        assert issuer.server.asked == [DISCOVERY]
