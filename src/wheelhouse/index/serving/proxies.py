"""A request that came through proxies in, the same with the address of who asked out.

Only a proxy that is known is believed, and only what it says itself: `X-Forwarded-For` is read from its end, and the
first address that is no known proxy's is the asker's. Whatever stands before that, anybody may have written.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from wheelhouse.index.serving.answers import Scope

Network: TypeAlias = "ipaddress.IPv4Network | ipaddress.IPv6Network"


@dataclass(frozen=True, slots=True)
class Proxies:
    """The networks of the proxies that are known; none: nobody is believed."""

    networks: tuple[Network, ...] = ()

    @classmethod
    def of(cls, texts: tuple[str, ...]) -> Proxies:
        """Read networks as the configuration has them."""
        return cls(tuple(ipaddress.ip_network(text) for text in texts))

    def unveil(self, scope: Scope) -> Scope:
        """Return a request with the asker's address as its client's."""
        client = scope.get("client")
        if not client or not self._known(client[0]):
            return scope
        said = b",".join(value for name, value in scope["headers"] if name == b"x-forwarded-for").decode("latin-1")
        address = client[0]
        for hop in reversed([part.strip() for part in said.split(",")]):
            if _address(hop) is None:
                break  # nonsense, or nothing: the last known proxy is all that is known
            address = hop
            if not self._known(hop):
                break
        return {**scope, "client": (address, 0)}

    def _known(self, text: str) -> bool:
        address = _address(text)
        return address is not None and any(address in network for network in self.networks)


#: Nobody is believed.
NO_PROXIES = Proxies()


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
