"""What comes in: one request with its deadline, its bounded body, and what its log line is to tell."""

import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from secrets import token_hex
from typing import Any

from starlette.requests import ClientDisconnect, Request

from functions.adapters.http.answers import INTERNAL_ERROR, status_of
from functions.adapters.http.pages import host_of
from functions.core.deadline import Deadline
from functions.core.errors import CantileverError, Forbidden, HeadTooLarge, Malformed, TellOperator, TooLarge, TooSlow, UnsupportedMedia

MAX_BODY = 1024 * 1024
"""Bytes of a request body. ChatGPT sends at most 100,000 characters (https://developers.openai.com/api/docs/actions/production): up to 400,000
bytes of UTF-8, or 600,000 where JSON escapes the scripts of Unicode's first plane. A hostile body costs the loop a tenth of a second."""

MAX_HEAD = 128 * 1024
"""Bytes of what stands before a body: the address and all headers. The longest request to authorize has a quarter of it (core/oauth/wire.py).
The server that runs us bounds neither, and eight megabytes of HTTP Basic hold the loop for most of a second."""

JSON, FORM = "application/json", "application/x-www-form-urlencoded"
"""What a body may be."""

WORDS: Mapping[str, str] = {JSON: "JSON", FORM: "a form"}

BODY_SECONDS = 10.0
"""How long a body may take, where the request's own deadline is not sooner."""


@dataclass(slots=True)
class Incoming:
    """A request that was let in: its path's parameters, its deadline, and what its log line is to tell."""

    request: Request
    path: Mapping[str, str]
    deadline: Deadline
    notes: dict[str, Any] = field(default_factory=dict)
    """Fields of the log line: numbers, names and ids of ours; never a text, a token or an address."""
    fault_status: int = 0
    """The status that the fault has of its own, also where a protocol tells it inside a success."""

    async def body(self, most: int = MAX_BODY, media_type: str = JSON) -> bytes:
        """The body, whole, of a request that says it is of this type; at most so many bytes.

        Raises:
            UnsupportedMedia, TooLarge, TooSlow, Malformed: as their names say; nothing beyond the cap was read.
        """
        headers = self.request.headers
        media, _, parameters = headers.get("content-type", "").lower().partition(";")
        if media.strip() != media_type or parameters.strip().replace('"', "") not in ("", "charset=utf-8"):
            raise UnsupportedMedia(f"Send {WORDS[media_type]}, with the header Content-Type: {media_type}.")
        if headers.get("content-encoding", "identity").lower() != "identity":
            raise UnsupportedMedia("Send the body as it is, without Content-Encoding.")
        announced = headers.get("content-length", "0")
        if not announced.isdecimal() or int(announced[:20]) > most:
            raise TooLarge(f"The body may have at most {most} bytes.")
        try:
            async with self.deadline.limit(BODY_SECONDS):
                return await self._bytes(most)
        except TimeoutError as error:
            raise TooSlow("The body did not arrive in time; send it whole.") from error
        except ClientDisconnect as error:
            raise Malformed("The body ended early.") from error

    @property
    def media_type(self) -> str:
        """What the body says it is, without parameters."""
        return self.request.headers.get("content-type", "").lower().partition(";")[0].strip()

    def failed(self, error: CantileverError) -> None:
        """Note a fault for the log line."""
        self.fault_status = status_of(error)
        self.notes["error"] = error.code
        if isinstance(error, TellOperator):
            self.notes |= _origin(error.__cause__ or error)

    def refused(self, code: int) -> None:
        """Note a fault that the protocol inside tells by a code of its own."""
        self.fault_status = 500 if code == INTERNAL_ERROR else 400
        self.notes["error"] = str(code)

    def broke(self, error: Exception) -> CantileverError:
        """Note a bug of ours for the log line; gives what the caller is told, which names the line."""
        error_id = token_hex(8)
        told = CantileverError(f"Something broke on our side; tell the plugin's owner the number {error_id}.")
        self.failed(told)
        self.notes |= {"error_id": error_id, **_origin(error)}
        return told

    async def _bytes(self, most: int) -> bytes:
        body = bytearray()
        async for chunk in self.request.stream():
            body += chunk
            if len(body) > most:
                raise TooLarge(f"The body may have at most {most} bytes.")
        return bytes(body)


def address_of(request: Request, hops: int) -> str:
    """The address that our outermost proxy saw: so many entries from the right of X-Forwarded-For, for what is left of them anybody can write.
    With no proxy it is the peer's. Of an IPv6 address the network: whoever has one address has 2^64 of them (RFC 6177)."""
    seen = [entry.strip() for header in request.headers.getlist("x-forwarded-for") for entry in header.split(",")]
    peer = request.client.host if request.client else ""
    return _network(seen[-hops][:64] if 0 < hops <= len(seen) else peer)


def _network(text: str) -> str:
    """What one caller has: an IPv4 address, or an IPv6 network of 64 bits; what is neither stays as it is."""
    try:
        address = IPv6Address(text)
    except ValueError:
        return text
    return str(address.ipv4_mapped or IPv6Address(int(address) >> 64 << 64))


def refuse_other_names(request: Request, names: frozenset[str] | None) -> None:
    """Refuse a request that calls us by a name that is not ours: so does a page that made its own name point here (DNS rebinding).

    Raises:
        Forbidden: the name is none of `names`.
    """
    host = request.headers.get("host")
    if names is not None and host is not None and host_of(f"//{host}") not in names:
        raise Forbidden("This name is not ours: call localhost, or the name in PUBLIC_BASE_URL.")


def refuse_long_head(request: Request) -> None:
    """Refuse what is longer than the address and the headers of anybody who means well, before any of it is taken apart.

    Raises:
        HeadTooLarge: it is.
    """
    scope = request.scope
    address = len(scope["path"]) + len(scope["query_string"])
    if address + sum(len(name) + len(value) for name, value in scope["headers"]) > MAX_HEAD:
        raise HeadTooLarge(f"Address and headers may have {MAX_HEAD} bytes together.")


def refuse_ambiguous(request: Request) -> None:
    """Refuse what a proxy in front of us may have read in another way; the parser refuses the rest (tests/functions/test_hostile_bytes.py).

    Raises:
        Malformed: which part of the request is ambiguous.
    """
    headers = request.headers
    hosts = len(headers.getlist("host"))
    if hosts > 1 or (hosts == 0 and request.scope["http_version"] == "1.1"):
        raise Malformed("A request names one Host (RFC 9112 §3.2).")
    if "content-length" in headers and "transfer-encoding" in headers:
        raise Malformed("Content-Length and Transfer-Encoding exclude each other (RFC 9112 §6.3).")
    if headers.get("transfer-encoding", "chunked").lower() != "chunked":
        raise Malformed("The only Transfer-Encoding here is chunked (RFC 9112 §6.1).")


def _origin(error: BaseException) -> Mapping[str, str]:
    """What broke and where, without the words of the exception, which may be anybody's."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f"{frames[-1].filename}:{frames[-1].lineno} {frames[-1].name}" if frames else "unknown"
    return {"exception": type(error).__name__, "where": where}
