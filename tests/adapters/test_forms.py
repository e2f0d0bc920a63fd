"""Forms: each field once, and nothing that two programs could read in two ways."""

from collections.abc import AsyncIterator, Sequence
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.types import Message

from functions.adapters.http import Incoming
from functions.adapters.http.browser import Browser
from functions.adapters.http.forms import MAX_FORM, Form, form_of
from functions.core.errors import ChangeRequest, Forbidden, Invalid, Malformed, TooLarge, TooSlow, UnsupportedMedia
from tests.adapters.test_browser import BROWSER
from tests.deadlines import soon

URLENCODED = "application/x-www-form-urlencoded"


def sent(body: bytes | Sequence[bytes], content_type: str = URLENCODED, **headers: str) -> Incoming:
    """A request whose body arrives in these parts; without a last one it never ends."""
    parts = [body] if isinstance(body, bytes) else list(body)

    async def messages() -> AsyncIterator[Message]:
        for number, part in enumerate(parts):
            yield {"type": "http.request", "body": part, "more_body": number < len(parts) - 1}

    arriving = messages()

    async def receive() -> Message:
        return await anext(arriving)

    told = {"content-type": content_type, **{name.replace("_", "-"): value for name, value in headers.items()}}
    scope = {"type": "http", "method": "POST", "headers": [(name.encode(), value.encode()) for name, value in told.items()]}
    return Incoming(Request(scope, receive), {}, soon())


async def read(incoming: Incoming, browser: Browser = BROWSER) -> Form:
    return await browser.form(incoming)


async def test_a_form_is_read_with_its_switches() -> None:
    form = await read(sent(b"form_token=a%2Bb+c&decision=allow&capability=calendar&capability=docs&capability=docs"))

    assert form.fields == {"form_token": "a+b c", "decision": "allow"}
    assert form.switches == {"capability": {"calendar", "docs"}}
    assert form["decision"] == "allow"


async def test_no_switch_need_be_on() -> None:
    form = await read(sent(b"decision=deny"))

    assert form.switches == {"capability": frozenset()}


async def test_a_field_that_is_missing_is_named() -> None:
    form = await read(sent(b""))

    with pytest.raises(Invalid, match="lacks the field form_token"):
        form["form_token"]


async def test_letters_of_all_alphabets_come_through() -> None:
    form = await read(sent(b"name=%E5%8C%97%E4%BA%AC&empty=", f"{URLENCODED}; charset=UTF-8"))

    assert form.fields == {"name": "北京", "empty": ""}


@pytest.mark.parametrize("body", [b"form_token=a&form_token=b", b"form_token=a&form_token=a", b"decision=deny&x=1&decisio%6e=allow"])
async def test_a_field_that_is_given_twice_is_refused(body: bytes) -> None:
    with pytest.raises(Invalid, match="twice"):
        await read(sent(body))


@pytest.mark.parametrize(
    "body",
    [
        b"a=%", b"a=%4", b"a=%zz", b"a=%u0041", b"%=a", b"a=%ff", b"a=%ed%a0%80", b"a=%c0%af", b"a=\xe5\x8c\x97", b"a=%00", b"a=b%0d%0aX:y",
        b"a%0a=b", b"a=b\r\n", b"a", b"a&b=c", b"a=b&&c=d", b"&a=b", b"a=b&", b'{"a": "b"}', b"a=%7f", b"--x\r\nContent-Disposition: y\r\n",
        b"&".join(b"f%d=1" % number for number in range(101)), b"capability=a&" * 5000 + b"a=b",
    ],
)  # fmt: skip
async def test_a_body_that_can_be_read_in_two_ways_is_refused(body: bytes) -> None:
    with pytest.raises((Malformed, TooLarge)):
        await read(sent(body))


@pytest.mark.parametrize(
    ("content_type", "headers"),
    [
        ("application/json", {}),
        ("multipart/form-data; boundary=x", {}),
        ("text/plain", {}),
        ("", {}),
        (f"{URLENCODED}; charset=utf-7", {}),
        (f"{URLENCODED}, text/plain", {}),
        (URLENCODED, {"content_encoding": "gzip"}),
    ],
)
async def test_only_a_plain_form_is_a_form(content_type: str, headers: dict[str, str]) -> None:
    with pytest.raises(UnsupportedMedia):
        await read(sent(b"a=b", content_type, **headers))


async def test_a_form_has_a_bounded_size() -> None:
    whole = await read(sent(b"a=" + b"b" * (MAX_FORM - 2)))

    assert len(whole["a"]) == MAX_FORM - 2
    with pytest.raises(TooLarge):
        await read(sent([b"a=", b"b" * MAX_FORM, b""]))
    with pytest.raises(TooLarge):
        await read(sent(b"", content_length=str(MAX_FORM + 1)))


async def test_a_form_that_never_ends_is_not_waited_for() -> None:
    async def hangs() -> Message:
        import asyncio

        await asyncio.sleep(60)
        raise AssertionError

    request = Request({"type": "http", "method": "POST", "headers": [(b"content-type", URLENCODED.encode())]}, hangs)

    with pytest.raises(TooSlow):
        await read(Incoming(request, {}, soon(0.05)))


@pytest.mark.parametrize("site", ["cross-site", "same-site", "Same-Origin", "", "x"])
async def test_a_form_of_another_site_is_refused(site: str) -> None:
    with pytest.raises(Forbidden):
        await read(sent(b"a=b", sec_fetch_site=site))


@pytest.mark.parametrize("headers", [{}, {"sec_fetch_site": "same-origin"}, {"sec_fetch_site": "none"}, {"origin": "null"}])
async def test_a_form_of_ours_is_read_by_old_browsers_too(headers: dict[str, str]) -> None:
    assert (await read(sent(b"a=b", **headers)))["a"] == "b"


@given(st.dictionaries(st.text(min_size=1, max_size=20), st.text(max_size=50), min_size=1, max_size=10))
def test_what_a_browser_encodes_is_read_as_it_was(fields: dict[str, str]) -> None:
    hidden = {chr(code) for code in [*range(32), 127]}
    if any(set(text) & hidden for pair in fields.items() for text in pair):
        return

    assert form_of(urlencode(fields).encode()).fields == fields


@given(st.binary(max_size=200))
def test_any_body_is_a_form_or_refused(body: bytes) -> None:
    try:
        form: Form | None = form_of(body, several={"capability"})
    except ChangeRequest:
        form = None

    assert form is None or all(isinstance(value, str) for value in form.fields.values())
