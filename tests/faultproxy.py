"""A TCP proxy on loopback that fails as networks do: `async with FaultProxy(target).serve() as address`, then turn its switches."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal

Direction = Literal["there", "back"]
Ending = Literal["reset", "end"]

CHUNK = 65_536


@dataclass
class FaultProxy:
    """Connections to `target`, a `host:port`. A switch takes effect at once, on open connections too."""

    target: str
    delay: float = 0.0
    """Seconds that each piece waits, in each direction."""
    blackhole: bool = False
    """Connections are accepted, and nothing is ever said."""
    drop: Direction | None = None
    """What travels in this direction is lost."""
    cut_after: int | None = None
    """After so many bytes of an answer its connection is ended, as `ending` says."""
    ending: Ending = "reset"
    accepted: int = 0
    """Connections so far."""
    _open: set[asyncio.StreamWriter] = field(default_factory=set)
    _server: asyncio.Server | None = None
    _port: int = 0

    @asynccontextmanager
    async def serve(self) -> AsyncIterator[str]:
        """The `host:port` where it listens while the block runs."""
        await self.up()
        try:
            yield self.address
        finally:
            await self.down()

    @property
    def address(self) -> str:
        """Where it listens, also while it is down."""
        return f"127.0.0.1:{self._port}"

    async def up(self) -> None:
        """Listen, on the port that it had before."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def down(self) -> None:
        """Refuse connections, and reset those that are open."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.end_all("reset")
        await asyncio.sleep(0)

    def end_all(self, ending: Ending) -> None:
        """End every open connection on both sides."""
        for writer in list(self._open):
            end(writer, ending)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        self._open.add(writer)
        try:
            there, on = await asyncio.open_connection(*self.target.rsplit(":", 1))
        except OSError:
            end(writer, "reset")
            self._open.discard(writer)
            return
        self._open.add(on)
        try:
            await asyncio.gather(self._carry("there", reader, on), self._carry("back", there, writer))
        finally:
            for side in (writer, on):
                end(side, "end")
                self._open.discard(side)

    async def _carry(self, direction: Direction, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        carried = 0
        try:
            while piece := await reader.read(CHUNK):
                if self.delay:
                    await asyncio.sleep(self.delay)
                if self.blackhole or self.drop == direction:
                    continue
                if direction == "back" and self.cut_after is not None:
                    piece = piece[: max(0, self.cut_after - carried)]
                    carried += len(piece)
                writer.write(piece)
                await writer.drain()
                if direction == "back" and self.cut_after is not None and carried >= self.cut_after:
                    end(writer, self.ending)
                    return
            if writer.can_write_eof():
                writer.write_eof()
        except OSError:
            end(writer, "reset")


def end(writer: asyncio.StreamWriter, ending: Ending) -> None:
    """Close: with FIN after what was written, or with RST at once."""
    if ending == "end":
        writer.close()
        return
    held = writer.get_extra_info("socket")
    if held is not None and held.fileno() >= 0:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
