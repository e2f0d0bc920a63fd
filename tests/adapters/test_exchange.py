"""What an application behind an edge sends, and what becomes of it."""

from starlette.types import Message

from functions.adapters.http import Exchange


def start(status: int, *headers: tuple[bytes, bytes]) -> Message:
    return {"type": "http.response.start", "status": status, "headers": list(headers)}


def body(octets: bytes, *, more: bool = False) -> Message:
    return {"type": "http.response.body", "body": octets, "more_body": more}


async def sent(*messages: Message) -> Exchange:
    """The exchange of an application that sends these."""

    async def nothing() -> Message:
        raise AssertionError("nobody asked for more than the body")

    exchange = Exchange(b"", nothing)
    for message in messages:
        await exchange.send(message)
    return exchange


async def test_an_answer_that_comes_in_parts_is_kept_whole() -> None:
    exchange = await sent(start(200), body(b"one, ", more=True), body(b"two"))

    assert (exchange.response().status_code, exchange.response().body) == (200, b"one, two")


async def test_a_second_answer_is_none() -> None:
    first = (start(202, (b"x-first", b"1")), body(b""))
    second = (start(500, (b"x-second", b"2")), body(b"Error handling POST request"))

    response = (await sent(*first, *second)).response()

    assert (response.status_code, response.body) == (202, b"")
    assert response.headers["x-first"] == "1"
    assert "x-second" not in response.headers


async def test_what_comes_after_the_end_is_none() -> None:
    exchange = await sent(start(200), {"type": "http.response.body", "body": b"all"}, body(b" and more"))

    assert exchange.body == b"all"
