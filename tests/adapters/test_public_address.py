"""What counts as the public internet, and that a name leads there alone (T32)."""

import asyncio
import ipaddress
import random
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from aiohttp import abc

from functions.adapters.public_address import NotPublic, PublicNames, SystemNames, is_public

NOT_PUBLIC = """
0.0.0.0 0.255.255.255 10.0.0.1 10.255.255.255 100.64.0.0 100.100.100.200 100.127.255.255 127.0.0.1 127.255.255.254 169.254.0.0 169.254.169.254
169.254.255.255 172.16.0.0 172.31.255.255 192.0.0.0 192.0.0.192 192.0.0.255 192.0.2.1 192.88.99.1 192.168.0.0 192.168.255.255 198.18.0.0
198.19.255.255 198.51.100.7 203.0.113.255 224.0.0.1 239.255.255.255 240.0.0.0 255.255.255.255
:: ::1 ::2 ::7f00:1 ::127.0.0.1 ::8.8.8.8 ::ffff:0.0.0.0 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 ::ffff:a9fe:a9fe ::ffff:0:8.8.8.8
64:ff9b::7f00:1 64:ff9b::a00:1 64:ff9b::a9fe:a9fe 64:ff9b::ffff:ffff 64:ff9b:1:: 64:ff9b:1:808:8:800:: 64:ff9b:1::808:808 100::1 100:0:0:1::1
2001:: 2001:0:4136:e378:8000:63bf:3fff:fdd2 2001:1::1 2001:2::1 2001:3::1 2001:10::1 2001:20::1 2001:1ff::1 2001:db8::1 2001:db8:ffff::1
2002:: 2002:7f00:1:: 2002:a00:1::1 2002:808:808::1 3fff::1 3fff:fff::1 4000::1 5f00::1 8000::1 fc00::1 fd00:ec2::254 fd20:ce::254 fdff::1
fe80::1 fe80::1%eth0 febf::1 fec0::1 ff02::1 ff0e::1 2606:4700::1111%eth0 ::ffff:8.8.8.8%1
""".split()

PUBLIC = """
1.0.0.0 1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0 169.253.255.255 169.255.0.0 172.15.255.255
172.32.0.0 191.255.255.255 192.0.1.0 192.167.255.255 192.169.0.0 198.17.255.255 198.20.0.0 203.0.112.255 203.0.114.0 223.255.255.255
2001:200::1 2001:4860:4860::8888 2001:db7:ffff::1 2001:db9::1 2003::1 2606:4700::1111 2a00:1450:4001:81b::200e 3ffe::1
::ffff:8.8.8.8 ::ffff:808:808 64:ff9b::808:808
""".split()

NO_ADDRESSES = ["", " ", "localhost", "127.1", "127.0.1", "2130706433", "0x7f.1", "0x7f000001", "017700000001", "0177.0.0.1", "127.0.0.01"]


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_an_address_of_ours_or_of_nobody_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_an_address_of_others_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "text", [*NO_ADDRESSES, "8.8.8.8 ", "8.8.8.8\n", "8.8.8.8:443", "[2606:4700::1111]", "８.８.８.８", "8.8.8.8/32", "1e1.1.1.1"]
)
def test_what_is_no_address_is_not_public(text: str) -> None:
    assert not is_public(text)


def test_what_python_calls_private_is_never_public() -> None:
    """One way only: which of the rest it calls global depends on its release."""
    chance = random.Random(4291)
    plain: list[ipaddress.IPv4Address | ipaddress.IPv6Address] = [ipaddress.IPv4Address(chance.getrandbits(32)) for _ in range(20_000)]
    plain += [
        ipaddress.IPv6Address(chance.choice([0x20, 0x3F, 0xFC, 0xFE, 0xFF, 0]) << 120 | chance.getrandbits(120)) for _ in range(20_000)
    ]
    plain += [ipaddress.IPv6Address(0x2001 << 112 | chance.getrandbits(24) << 88) for _ in range(20_000)]

    public = [address for address in plain if is_public(str(address))]

    assert [address for address in public if not address.is_global or address.is_multicast or address.is_reserved] == []
    assert len(public) > 20_000


@pytest.mark.parametrize("inside", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "8.8.8.8"])
def test_an_address_is_as_public_as_the_one_that_it_carries(inside: str) -> None:
    bits = int(ipaddress.IPv4Address(inside))

    for prefix in ("::ffff:0:0", "64:ff9b::"):
        assert is_public(str(ipaddress.IPv6Address(int(ipaddress.IPv6Address(prefix)) | bits))) is is_public(inside)


class Answers(abc.AbstractResolver):
    """A resolver that knows one name."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC) -> list[abc.ResolveResult]:
        return [abc.ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=0) for address in self.addresses]

    async def close(self) -> None:
        """Nothing is open."""


@pytest.mark.parametrize(
    "addresses",
    [["127.0.0.1"], ["8.8.8.8", "127.0.0.1"], ["127.0.0.1", "8.8.8.8"], ["8.8.8.8", "2606:4700::1111", "fd00::1"]],
    ids=" ".join,
)
async def test_a_name_with_one_address_of_ours_leads_nowhere(addresses: list[str]) -> None:
    with pytest.raises(NotPublic):
        await PublicNames(Answers(*addresses)).resolve("client.example.com", 443)


async def test_a_name_leads_to_all_of_its_public_addresses() -> None:
    found = await PublicNames(Answers("8.8.8.8", "2606:4700::1111")).resolve("client.example.com", 443)

    assert [result["host"] for result in found] == ["8.8.8.8", "2606:4700::1111"]


@pytest.mark.parametrize("name", ["localhost", "127.1", "2130706433", "0x7f.1", "0177.0.0.1", "127.0.0.1", "::1", "::ffff:127.0.0.1"])
async def test_no_name_of_ours_leads_to_us(name: str) -> None:
    with pytest.raises(NotPublic):
        await PublicNames(SystemNames()).resolve(name, 443)


async def test_the_systems_resolver_gives_what_can_be_connected_to() -> None:
    (found,) = {(one["hostname"], one["host"], one["port"], one["family"]) for one in await SystemNames().resolve("127.0.0.1", 443)}

    assert found == ("127.0.0.1", "127.0.0.1", 443, socket.AF_INET)


async def test_names_of_strangers_are_resolved_on_threads_of_their_own() -> None:
    loop, over = asyncio.get_running_loop(), threading.Event()
    loop.set_default_executor(ThreadPoolExecutor(max_workers=1))
    loop.run_in_executor(None, over.wait)

    try:
        async with asyncio.timeout(2):
            found = await SystemNames().resolve("127.0.0.1")
    finally:
        over.set()
        loop.set_default_executor(ThreadPoolExecutor())  # The loop is one for all tests.

    assert found
