"""Both ends of a measurement, as light as can be: a model that tells how long it waited, and callers that each hold one connection."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Any, Self

QUESTION = "q" * 400
ANSWER_LENGTH = 400
HEADING = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
REPLY: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1_790_000_000,
    "model": "emulator",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "", "refusal": None}, "logprobs": None, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 2000, "completion_tokens": 100, "total_tokens": 2100},
}


class Model:
    """A model that answers every request with 400 characters, of which the first say how many milliseconds it waited."""

    def __init__(self, delay: Callable[[], float]) -> None:
        self.delay = delay
        """Seconds to wait, asked anew for each request."""
        self.calls = 0
        self.origin = ""

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Self]:
        """Serve on a free port of this event loop."""
        server = await asyncio.get_running_loop().create_server(lambda: _Asked(self), "127.0.0.1", 0, backlog=1024)
        self.origin = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()


class _Message(asyncio.Protocol):
    """A connection on which whole HTTP messages arrive, one at a time, each with a Content-Length."""

    transport: Any  # uvloop's is no asyncio.Transport by class

    def __init__(self) -> None:
        self._arrived = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._arrived += data
        head, blank, body = self._arrived.partition(b"\r\n\r\n")
        if blank and len(body) >= int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]):
            self._arrived = b""
            self.message(head, body)

    def message(self, head: bytes, body: bytes) -> None:
        """What to do with a message."""


class _Asked(_Message):
    """The model's side of a connection."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self._model = model

    def message(self, head: bytes, body: bytes) -> None:
        self._model.calls += 1
        asyncio.get_running_loop().call_later(self._model.delay(), self._answer, time.perf_counter())

    def _answer(self, since: float) -> None:
        content = f"{(time.perf_counter() - since) * 1000:.3f} ".ljust(ANSWER_LENGTH, "x")
        REPLY["choices"][0]["message"]["content"] = content
        body = json.dumps(REPLY).encode()
        if not self.transport.is_closing():  # The server under measurement may have been ended.
            self.transport.write(HEADING % len(body) + body)


class Caller(_Message):
    """One caller with one connection, which it keeps."""

    def __init__(self, path: str, body: Mapping[str, Any], headers: Mapping[str, str] = MappingProxyType({})) -> None:
        super().__init__()
        raw = json.dumps(body).encode()
        named = {"Host": "localhost", "Content-Type": "application/json", "Content-Length": str(len(raw)), **headers}
        head = "".join(f"{name}: {value}\r\n" for name, value in named.items())
        self._request = f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + raw
        self._answer: asyncio.Future[bytes] | None = None
        self.expected: bytes | None = None
        """The only body that will do, where there is only one."""

    async def ask(self) -> bytes:
        """The body of the 200 that comes of the caller's request."""
        self._answer = asyncio.get_running_loop().create_future()
        self.transport.write(self._request)
        return await self._answer

    def message(self, head: bytes, body: bytes) -> None:
        assert self._answer is not None
        if b" 200 " in head[:16] and self.expected in (None, body):
            self._answer.set_result(body)
        else:
            self._answer.set_exception(AssertionError(f"Answered with {head[:40]!r}: {body[:300]!r}"))

    def connection_lost(self, error: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error or ConnectionResetError("The server closed the connection."))


def chat(lane: int, token: str | None = None) -> Caller:
    """A caller in a conversation of its own; who has a token shows it."""
    return Caller("/chat", {"query": QUESTION, "session_id": f"bench-{lane}"}, {"Authorization": f"Bearer {token}"} if token else {})


def completion(lane: int) -> Caller:
    """A caller that sends what our function sends to a model behind 20 messages: for the proxy, and for the model itself."""
    said = [{"role": role, "content": QUESTION} for _ in range(10) for role in ("user", "assistant")]
    return Caller("/v1/chat/completions", {"model": "emulator", "messages": [*said, {"role": "user", "content": QUESTION}]})


def mcp_message(revision: str, method: str, **params: Any) -> tuple[dict[str, Any], dict[str, str]]:
    """The body and the headers of a call over MCP, in a revision of the protocol: 2025-11-25 knows less of each than 2026-07-28."""
    headers = {"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": revision}
    if revision >= "2026-07-28":
        headers |= {"Mcp-Method": method} | ({"Mcp-Name": params["name"]} if "name" in params else {})
        prefix = "io.modelcontextprotocol/"
        client = {"name": "bench", "version": "1.0.0"}
        params["_meta"] = {f"{prefix}protocolVersion": revision, f"{prefix}clientInfo": client, f"{prefix}clientCapabilities": {}}
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}, headers


async def connected(port: int, callers: Sequence[Caller], seconds: float = 60.0) -> Sequence[Caller]:
    """`callers`, each on a connection to a server of this machine; waits until it listens."""
    loop, late = asyncio.get_running_loop(), time.monotonic() + seconds
    for caller in callers:
        while True:
            try:
                await loop.create_connection(lambda caller=caller: caller, "127.0.0.1", port)  # type: ignore[misc]
                break
            except ConnectionRefusedError:
                if time.monotonic() > late:
                    raise
                await asyncio.sleep(0.002)
    return callers


def waited(answer: bytes) -> float:
    """The milliseconds that the model says it waited, from a proxy's answer or from ours."""
    told = json.loads(answer)
    content: str = told["answer"] if "answer" in told else told["choices"][0]["message"]["content"]
    return float(content.partition(" ")[0])
