"""One request to an ASGI application behind an edge: its body is here already, and its answer is kept whole."""

from starlette.responses import Response
from starlette.types import Message, Receive

from functions.adapters.http.answers import UNGUESSED


class Exchange:
    """What the application receives and sends."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._arriving: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]
        self._receive = receive
        self._sent: list[Message] = []
        self._complete = False

    async def receive(self) -> Message:
        """The body, then whatever else the caller does."""
        return self._arriving.pop() if self._arriving else await self._receive()

    async def send(self, message: Message) -> None:
        """Keep a part of the answer; what comes after its end, a second answer, is none."""
        if not self._complete:
            self._sent.append(message)
            self._complete = message["type"] == "http.response.body" and not message.get("more_body", False)

    @property
    def body(self) -> bytes:
        """The answer's."""
        return b"".join(part["body"] for part in self._sent[1:])

    def response(self) -> Response:
        """The answer, not to be cached: it is one caller's."""
        start = self._sent[0]
        response = Response(self.body, start["status"], {"Cache-Control": "no-store", **UNGUESSED})
        response.raw_headers += [(name, value) for name, value in start["headers"] if name != b"content-length"]
        return response
