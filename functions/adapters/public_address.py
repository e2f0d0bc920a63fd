"""Which addresses are the public internet's, so that no stranger can make us reach into our own network (SSRF).

The tables are IANA's. `ipaddress.is_global` is not asked: what it says of some of them has changed within Python 3.11, 3.12 and 3.13.
https://www.iana.org/assignments/iana-ipv4-special-registry, https://www.iana.org/assignments/iana-ipv6-special-registry
"""

import asyncio
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address

from aiohttp import abc

_NOT_PUBLIC_4 = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",  # this network
            "10.0.0.0/8",
            "100.64.0.0/10",  # carriers' own; Google's and Alibaba's, too
            "127.0.0.0/8",
            "169.254.0.0/16",  # link-local: 169.254.169.254 gives away the service account's token
            "172.16.0.0/12",
            "192.0.0.0/24",  # protocol assignments
            "192.0.2.0/24",  # documentation, as are 198.51.100.0/24 and 203.0.113.0/24
            "192.88.99.0/24",  # 6to4 relays, withdrawn
            "192.168.0.0/16",
            "198.18.0.0/15",  # benchmarks
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved, and broadcast
        ),
    )
)

_UNICAST_6 = IPv6Network("2000::/3")
"""All that IANA has given out; outside lie loopback, fc00::/7, fe80::/10, multicast, and what is not assigned to anybody."""

_NOT_PUBLIC_6 = tuple(
    map(
        IPv6Network,
        (
            "2001::/23",  # protocol assignments, Teredo among them, which carries an IPv4 address
            "2001:db8::/32",  # documentation, as is 3fff::/20
            "2002::/16",  # 6to4, withdrawn (RFC 7526): carries an IPv4 address
            "3fff::/20",
        ),
    )
)

_CARRIERS = (IPv6Network("::ffff:0:0/96"), IPv6Network("64:ff9b::/96"))
"""The last 32 bits are an IPv4 address, and where that is public, so is this: IPv4-mapped (RFC 4291 §2.5.5.2), and NAT64 (RFC 6052 §2.1),
by which a network without IPv4 reaches everybody who has nothing else."""

THREADS = 16
"""A name server that does not answer holds one for as long as the system asks it, 5 s and more."""


def is_public(text: str) -> bool:
    """Whether an address, as `socket.getaddrinfo` spells it, is anybody's on the internet, and not one of ours or one that carries such a one."""
    try:
        address = ip_address(text)
    except ValueError:
        return False
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _NOT_PUBLIC_4)
    if address.scope_id is not None:
        return False
    if any(address in network for network in _CARRIERS):
        return is_public(str(IPv4Address(int(address) & 0xFFFFFFFF)))
    return address in _UNICAST_6 and not any(address in network for network in _NOT_PUBLIC_6)


class NotPublic(OSError):
    """A name leads to an address that is not the public internet's."""


class SystemNames(abc.AbstractResolver):
    """The system's resolver, on threads of its own.

    asyncio's are six on two CPUs, and everybody's names are resolved on them: a stranger's name server that never answers would keep them
    from all others.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, "names-of-strangers")

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC) -> list[abc.ResolveResult]:
        """The addresses of `host`; OSError: there are none."""
        asked = partial(socket.getaddrinfo, host, port, family, socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
        found = await asyncio.get_running_loop().run_in_executor(self._threads, asked)
        return [
            abc.ResolveResult(hostname=host, host=str(address[0]), port=port, family=kind, proto=proto, flags=socket.AI_NUMERICHOST)
            for kind, _, proto, _, address in found
        ]

    async def close(self) -> None:
        """Nothing is open between two questions."""


class PublicNames(abc.AbstractResolver):
    """Resolves a name once, and refuses it where any of its addresses is not public. The connection goes to what was resolved here, so that
    a name that answers otherwise the next moment (DNS rebinding) gains nothing. aiohttp does not ask it for what it takes for an address:
    whoever uses it lets nothing pass but names.
    """

    def __init__(self, names: abc.AbstractResolver, public: Callable[[str], bool] = is_public) -> None:
        self._names = names
        self._public = public

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC) -> list[abc.ResolveResult]:
        """The addresses of `host`.

        Raises:
            NotPublic: one of them is not public.
            OSError: there are none.
        """
        found = await self._names.resolve(host, port, family)
        if not all(self._public(result["host"]) for result in found):
            raise NotPublic("not a public address")
        return found

    async def close(self) -> None:
        """`names` belongs to whoever made it."""
