"""Wherever an access token is taken, only ours opens anything (T16, T18 to T20, A10): forged and strange ones are refused, giants at once."""

import socket
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from statistics import median

import httpx
import jwt
import pytest

from functions.routes import ROUTES
from tests import signin
from tests.forged import Forge
from tests.mcp import ERAS, FORECAST, posted
from tests.signin import SignedIn

Call = Callable[[SignedIn, str], httpx.Response]

RANDOM = "AAAAAAAAAAAAAAAAAAAAAA"
"""A name that nobody has: who is let in is told so."""


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def rest(method: str, path: str, body: Mapping[str, object] | None = None) -> Call:
    return lambda product, token: product.world.http.request(method, path, json=body, headers=bearer(token))


def mcp(era: str, method: str, **params: object) -> Call:
    return lambda product, token: posted(product.world, era, method, params, **bearer(token))


CALLS: Mapping[str, Call] = {
    "POST /chat": rest("POST", "/chat", {"session_id": RANDOM, "turn_id": RANDOM}),
    "POST /answer": rest("POST", "/answer", {"session_id": RANDOM, "turn_id": RANDOM}),
    "GET /chat/{session_id}": rest("GET", f"/chat/{RANDOM}"),
    "DELETE /chat/{session_id}": rest("DELETE", f"/chat/{RANDOM}"),
    "POST /tools/{operation}": rest("POST", "/tools/get_weather_forecast", {}),
    "POST /mcp/": lambda product, token: product.world.http.post("/mcp/", json={}, headers=bearer(token)),
    **{f"POST /mcp {era} list": mcp(era, "tools/list") for era in ERAS},
    **{f"POST /mcp {era} call": mcp(era, "tools/call", name=FORECAST, arguments={}) for era in ERAS},
}
"""Every endpoint that takes one, asked for what costs nothing and reaches nobody."""


@dataclass
class Doors:
    """A product, and a forge that holds its signing key and knows a grant that lives."""

    product: SignedIn
    forge: Forge

    def asked(self) -> int:
        """How often anybody outside was."""
        world = self.product.world
        return len(self.product.google.received) + len(world.model_requests) + len(world.weather_requests)


@pytest.fixture(scope="module")
def doors() -> Iterator[Doors]:
    with signin.started(MCP_CHAT="on") as product, product.browser() as browser:
        real = product.client(resource=f"{product.world.url}/mcp").connect(browser)["access_token"]
        said = jwt.decode(real, options={"verify_signature": False})
        of_a_person = {name: said[name] for name in ("sub", "client_id", "grant")}
        yield Doors(product, Forge(product.world.environ["TOKEN_SIGNING_KEYS"], product.world.url, int(time.time()), **of_a_person))


def test_every_endpoint_that_takes_a_token_is_tried() -> None:
    tried = {name.split()[1] for name in CALLS}

    assert tried == {*ROUTES["chat"], *ROUTES["mcp"]}


@pytest.mark.parametrize("name", CALLS)
def test_no_token_but_ours_is_taken_anywhere(doors: Doors, name: str) -> None:
    call, forge, before = CALLS[name], doors.forge, doors.asked()
    wrong = {**forge.hostile, **forge.strange, **forge.other_kinds, **forge.out_of_time}
    del wrong["valid in 61 s"]  # It is valid by the time that it is tried.
    if "mcp" not in name:
        assert call(doors.product, wrong.pop("for the REST interface")).status_code != 401
    sendable = {fault: token for fault, token in wrong.items() if token.isprintable() and not token.startswith(" ")}

    told = {fault: call(doors.product, token) for fault, token in sendable.items()}

    assert len(told) >= 80
    assert {fault: answer.status_code for fault, answer in told.items() if answer.status_code != 401} == {}
    challenges = [answer.headers["www-authenticate"] for answer in told.values()]
    assert all('error="invalid_token"' in challenge and "resource_metadata=" in challenge for challenge in challenges)
    assert [fault for fault, token in sendable.items() if len(token) > 4 and token in told[fault].text] == []
    assert 401 not in {call(doors.product, good).status_code for good in forge.good.values()}
    assert doors.asked() == before, "no key is fetched, and nobody is asked anything"


GIANTS = {
    "8 MB": b"Bearer " + b"x" * 8_000_000,
    "8 MB of HTTP Basic": b"Basic " + b"YTolNDEl" * 1_000_000,
    "10,000 dots": b"Bearer " + b"." * 10_000,
    "a kid of 1 MB": b"Bearer " + b"k" * 1_400_000 + b".e30.x",
}


@pytest.mark.parametrize("giant", GIANTS.values(), ids=GIANTS)
@pytest.mark.parametrize("path", ["/chat", "/mcp", "/oauth/token"])
def test_a_giant_is_refused_at_once(doors: Doors, path: str, giant: bytes) -> None:
    told = [sent(doors.product.world.port, path, giant) for _ in range(3)]

    assert {status for status, _ in told} <= {401, 431}
    # Eight megabytes are 10 ms on their way; to take them apart would be most of a second. The rest is for a machine that does other things.
    assert median(seconds for _, seconds in told) <= 0.25


def sent(port: int, path: str, authorization: bytes) -> tuple[int, float]:
    """The status of a POST, and how long it took from the first byte to the answer's."""
    request = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 2\r\nAuthorization: ".encode()
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        began = time.perf_counter()
        connection.sendall(request + authorization + b"\r\n\r\n{}")
        status = int(connection.recv(65536).split(b" ")[1])
        return status, time.perf_counter() - began


@pytest.mark.parametrize("where", ["address", "header", "cookie"])
def test_what_stands_before_a_body_has_a_bounded_size(doors: Doors, where: str) -> None:
    def asked(long: str, padding: str) -> httpx.Response:
        state = long if where == "address" else "x"
        headers = {where: long if where != "address" else "x", "padding": padding}
        return doors.product.world.http.get("/oauth/authorize", params={"state": state}, headers=headers)

    assert asked("x" * 60_000, "x" * 72_000).status_code == 431
    assert asked("x" * 30_000, "x" * 6_000).status_code == 400
