"""A client's document is fetched from the public internet and from nowhere else (T32, C13), and costs little whoever serves it.

The names are resolved by the tests, which call 127.0.0.1 the public internet where something shall be served; 127.0.0.2 is ours.
"""

import asyncio
import gzip
import socket
import ssl
import time
import traceback
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from aiohttp import abc, web

from functions.adapters import client_documents
from functions.adapters.client_documents import FETCH_SECONDS, MAX_DOCUMENT, MAX_FETCHES, MAX_URL, PublicDocuments
from functions.adapters.public_address import SystemNames
from functions.core.errors import CantileverError, DeadlinePassed, Invalid, Upstream
from functions.core.oauth.clients import documented
from functions.core.oauth.wire import OAuthError
from tests import upstream
from tests.certificates import certificate
from tests.deadlines import soon
from tests.upstream import Server, answer, serving

NAME = "client.example.com"
URL = f"https://{NAME}/oauth/client.json?v=1"
OUTSIDE, INSIDE = "127.0.0.1", "127.0.0.2"


class Names(abc.AbstractResolver):
    """Every name has these addresses; where there are several answers, each question gets the next, the last for ever."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC) -> list[abc.ResolveResult]:
        self.asked.append(host)
        addresses = self.answers[min(len(self.asked), len(self.answers)) - 1]
        if not addresses:
            raise OSError("no such name")
        kinds = [(address, socket.AF_INET6 if ":" in address else socket.AF_INET) for address in addresses]
        return [abc.ResolveResult(hostname=host, host=address, port=port, family=kind, proto=0, flags=0) for address, kind in kinds]

    async def close(self) -> None:
        """Nothing is open."""


class Never(abc.AbstractResolver):
    """A resolver whose name server does not answer."""

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC) -> list[abc.ResolveResult]:
        await asyncio.sleep(3600)
        return []

    async def close(self) -> None:
        """Nothing is open."""


def outside(address: str) -> bool:
    return address == OUTSIDE


@pytest.fixture(scope="module")
def trust(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's TLS for NAME, and a client's that trusts it."""
    server, authority = certificate(tmp_path_factory.mktemp("tls"), host=NAME)
    return server, ssl.create_default_context(cafile=authority)


@asynccontextmanager
async def served(*steps: upstream.Step, trust: tuple[ssl.SSLContext, ssl.SSLContext]) -> AsyncIterator[tuple[Server, PublicDocuments]]:
    """What a server outside does, and who fetches from it."""
    async with serving(*steps, tls=trust[0]) as server:
        port = int(server.url.rpartition(":")[2])
        yield server, PublicDocuments(Names([OUTSIDE]), public=outside, tls=trust[1], port=port)


@asynccontextmanager
async def listening(at: socket.socket, *, silent: bool = False) -> AsyncIterator[tuple[int, list[object]]]:
    """A listener's port, and who has connected to it. Each is left at once or, by a silent one, only when they leave."""
    connected: list[object] = []

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.append(writer.get_extra_info("peername"))
        if silent:
            await reader.read()
        writer.close()

    async with await asyncio.start_server(note, sock=at):
        yield at.getsockname()[1], connected


async def test_a_document_is_fetched_as_it_is(trust: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    async with served(answer(b'{"client_id": "x" }\n'), trust=trust) as (server, documents):
        assert await documents.fetch(URL, soon()) == b'{"client_id": "x" }\n'

    (received,) = server.received
    assert (received.method, received.path, dict(received.query)) == ("GET", "/oauth/client.json", {"v": "1"})
    assert received.headers["Accept-Encoding"] == "identity"
    assert received.headers["Host"].partition(":")[0] == NAME
    assert not {"Cookie", "Authorization", "Referer"} & set(received.headers)
    assert "aiohttp" not in received.headers["User-Agent"]


@pytest.mark.parametrize("path", ["/", "/a", "/a%2Fb/%7e;x=1", "/?a=b?c&d=%20", "//a//", "/a/../b", "/??"])
async def test_an_address_is_asked_for_as_it_is_spelled(path: str, trust: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    lines = []

    async def note(request: web.Request) -> web.StreamResponse:
        lines.append(request.raw_path)
        return web.json_response({})

    async with served(note, trust=trust) as (_, documents):
        await documents.fetch(f"https://{NAME}{path}", soon())

    assert lines == [path]


@pytest.mark.parametrize(
    "kind", ["application/json", "Application/JSON; charset=utf-8", "application/oauth-client+json", "application/vnd.a.b-c+json"]
)
async def test_a_document_is_json_by_its_type(kind: str, trust: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    heading = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: 2\r\n\r\n{{}}"
    async with served(upstream.raw(heading.encode()), trust=trust) as (_, documents):
        assert await documents.fetch(URL, soon()) == b"{}"


HOSTILE = """
https://127.0.0.1/c https://127.0.0.1./c https://127.1/c https://127.0.1/c https://2130706433/c https://0x7f.1/c https://0x7f000001/c
https://0x7f.0.0.0x1/c https://0177.0.0.1/c https://017700000001/c https://127.0.0.01/c https://0/c https://0.0.0.0/c https://127.0.0.1.0x0/c
https://[::1]/c https://[::]/c https://[0:0:0:0:0:0:0:1]/c https://[::ffff:127.0.0.1]/c https://[::ffff:7f00:1]/c https://[64:ff9b::7f00:1]/c
https://[64:ff9b:1::7f00:1]/c https://[2002:7f00:1::]/c https://[::127.0.0.1]/c https://[fe80::1%25lo]/c https://[::1]:443/c
https://①②⑦.⓪.⓪.①/c https://１２７.0.0.1/c https://127。0。0。1/c https://127．0．0．1/c https://⑯⑨｡②⑤④｡⑯⑨｡②⑤④/c https://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ/c
https://localhost/c https://localhost./c https://LOCALHOST/c https://a.localhost/c https://localhost.localdomain/c https://ip6-localhost/c
https://metadata/c https://metadata.google.internal/computeMetadata/v1/ https://metadata.google.internal./c https://169.254.169.254/latest
https://127.0.0.1.nip.example/c https://localtest.example/c https://kubernetes.default.svc/c https://client.example.com./c
https://client.example.com:22/c https://client.example.com:80/c https://client.example.com:8443/c https://client.example.com:0/c
https://client.example.com:/c https://client.example.com:00443/c https://client.example.com:443443/c https://client.example.com:-1/c
https://client.example.com:٤٤٣/c https://127.0.0.1:443/c https://127.0.0.1:22/c
https://user@client.example.com/c https://user:pass@client.example.com/c https://@client.example.com/c https://client.example.com@127.0.0.1/c
https://127.0.0.1@client.example.com/c https://client.example.com:443@127.0.0.1/c https://client.example.com%40127.0.0.1/c
https://client.example.com\\@127.0.0.1/c https://127.0.0.1\\.client.example.com/c https://client.example.com#@127.0.0.1/c
https://client.example.com/c#d https://client.example.com?@127.0.0.1/c https://client.example.com;@127.0.0.1/c https://127.0.0.1%2f.example.com/c
https://127.0.0.1%00.example.com/c https://%31%32%37.0.0.1/c https://127.0.0.1%2ecom/c https://cl%69ent.example.com/c
http://client.example.com/c http://127.0.0.1/c HTTPS://client.example.com/c ftp://127.0.0.1/c file:///etc/passwd file://127.0.0.1/c
gopher://127.0.0.1:22/_x data:application/json,{} javascript:alert(1) unix:///var/run/docker.sock //127.0.0.1/c /c c https:127.0.0.1/c
https:/127.0.0.1/c https:///127.0.0.1/c https:////127.0.0.1/c https://./c https://../c https://.example.com/c https://a..example.com/c
https://-a.example.com/c https://a-.example.com/c https://a_b.example.com/c https://*.example.com/c https://client.example.com/c|d
https://client.example.com https://client.example.com?a https://client.example.com/? https://client.example.com/c%zz https://client.example.com/c<d> https://client.example.com/"c https://client.example.com/é https://exämple.com/c
""".split()

HOSTILE_SPACED = [
    "", " ", f" {URL}", f"{URL} ", f"{URL}\n", f"\t{URL}", f"{URL}\0", "https://client.example.com /c", "https://client.exa\tmple.com/c",
    "https://client.example.com\r\nHost: 127.0.0.1/c", "https://client.example.com/c\r\nX: y", "https://client.example.com/\u202ec",
    "https://client.example.com\u200b/c", "https://\ud83d.example.com/c", f"https://{'a' * 64}.example.com/c", f"https://{'a.' * 127}example.com/c",
    f"https://{NAME}/{'c' * MAX_URL}", "https://" + "a" * 1_000_000, "https://" + "a." * 500_000, "https://" + "a-" * 900,
]  # fmt: skip


@pytest.fixture(scope="module")
async def canary() -> AsyncIterator[tuple[int, list[object]]]:
    """A port of all addresses of this machine, and who has connected to it."""
    if socket.has_dualstack_ipv6():
        opened = socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True)
    else:
        opened = socket.create_server(("0.0.0.0", 0))
    async with listening(opened) as (port, connected):
        yield port, connected


async def test_the_canary_sings(canary: tuple[int, list[object]]) -> None:
    port, connected = canary
    for address in ("127.0.0.1", "127.0.0.2", *["::1"] * socket.has_dualstack_ipv6()):
        connected.clear()

        _, writer = await asyncio.open_connection(address, port)
        writer.close()
        await asyncio.sleep(0.05)

        assert len(connected) == 1
    connected.clear()


@pytest.mark.parametrize(
    "names", [SystemNames(), Names([INSIDE]), Names(["::ffff:127.0.0.1"])], ids=["the system's names", "ours", "mapped"]
)
async def test_no_url_makes_us_connect_to_ourselves(
    names: abc.AbstractResolver, canary: tuple[int, list[object]], trust: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    port, connected = canary
    documents = PublicDocuments(names, tls=trust[1], port=port)

    refused = [await refusal(documents, url) for url in [*HOSTILE, *HOSTILE_SPACED]]

    assert connected == []
    assert len(refused) > 120
    assert set(map(type, refused)) <= {Invalid, Upstream}
    assert [error for error in refused if type(error) is Upstream and not isinstance(names, SystemNames)] == []


async def refusal(documents: PublicDocuments, url: str) -> CantileverError:
    with pytest.raises(CantileverError) as caught:
        await documents.fetch(url, soon(10))
    return caught.value


REFUSED_UNREAD = [
    url
    for url in [*HOSTILE, *HOSTILE_SPACED]
    if not any(name in url for name in ("internal/", "nip.", "localtest.", ".svc", "a.localhost", "localdomain"))
]


@pytest.mark.parametrize("url", REFUSED_UNREAD, ids=range(len(REFUSED_UNREAD)))
async def test_what_is_no_plain_https_address_of_a_name_is_not_even_resolved(url: str) -> None:
    names = Names([OUTSIDE])
    began = time.perf_counter()

    with pytest.raises(Invalid) as caught:
        await PublicDocuments(names, public=outside).fetch(url, soon())

    assert names.asked == []
    assert time.perf_counter() - began <= 0.05
    assert "127" not in caught.value.message


@pytest.mark.parametrize(
    "addresses",
    [[INSIDE], [OUTSIDE, INSIDE], [INSIDE, OUTSIDE], ["::1"], ["169.254.169.254"], ["10.0.0.1"], ["64:ff9b::7f00:1"], ["::ffff:127.0.0.2"]],
    ids=" ".join,
)
async def test_a_name_with_an_address_of_ours_reaches_nothing(
    addresses: list[str], canary: tuple[int, list[object]], trust: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    port, connected = canary
    documents = PublicDocuments(Names(addresses), public=outside, tls=trust[1], port=port)

    with pytest.raises(Invalid, match="public internet"):
        await documents.fetch(URL, soon())

    assert connected == []


async def test_a_name_that_changes_its_mind_is_asked_once_for_each_fetch(trust: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    async with served(answer({}), trust=trust) as (server, _):
        port = int(server.url.rpartition(":")[2])
        async with listening(socket.create_server((INSIDE, port))) as (_, connected):
            names = Names([OUTSIDE], [INSIDE])
            documents = PublicDocuments(names, public=outside, tls=trust[1], port=port)

            first = await documents.fetch(URL, soon())
            with pytest.raises(Invalid, match="public internet"):
                await documents.fetch(URL, soon())

        assert first == b"{}"
        assert names.asked == [NAME, NAME]
        assert len(server.received) == 1
        assert connected == []


async def test_a_name_that_changes_its_mind_while_it_breaks_off_reaches_nothing(trust: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    async with served(upstream.reset, trust=trust) as (server, _):
        port = int(server.url.rpartition(":")[2])
        async with listening(socket.create_server((INSIDE, port))) as (_, connected):
            documents = PublicDocuments(Names([OUTSIDE], [INSIDE]), public=outside, tls=trust[1], port=port)

            with pytest.raises(Invalid, match="public internet"):
                await documents.fetch(URL, soon())

        assert len(server.received) == 1
        assert connected == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308, 300, 201, 204, 206, 400, 401, 404, 410])
async def test_only_a_plain_answer_holds_a_document_and_no_redirect_is_followed(
    status: int, trust: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    async with serving(answer({}), tls=trust[0]) as canary:
        for target in (canary.url, "https://client.example.com/other", "//127.0.0.1/", "/other"):
            async with served(answer(b"{}", status=status, headers={"Location": target}), trust=trust) as (server, documents):
                with pytest.raises(Invalid):
                    await documents.fetch(URL, soon())

                assert len(server.received) == 1
        assert canary.received == []


PACKED = gzip.compress(b"{}")


async def flood(request: web.Request) -> web.StreamResponse:
    """Send 197 MB."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    with suppress(ConnectionResetError):  # The other side has had enough.
        for _ in range(197):
            await response.write(b" " * 1_000_000)
    return response


async def drip(request: web.Request) -> web.StreamResponse:
    """Send a byte every tenth of a second, for ever."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    while True:
        await response.write(b" ")
        await asyncio.sleep(0.1)


NO_DOCUMENT: Mapping[str, tuple[upstream.Step, type[CantileverError]]] = {
    "a page": (answer("<html>canary</html>"), Invalid),
    "no type": (upstream.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"), Invalid),
    "JavaScript": (upstream.raw(b"HTTP/1.1 200 OK\r\nContent-Type: text/javascript\r\nContent-Length: 2\r\n\r\n{}"), Invalid),
    "JSON lines": (upstream.raw(b"HTTP/1.1 200 OK\r\nContent-Type: application/jsonl\r\nContent-Length: 2\r\n\r\n{}"), Invalid),
    "JSON of text": (upstream.raw(b"HTTP/1.1 200 OK\r\nContent-Type: text/json\r\nContent-Length: 2\r\n\r\n{}"), Invalid),
    "gzip": (answer(PACKED, headers={"Content-Encoding": "gzip"}), Invalid),
    "GZIP": (answer(PACKED, headers={"Content-Encoding": "GZIP"}), Invalid),
    "br": (answer(b"x", headers={"Content-Encoding": "br"}), Invalid),
    "gzip over identity": (answer(PACKED, headers={"Content-Encoding": "identity, gzip"}), Invalid),
    "a bomb": (upstream.gzip_bomb, Invalid),
    "a byte too many": (answer(b" " * (MAX_DOCUMENT + 1)), Invalid),
    "197 MB": (flood, Invalid),
    "500": (answer({}, status=500), Upstream),
    "503": (answer({}, status=503), Upstream),
    "429": (answer({}, status=429), Upstream),
    "a reset": (upstream.reset, Upstream),
    "an end without an answer": (upstream.end_at_once, Upstream),
    "a body cut by its length": (upstream.cut_by_length, Upstream),
    "a chunked body that is cut": (upstream.cut_chunked, Upstream),
    "a heading of 100 KB": (upstream.long_line, Upstream),
    "something that is no HTTP": (upstream.no_http, Upstream),
    "1,000 headings": (upstream.raw(b"HTTP/1.1 200 OK\r\n" + b"X-canary: y\r\n" * 1000 + b"\r\n"), Upstream),
    "a cookie that is no header": (upstream.raw(b"HTTP/1.1 200 OK\r\nSet-Cookie canary\r\n\r\n"), Upstream),
}


@pytest.mark.parametrize(("step", "error"), NO_DOCUMENT.values(), ids=NO_DOCUMENT)
async def test_what_is_no_document_is_refused_and_not_repeated(
    step: upstream.Step, error: type[CantileverError], trust: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    async with served(step, trust=trust) as (server, documents):
        with pytest.raises(error) as caught:
            await documents.fetch(f"https://{NAME}/canary-path", soon())

        assert len(server.received) == (2 if step in (upstream.reset, upstream.end_at_once) else 1)

    shown = "".join(traceback.format_exception(caught.value, limit=0))
    assert "canary" not in shown
    assert NAME not in shown


async def test_the_longest_document_is_read_whole(trust: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    async with served(answer(b" " * MAX_DOCUMENT), trust=trust) as (_, documents):
        assert len(await documents.fetch(URL, soon())) == MAX_DOCUMENT


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 60_000,
        b'{"client_id": ' + b"[" * 40 + b"]" * 40 + b"}",
        b"{}",
        b"[]",
        b"null",
        b"\xff\xfe{\0}\0",
        b'{"client_id": "a", "client_id": "b"}',
    ],
    ids=["deeper than any stack", "deeper than we read", "empty", "a list", "nothing", "UTF-16", "a name twice"],
)
async def test_what_is_fetched_is_read_as_strictly_as_all_else(body: bytes, trust: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    async with served(answer(body), trust=trust) as (_, documents):
        fetched = await documents.fetch(URL, soon())

    with pytest.raises(OAuthError):
        documented(URL, fetched)


async def headings_for_ever(request: web.Request) -> web.StreamResponse:
    """Send a heading every tenth of a second."""
    assert request.transport is not None
    request.transport.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        request.transport.write(b"X: y\r\n")
        await asyncio.sleep(0.1)


async def informed_for_ever(request: web.Request) -> web.StreamResponse:
    """Say again and again that the answer is on its way."""
    assert request.transport is not None
    while True:
        request.transport.write(b"HTTP/1.1 102 Processing\r\n\r\n")
        await asyncio.sleep(0.01)


async def test_nobody_is_waited_for_longer_than_two_seconds(trust: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    slow = [upstream.hang, upstream.hang_after_headers, drip, headings_for_ever, informed_for_ever]

    async def seconds(documents: PublicDocuments) -> float:
        began = time.perf_counter()
        with pytest.raises(Upstream, match="did not answer within 2 seconds"):
            await documents.fetch(URL, soon(30))
        return time.perf_counter() - began

    async def from_server(step: upstream.Step) -> float:
        async with served(step, trust=trust) as (_, documents):
            return await seconds(documents)

    async def from_listener() -> float:
        async with listening(socket.create_server((OUTSIDE, 0)), silent=True) as (port, _):
            return await seconds(PublicDocuments(Names([OUTSIDE]), public=outside, port=port))

    took = await asyncio.gather(*map(from_server, slow), from_listener(), seconds(PublicDocuments(Never())))

    assert max(took) <= FETCH_SECONDS + 0.5
    assert min(took) >= FETCH_SECONDS - 0.1


async def test_the_deadline_is_told_apart_from_a_slow_server(trust: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    async with served(drip, trust=trust) as (server, documents):
        with pytest.raises(DeadlinePassed):
            await documents.fetch(URL, soon(0.2))
        with pytest.raises(DeadlinePassed):
            await documents.fetch(URL, soon(0))

        assert len(server.received) == 1


async def test_strangers_hold_no_more_than_their_places(trust: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    at_once, most = 0, 0

    async def counted(request: web.Request) -> web.StreamResponse:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0.05)
        at_once -= 1
        return web.json_response({})

    async with served(counted, trust=trust) as (server, documents):
        await asyncio.gather(*(documents.fetch(URL, soon(10)) for _ in range(3 * MAX_FETCHES)))

        assert most == MAX_FETCHES
        assert len(server.received) == 3 * MAX_FETCHES
        assert len({received.port for received in server.received}) == 3 * MAX_FETCHES, "nothing is kept between two fetches"


async def test_a_place_is_given_back_whatever_came_of_it(trust: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    async with served(*[upstream.hang] * MAX_FETCHES, answer({}), trust=trust) as (_, documents):
        given_up = await asyncio.gather(*(documents.fetch(URL, soon(0.2)) for _ in range(MAX_FETCHES)), return_exceptions=True)

        assert {type(error) for error in given_up} == {DeadlinePassed}
        assert await documents.fetch(URL, soon()) == b"{}"


@pytest.mark.parametrize(
    ("host", "days", "trusted"),
    [(NAME, 30, True), (NAME, 30, False), (NAME, -1, True), ("other.example.com", 30, True), (OUTSIDE, 30, True)],
    ids=["good", "unknown authority", "expired", "another name's", "the address's"],
)
async def test_a_server_that_cannot_prove_its_name_is_sent_nothing(tmp_path: Path, host: str, days: int, trusted: bool) -> None:
    tls, authority = certificate(tmp_path, host=host, days=days)
    good = (host, days, trusted) == (NAME, 30, True)
    async with serving(answer({}), tls=tls) as server:
        port = int(server.url.rpartition(":")[2])
        ours = ssl.create_default_context(cafile=authority) if trusted else None
        documents = PublicDocuments(Names([OUTSIDE]), public=outside, tls=ours, port=port)

        if good:
            assert await documents.fetch(URL, soon()) == b"{}"
        else:
            with pytest.raises(Upstream, match="cannot be trusted"):
                await documents.fetch(URL, soon())

        assert len(server.received) == good


async def test_https_never_falls_back_to_a_port_that_speaks_plainly() -> None:
    async with serving(answer({})) as server:
        port = int(server.url.rpartition(":")[2])
        with pytest.raises(Upstream):
            await PublicDocuments(Names([OUTSIDE]), public=outside, port=port).fetch(URL, soon())

        assert server.received == []


async def test_no_proxy_of_the_environment_is_asked(monkeypatch: pytest.MonkeyPatch, trust: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    async with listening(socket.create_server((OUTSIDE, 0))) as (proxy, connected), served(answer({}), trust=trust) as (_, documents):
        for variable in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(variable, f"http://127.0.0.1:{proxy}")

        assert await documents.fetch(URL, soon()) == b"{}"

    assert connected == []


@pytest.mark.parametrize("names", [Names([]), Names([OUTSIDE])], ids=["no such name", "nobody listens"])
async def test_a_server_that_is_not_there_is_a_failure(names: Names) -> None:
    with pytest.raises(Upstream):
        await PublicDocuments(names, public=outside, port=1).fetch(URL, soon())


def test_port_443_and_public_addresses_are_what_is_used_unless_a_test_says_otherwise() -> None:
    documents = PublicDocuments()

    assert documents._port == 443
    assert documents._tls is None
    assert not documents._names._public("127.0.0.1")
    assert isinstance(documents._names._names, SystemNames)
    assert client_documents.MAX_DOCUMENT == 64 * 1024
