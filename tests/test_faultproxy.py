"""The proxy fails as it is told, and carries everything when it is not."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from tests.faultproxy import Direction, Ending, FaultProxy, end


@pytest.fixture
async def proxy() -> AsyncIterator[FaultProxy]:
    """A proxy before a server that sends everything back in capitals."""

    async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while said := await reader.read(65_536):
                writer.write(said.upper())
        writer.close()

    async with await asyncio.start_server(shout, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        proxy = FaultProxy(f"127.0.0.1:{port}")
        async with proxy.serve():
            yield proxy


async def connected(proxy: FaultProxy) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(*proxy.address.rsplit(":", 1))


async def said(proxy: FaultProxy, words: bytes = b"hello") -> bytes:
    """What comes back; nothing after a tenth of a second."""
    reader, writer = await connected(proxy)
    writer.write(words)
    try:
        return await asyncio.wait_for(reader.read(65_536), 0.1)
    finally:
        writer.close()


async def test_it_carries_everything(proxy: FaultProxy) -> None:
    words = bytes(range(97, 123)) * 100_000
    reader, writer = await connected(proxy)

    writer.write(words)
    writer.write_eof()

    assert await reader.read() == words.upper()
    assert proxy.accepted == 1
    writer.close()


async def test_a_delay_lasts_in_both_directions(proxy: FaultProxy) -> None:
    proxy.delay = 0.03
    began = asyncio.get_running_loop().time()

    assert await said(proxy) == b"HELLO"
    assert 0.06 <= asyncio.get_running_loop().time() - began < 0.1


async def test_a_blackhole_accepts_and_says_nothing(proxy: FaultProxy) -> None:
    proxy.blackhole = True

    with pytest.raises(TimeoutError):
        await said(proxy)

    proxy.blackhole = False
    assert await said(proxy) == b"HELLO"


@pytest.mark.parametrize("direction", ["there", "back"])
async def test_what_travels_in_one_direction_is_lost(proxy: FaultProxy, direction: Direction) -> None:
    proxy.drop = direction

    with pytest.raises(TimeoutError):
        await said(proxy)


async def test_an_answer_is_cut(proxy: FaultProxy) -> None:
    proxy.cut_after, proxy.ending = 3, "end"

    assert await said(proxy) == b"HEL"


@pytest.mark.parametrize(("ending", "comes"), [("reset", ConnectionResetError), ("end", None)])
async def test_open_connections_are_ended(proxy: FaultProxy, ending: Ending, comes: type[Exception] | None) -> None:
    reader, writer = await connected(proxy)
    writer.write(b"hello")
    assert await reader.readexactly(5) == b"HELLO"

    proxy.end_all(ending)

    with pytest.raises(comes) if comes else contextlib.nullcontext():
        assert await reader.read() == b""
    writer.close()


async def test_a_reset_by_the_client_reaches_the_server() -> None:
    ended = asyncio.Event()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await reader.read()
        ended.set()
        writer.close()

    async with await asyncio.start_server(listen, "127.0.0.1", 0) as server:
        proxy = FaultProxy(f"127.0.0.1:{server.sockets[0].getsockname()[1]}")
        async with proxy.serve():
            _, writer = await connected(proxy)
            await asyncio.sleep(0.02)
            end(writer, "reset")

            await asyncio.wait_for(ended.wait(), 1)


async def test_a_listener_goes_down_and_comes_back_on_its_port(proxy: FaultProxy) -> None:
    await proxy.down()
    with pytest.raises(ConnectionRefusedError):
        await connected(proxy)

    await proxy.up()

    assert await said(proxy) == b"HELLO"
