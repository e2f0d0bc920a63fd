"""Everything that leaves over HTTP, against a server that misbehaves in every way that others have."""

import asyncio
import json
import os
import sys
import traceback
from collections.abc import AsyncIterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from time import sleep
from typing import Any

import pytest
from aiohttp import web

from functions.adapters.outgoing import Answer, Outgoing, Request
from functions.core.errors import CantileverError, DeadlinePassed, Upstream
from tests import upstream
from tests.certificates import certificate
from tests.deadlines import soon
from tests.upstream import answer, serving

ROOT = Path(__file__).parents[2]

FAULTS = [
    ("a hang before the headers", upstream.hang),
    ("a hang after the headers", upstream.hang_after_headers),
    ("a byte every half second", upstream.drip),
    ("a reset", upstream.reset),
    ("an end without an answer", upstream.end_at_once),
    ("a body cut by its length", upstream.cut_by_length),
    ("a chunked body that is cut", upstream.cut_chunked),
    ("a body that the connection's end cuts", upstream.cut_at_close),
    ("HTML", upstream.html),
    ("an empty body", upstream.empty),
    ("a heading of 100 KB", upstream.long_line),
    ("something that is no HTTP", upstream.no_http),
    ("a gzip bomb", upstream.gzip_bomb),
    ("197 MB", upstream.huge),
    ("500 for ever", answer({}, status=500)),
    ("Retry-After for ever", answer({}, status=429, headers={"Retry-After": "1"})),
]


@pytest.fixture
async def outgoing() -> AsyncIterator[Outgoing]:
    outgoing = Outgoing()
    yield outgoing
    await outgoing.close()


def served(answer: Answer) -> Any:
    answer.require_served()
    return answer.json


def request(url: str, attempt_seconds: float = 10, **more: Any) -> Request:
    return Request("The other side", "POST", url, attempt_seconds, **more)


@pytest.mark.parametrize("fault", [step for _, step in FAULTS], ids=[name for name, _ in FAULTS])
async def test_the_deadline_holds_whatever_the_other_side_does(outgoing: Outgoing, fault: upstream.Step) -> None:
    async with serving(fault) as server:
        deadline = soon(0.25)

        with pytest.raises((DeadlinePassed, Upstream)):
            await outgoing.send(request(server.url), served, deadline)

        assert deadline.clock() - deadline.at <= 0.3


async def test_the_deadline_is_told_apart_from_the_other_sides_failure(outgoing: Outgoing) -> None:
    async with serving(upstream.hang) as server:
        with pytest.raises(DeadlinePassed):
            await outgoing.send(request(server.url, attempt_seconds=10), served, soon(0.2))

    async with serving(upstream.hang) as server:
        with pytest.raises(Upstream):
            await outgoing.send(request(server.url, attempt_seconds=0.1), served, soon(30))

        assert len(server.received) == 3


async def test_nothing_is_sent_after_the_deadline(outgoing: Outgoing) -> None:
    async with serving(answer({})) as server:
        await outgoing.send(request(server.url), served, soon(5))  # Leaves an open connection, which could send at once.

        with pytest.raises(DeadlinePassed):
            await outgoing.send(request(server.url), served, soon(0))

        await asyncio.sleep(0.05)
        assert len(server.received) == 1


async def test_a_name_that_does_not_resolve_is_a_failure_in_time(outgoing: Outgoing) -> None:
    deadline = soon(0.5)

    with pytest.raises((DeadlinePassed, Upstream)):
        await outgoing.send(request("http://model.invalid/v1"), served, deadline)

    assert deadline.clock() - deadline.at <= 0.3


async def test_a_resolver_that_sleeps_does_not_hold_the_request(outgoing: Outgoing) -> None:
    class Sleepy(ThreadPoolExecutor):
        def submit(self, call: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
            super().submit(sleep, 1.0)
            return super().submit(call, *args, **kwargs)

    loop, deadline = asyncio.get_running_loop(), soon(0.3)
    loop.set_default_executor(Sleepy(max_workers=1))  # Where asyncio resolves names.

    try:
        with pytest.raises(DeadlinePassed):
            await outgoing.send(request("http://localhost:1/"), served, deadline)
    finally:
        loop.set_default_executor(ThreadPoolExecutor())  # The loop is one for all tests.

    assert deadline.clock() - deadline.at <= 0.3


@pytest.mark.parametrize(
    ("headers", "least"),
    [
        ({"Retry-After": "1"}, 1.0),
        ({"retry-after-ms": "700"}, 0.7),
        ({"retry-after-ms": "600", "Retry-After": "3600"}, 0.6),
        ({"retry-after-ms": "soon", "Retry-After": "0.6"}, 0.6),
        ({"Date": "Sun, 06 Nov 1994 08:49:37 GMT", "Retry-After": "Sun, 06 Nov 1994 08:49:38 GMT"}, 1.0),
    ],
)
async def test_no_attempt_comes_before_the_time_that_was_asked_for(outgoing: Outgoing, headers: dict[str, str], least: float) -> None:
    async with serving(answer({}, status=429, headers=headers), answer({"ok": True})) as server:
        got = await outgoing.send(request(server.url), served, soon(5))

    first, second = (received.at for received in server.received)
    assert got == {"ok": True}
    assert least <= second - first <= least + 0.5


@pytest.mark.parametrize(
    "headers",
    [
        {"Retry-After": "3600"},
        {"retry-after-ms": "3600000"},
        {"Date": "Sun, 06 Nov 1994 08:49:37 GMT", "Retry-After": "Sun, 06 Nov 1994 09:49:37 GMT"},
    ],
)
async def test_a_wait_that_does_not_fit_fails_at_once_and_tells_the_wait(outgoing: Outgoing, headers: dict[str, str]) -> None:
    async with serving(answer({}, status=429, headers=headers)) as server:
        deadline = soon(5)

        with pytest.raises(Upstream) as caught:
            await outgoing.send(request(server.url), served, deadline)

        assert deadline.left() >= 4
        assert len(server.received) == 1
        assert caught.value.retry_after == timedelta(hours=1)


@pytest.mark.parametrize(
    "told", ["", "soon", "-5", "0", "nan", "inf", "1e308", "Mon, 99 Nov 2026 00:00:00 GMT", "Sun, 06 Nov 1994 08:49:37 GMT"]
)
async def test_a_wait_that_makes_no_sense_is_not_waited(outgoing: Outgoing, told: str) -> None:
    async with serving(answer({}, status=503, headers={"Retry-After": told}), answer({"ok": True})) as server:
        got = await outgoing.send(request(server.url), served, soon(5))

    first, second = (received.at for received in server.received)
    assert got == {"ok": True}
    assert second - first <= 0.6


async def test_requests_that_failed_together_do_not_return_together(outgoing: Outgoing) -> None:
    async with serving(*[answer({}, status=503)] * 40, answer({})) as server:
        await asyncio.gather(*(outgoing.send(request(server.url), served, soon(5)) for _ in range(40)))

    again = sorted(received.at for received in server.received[40:])
    assert len(again) == 40
    assert again[-1] - again[0] >= 0.25  # Of half a second; the same wait for all would be some milliseconds.


@pytest.mark.parametrize(("status", "opinion", "calls"), [(500, "false", 1), (429, "false", 1), (400, "true", 3), (404, "true", 3)])
async def test_the_other_sides_opinion_on_retries_counts(outgoing: Outgoing, status: int, opinion: str, calls: int) -> None:
    headers = {"x-should-retry": opinion, "retry-after-ms": "1"}
    async with serving(answer({}, status=status, headers=headers)) as server:
        with pytest.raises(Upstream):
            await outgoing.send(request(server.url), served, soon(5))

        assert len(server.received) == calls


async def test_no_redirect_is_followed(outgoing: Outgoing) -> None:
    async with serving(answer({"stolen": True})) as canary, serving(upstream.redirect(canary.url)) as server:
        got = await outgoing.send(request(server.url), lambda answer: answer.status, soon(5))

        assert got == 302
        assert len(server.received) == 1
        assert canary.received == []


async def test_nothing_compressed_is_asked_for_and_no_cookie_returned(outgoing: Outgoing) -> None:
    async with serving(answer({}, headers={"Set-Cookie": "user=one; Path=/"}), answer({})) as server:
        await outgoing.send(request(server.url), served, soon(5))
        await outgoing.send(request(server.url), served, soon(5))

    first, second = (received.headers for received in server.received)
    assert first["Accept-Encoding"] == "identity"
    assert "Cookie" not in second


async def test_150_requests_at_once_wait_for_no_connection(outgoing: Outgoing) -> None:
    all_are_here = asyncio.Event()

    async def once_all_are_here(request: web.Request) -> web.StreamResponse:
        if len(server.received) == 150:
            all_are_here.set()
        await all_are_here.wait()
        return await answer({})(request)

    async with serving(once_all_are_here) as server:
        deadline = soon(5)
        answers = await asyncio.gather(*(outgoing.send(request(server.url), served, deadline) for _ in range(150)))

    assert answers == [{}] * 150


async def test_requests_share_a_connection(outgoing: Outgoing) -> None:
    async with serving(answer({})) as server:
        for _ in range(3):
            await outgoing.send(request(server.url), served, soon(5))

    assert len({received.port for received in server.received}) == 1


def test_each_event_loop_has_a_session_of_its_own() -> None:
    shared = Outgoing()

    async def main() -> Any:
        async with serving(answer({"ok": True})) as server:
            first = await shared.send(request(server.url), served, soon(5))
            await shared.close()
            second = await shared.send(request(server.url), served, soon(5))
            await shared.close()
            return first, second

    assert [asyncio.run(main()) for _ in range(2)] == [({"ok": True}, {"ok": True})] * 2


async def test_what_is_no_json_object_or_array_is_worth_another_attempt(outgoing: Outgoing) -> None:
    async def second_answer(body: bytes) -> Any:
        async with serving(answer(body), answer({"ok": True})) as server:
            return await outgoing.send(request(server.url), served, soon(5)), len(server.received)

    bodies = [b"[1,", b'"text"', b"3", b"null", b"\xff\xfe", b'{"a": NaN}', b"[" * 100_000, b'{"a": "\\ud800"}']

    assert await asyncio.gather(*map(second_answer, bodies)) == [({"ok": True}, 2)] * 8


@pytest.mark.parametrize("fault", [step for _, step in FAULTS], ids=[name for name, _ in FAULTS])
async def test_no_error_holds_a_key_or_an_address(outgoing: Outgoing, fault: upstream.Step) -> None:
    async with serving(fault) as server:
        secrets = {"headers": {"Authorization": "Bearer sk-secret"}, "params": {"key": "sk-secret"}, "json": {"query": "sk-secret"}}
        private = request(f"{server.url}/secret-path", 0.1, **secrets)

        with pytest.raises(CantileverError) as caught:
            await outgoing.send(private, served, soon(0.15))

    told = "".join(traceback.format_exception(caught.value))
    assert "sk-secret" not in told
    assert "secret-path" not in told
    assert "Welcome to the hotel" not in told


ONE_REQUEST = """
import asyncio, json, resource, sys
from functions.adapters.outgoing import Outgoing, Request
from functions.core.deadline import Deadline
from functions.core.errors import CantileverError

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

async def main(url, warm):
    outgoing, said = Outgoing(), []
    for _ in range(1 + warm):
        before = peak()
        try:
            request = Request("The other side", "POST", url, 10, json={"prompt": "private"})
            said.append(await outgoing.send(request, lambda answer: answer.json, Deadline.after(10, asyncio.get_running_loop().time)))
        except CantileverError as error:
            said.append(error.code)
    await outgoing.close()
    print(json.dumps({"said": said, "growth": peak() - before}))

asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""


async def in_a_fresh_process(url: str, *, warm: bool = False, authority: Path | None = None) -> Any:
    """What one request came to, and the process's growth in MiB; with `warm`, after another that is not counted.

    `authority` is the only one that its TLS trusts; None: the machine's.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", ONE_REQUEST, url, str(int(warm))),
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HOME": os.environ["HOME"]} | ({"SSL_CERT_FILE": str(authority)} if authority else {}),
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    return json.loads(out)


@pytest.mark.parametrize("flood", [upstream.gzip_bomb, upstream.huge], ids=["gzip bomb", "197 MB"])
async def test_a_flood_costs_at_most_32_mb_of_memory(flood: upstream.Step) -> None:
    async with serving(answer({"ok": True}), flood) as server:
        came = await in_a_fresh_process(server.url, warm=True)

        assert came["said"] == [{"ok": True}, "upstream_failed"]
        assert came["growth"] <= 32
        assert len(server.received) == 2  # Once flooded, it does not ask again.


@pytest.mark.parametrize(
    ("host", "days", "is_trusted", "said"),
    [
        ("127.0.0.1", 30, True, {"ok": True}),
        ("127.0.0.1", 30, False, "upstream_failed"),
        ("127.0.0.1", -1, True, "upstream_failed"),
        ("127.0.0.2", 30, True, "upstream_failed"),
    ],
    ids=["good", "unknown authority", "expired", "another host's"],
)
async def test_no_prompt_goes_to_a_server_whose_certificate_is_wrong(
    tmp_path: Path, host: str, days: int, is_trusted: bool, said: Any
) -> None:
    tls, authority = certificate(tmp_path, host=host, days=days)
    async with serving(answer({"ok": True}), tls=tls) as server:
        came = await in_a_fresh_process(server.url, authority=authority if is_trusted else None)

        assert came["said"] == [said]
        assert len(server.received) == (1 if said == {"ok": True} else 0)


async def test_https_never_falls_back_to_a_port_that_speaks_plainly(outgoing: Outgoing) -> None:
    async with serving(answer({})) as server:
        with pytest.raises(Upstream):
            await outgoing.send(request(server.url.replace("http:", "https:")), served, soon(2))

        assert server.received == []
