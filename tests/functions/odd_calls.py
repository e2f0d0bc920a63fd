"""Odd calls to each endpoint of the authorization server, in this process: `python -m tests.functions.odd_calls 20000 [SEED]`.

Each begins as a call that is in order, with a code, a token or a form that is good, and is then spoilt in one to four ways.
"""

import asyncio
import contextlib
import io
import json
import random
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, quote_plus, urlsplit

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message

from functions.adapters.http import Edge, Life
from functions.adapters.http.browser import Browser
from functions.auth import ASSETS, TOKEN_PATHS, Auth
from functions.core.account_session import AccountSession
from functions.core.oauth.linking import Arrived, Consenting, Tab
from functions.core.oauth.records import user_of
from functions.core.oauth.signin import GoogleAnswer, scopes
from functions.core.oauth.tokens import challenge_of
from functions.core.settings import Settings
from tests import authorization
from tests.authorization import CALLBACK, CATALOGUE, CHATGPT_CALLBACK, CHATGPT_ID, CHATGPT_SECRET, ISSUER, AuthorizationServer, SaidByGoogle
from tests.deadlines import soon

MARK = "caNary7"
"""It stands in what is odd, and in no error of ours."""

FORM, JSON = "application/x-www-form-urlencoded", "application/json"
VERIFIER = "v" * 43
TAB = Tab("A" * 22, "secret-of-the-browser-of-the-fuzz")
COOKIE = (f"signin-{TAB.name}".encode(), (TAB.secret or "").encode())
RENEWED = 25
"""After so many calls, what they use up is made anew."""

ODD: Sequence[bytes] = [
    b"", b" ", b"null", b"\x00", b"\xff", b"\xed\xa0\x80", b"\xed\xbf\xbf" + MARK.encode(), b"\xc0\xaf", b"\xf4\x90\x80\x80",
    "é😀漢字".encode(), "\u202e\u200b\ufeff".encode(), "ﬁ①Ⅷ٣".encode(), b"\r\nSet-Cookie: " + MARK.encode() + b"=1", b"\nX-Evil: 1",
    b"\"quoted\" \\ back", b"'; DROP TABLE documents; --", b"<script>alert(1)</script>" + MARK.encode(), b"{{7*7}}{% raw %}", b"%s%n%d{0}{view}",
    b"../../../etc/passwd", b"javascript:alert(1)//" + MARK.encode(), b"https://evil.example/" + MARK.encode(), b"https://[::1", b"https://[v1.x]/a",
    b"http://127.0.0.1:99999/", b"https://client.example.net/oauth/metadata.json", b"https://\xe2\x84\xaa.example/x", b"//evil.example", b"/\\evil.example",
    b"%00%ff%", b"%", b"%u0041", b"&=;+", b"=", b"1e999", b"-1", b"9" * 400, b"." * 300, b"a.b.c", b"v1.k1.", b"v1.k1.A", b"v1..AAAA", b"v1.k1.\xff",
    b"x" * 4096, b"x" * 4097, MARK.encode() * 3000, b"code", b"S256", b"plain", b"openid " * 600, MARK.encode(), b"\t" + MARK.encode(), b"\x7f", b"\x1b[31m",
]  # fmt: skip

ODD_JSON: Sequence[str] = [
    "null", "true", "0", "-1", "1.5", "1e999", "NaN", "Infinity", "9" * 30, "[]", "{}", '[["x"]]', '{"a":{"b":[null]}}', '"\\ud800"', '"\\u0000"', '"\\udfff\\ud800"',
    '"' + MARK + '"', f'["{MARK}"]', f'{{"{MARK}": 1}}', '"\\q"', '"\\u12"', '"', "'x'", "[" * 40 + "]" * 40, "[" * 5000, '"' + "y" * 9000 + '"', "tru", "", "1,2", '"\t"',
]  # fmt: skip

ODD_HEADERS: Sequence[tuple[bytes, bytes]] = [
    (b"authorization", b"Basic"), (b"authorization", b"Basic " + MARK.encode()), (b"authorization", b"Basic Og=="), (b"authorization", b"Basic /////w=="),
    (b"authorization", b"Basic JWVkJWEwJTgwOng="), (b"authorization", b"Basic JTAwOiUwMA=="), (b"authorization", b"basic  Y2hhdGdwdDp3cm9uZw=="), (b"authorization", b"Bearer " + MARK.encode()),
    (b"authorization", b"\xff\xfe"), (b"authorization", b""), (b"authorization", b"Basic " + b"QUFB" * 3000), (b"cookie", b"browser=" + MARK.encode()), (b"cookie", b"__Host-browser=;; =; ="),
    (b"cookie", b"__Host-account=" + MARK.encode()), (b"cookie", b"__Host-browser=\xff"), (b"cookie", b"__Host-browser=a; __Host-browser=b"), (b"cookie", b"a=" * 4000),
    (b"accept-language", b"zh;q=9,*;q=x"), (b"accept-language", b"\xff,," * 300), (b"accept-language", b"zh"), (b"x-forwarded-for", MARK.encode() * 300), (b"x-forwarded-for", b",,,"), (b"x-forwarded-for", b""),
    (b"x-forwarded-host", b"evil.example"), (b"forwarded", b"host=" + MARK.encode()), (b"host", b"evil.example"), (b"host", b""), (b"host", b"[::1"), (b"host", b"\xff"), (b"origin", b"https://evil.example"),
    (b"origin", b"null"), (b"sec-fetch-site", b"cross-site"), (b"sec-fetch-site", MARK.encode()), (b"content-encoding", b"gzip"), (b"content-length", b"-1"), (b"content-length", b"99999999999999999999999"),
    (b"content-length", b"\xb2"), (b"transfer-encoding", b"gzip, chunked"), (b"content-type", b"multipart/form-data; boundary=" + MARK.encode()), (b"content-type", b"text/plain"), (b"content-type", b"\xff"),
    (b"content-type", b"application/json; charset=utf-16"), (b"traceparent", MARK.encode()), (b"x-cloud-trace-context", b"0" * 32 + b"/1"), (b"if-none-match", b"*"), (b"expect", b"100-continue"), (b"range", b"bytes=0-1"),
]  # fmt: skip

SENT_BY_US = frozenset(
    {
        *("allow", "cache-control", "content-disposition", "content-language", "content-length", "content-security-policy", "content-type"),
        *(
            "connection",
            "location",
            "pragma",
            "referrer-policy",
            "retry-after",
            "set-cookie",
            "vary",
            "www-authenticate",
            "x-frame-options",
        ),
        *("x-content-type-options", "access-control-allow-origin", "access-control-allow-methods", "access-control-allow-headers"),
        *("access-control-expose-headers", "access-control-max-age"),
    }
)
ERRORS = frozenset(
    {
        *("invalid_request", "invalid_client", "invalid_grant", "unsupported_grant_type", "invalid_scope", "invalid_target"),
        *("invalid_redirect_uri", "invalid_client_metadata", "temporarily_unavailable"),
    }
)
"""Of RFC 6749, 7591 and 8707, what a caller's fault may be called; the last is for whoever asks too often."""


@dataclass
class Call:
    """A request before it is bytes."""

    method: str
    path: str
    query: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: list[tuple[bytes, bytes]] = field(default_factory=list)
    media: str = FORM
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    raw_query: bytes | None = None
    raw_body: bytes | None = None

    def request(self) -> Request:
        """As a server hands it on."""
        body, media = self.raw_body, self.media
        if body is None and media == JSON:
            body = b"{" + b",".join(b"%s:%s" % (_json(name), _json(value)) for name, value in self.body) + b"}"
        elif body is None:
            body = _encoded(self.body)
        headers = [*self.headers, (b"content-type", media.encode())]
        if not any(name == b"host" for name, _ in headers) or len(body) % 97:
            headers.append((b"host", urlsplit(ISSUER).netloc.encode()))
        query = _encoded(self.query) if self.raw_query is None else self.raw_query
        scope = {"type": "http", "method": self.method, "path": self.path, "query_string": query, "headers": headers}
        arriving: Iterator[Message] = iter([{"type": "http.request", "body": body, "more_body": False}])

        async def receive() -> Message:
            return next(arriving, {"type": "http.disconnect"})

        return Request({**scope, "http_version": "1.1", "client": ("127.0.0.1", 1), "scheme": "http", "server": None}, receive)


def _encoded(pairs: Sequence[tuple[bytes, bytes]]) -> bytes:
    return b"&".join(quote_plus(name).encode() + b"=" + quote_plus(value).encode() for name, value in pairs)


def _json(value: bytes) -> bytes:
    """JSON text; what is JSON already and not text stands under a NUL."""
    return value[1:] if value[:1] == b"\x00" and len(value) > 1 else json.dumps(value.decode(errors="surrogateescape")).encode()


class Fuzz:
    """An edge, and calls that were in order."""

    def __init__(self, place: AuthorizationServer, seed: int) -> None:
        self.place = place
        self.random = random.Random(seed)
        self.edge = _edge(place)
        self.statuses: Counter[tuple[str, int]] = Counter()
        self.good: dict[str, bytes] = {}

    async def run(self, calls: int, told: Callable[[str], None] = lambda line: None) -> None:
        """So many calls to each endpoint. Raises AssertionError with the first answer that is wrong."""
        for name in ENDPOINTS:
            for number in range(calls):
                if number % RENEWED == 0:
                    await self._renew()
                await self.one(name)
            met = {status: count for (endpoint, status), count in sorted(self.statuses.items()) if endpoint == name}
            told(f"{name}: {calls} calls, {met}")

    async def one(self, name: str) -> None:
        """One call to one endpoint."""
        call = ENDPOINTS[name](self)
        for _ in range(self.random.choice([1, 1, 1, 2, 2, 3, 4])):
            self.random.choice(SPOILT)(self, call)
        request = call.request()
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            response = await self.edge(request)
        self.statuses[name, response.status_code] += 1
        if fault := _fault(call, response, output.getvalue()):
            raise AssertionError(
                f"{fault}\n{call}\n{response.status_code} {response.raw_headers}\n{bytes(response.body)[:2000]!r}\n{output.getvalue()}"
            )

    async def _renew(self) -> None:
        """A client, a way over Google, a code and tokens that are all good."""
        place, good = self.place, self.good
        body = json.dumps({"redirect_uris": [CALLBACK], "client_name": "App"}).encode()
        if not good:  # One for all, or the account page gets as long as the fuzz.
            good["client_id"] = (await place.directory.register(body, soon()))["client_id"].encode()
        good["form_token"] = f"{TAB.name}~{(await self._page()).sealed}".encode()
        good["code"] = await self._code()
        form = {"grant_type": "authorization_code", "code": (await self._code()).decode(), "client_id": good["client_id"].decode()}
        told = await place.issuing.token(None, {**form, "code_verifier": VERIFIER}, soon())
        good |= {name: told[name].encode() for name in ("access_token", "refresh_token")}
        session = AccountSession(place.sealer, place.clock)
        good["session"] = session.opened(user_of("person")).encode()
        good["account_token"] = session.form_token(good["session"].decode()).encode()
        good["state"] = (await self._to_google())["state"].encode()  # The last, for Google answers the last alone.

    async def _page(self) -> Consenting:
        asked = {"response_type": "code", "client_id": self.good["client_id"].decode(), "redirect_uri": CALLBACK}
        challenge = {"code_challenge": challenge_of(VERIFIER), "code_challenge_method": "S256"}
        found = await self.place.linking.authorize({**asked, **challenge}, TAB, soon())
        assert isinstance(found, Consenting)
        return found

    async def _to_google(self) -> Mapping[str, str]:
        url = await self.place.linking.consented((await self._page()).sealed, TAB, ["calendar"], soon())
        asked = dict(parse_qsl(urlsplit(url).query))
        answer = GoogleAnswer("person", "person@example.com", "", scopes(CATALOGUE, ["calendar"]), "1//refresh")
        self.place.google.codes["from-google"] = SaidByGoogle(answer, asked["nonce"], asked["code_challenge"])
        return asked

    async def _code(self) -> bytes:
        way = {"state": (await self._to_google())["state"], "code": "from-google"}
        found = await self.place.linking.came_back(way, TAB, soon())
        assert isinstance(found, Arrived)
        return dict(parse_qsl(urlsplit(found.url or "").query))["code"].encode()

    def visitor(self, *cookies: tuple[bytes, bytes]) -> list[tuple[bytes, bytes]]:
        """The headers of somebody who has not come before, for registrations are counted."""
        address = b"2001:db8:%x:%x::1" % (self.random.getrandbits(16), self.random.getrandbits(16))
        kept = b"; ".join(b"__Host-%s=%s" % cookie for cookie in cookies)
        return [(b"x-forwarded-for", address), *([(b"cookie", kept)] if kept else [])]


# Calls that are in order


def _authorize(fuzz: Fuzz) -> Call:
    asked = [(b"response_type", b"code"), (b"state", b"of the client"), (b"scope", b"calendar")]
    if fuzz.random.random() < 0.3:
        query = [*asked, (b"client_id", CHATGPT_ID.encode()), (b"redirect_uri", CHATGPT_CALLBACK.encode())]
    else:
        pkce = [(b"code_challenge", challenge_of(VERIFIER).encode()), (b"code_challenge_method", b"S256")]
        query = [
            *asked,
            *pkce,
            (b"client_id", fuzz.good["client_id"]),
            (b"redirect_uri", CALLBACK.encode()),
            (b"resource", f"{ISSUER}/mcp".encode()),
        ]
    return Call("GET", "/oauth/authorize", query, headers=fuzz.visitor())


def _allow(fuzz: Fuzz) -> Call:
    return Call("GET", "/oauth/allow", [(b"client_id", fuzz.good["client_id"]), (b"capability", b"calendar")], headers=fuzz.visitor())


def _consent(fuzz: Fuzz) -> Call:
    decision = fuzz.random.choice([b"allow", b"deny"])
    body = [(b"form_token", fuzz.good["form_token"]), (b"decision", decision), (b"capability", b"calendar"), (b"capability", b"docs")]
    return Call("POST", "/oauth/consent", body=body, headers=fuzz.visitor(COOKIE))


def _callback(fuzz: Fuzz) -> Call:
    query = [(b"state", fuzz.good["state"]), (b"code", b"from-google"), (b"scope", b"openid email")]
    return Call("GET", "/oauth/callback", query, headers=fuzz.visitor(COOKIE))


def _as_client(fuzz: Fuzz) -> list[tuple[bytes, bytes]]:
    if fuzz.random.random() < 0.7:
        return [(b"client_id", fuzz.good["client_id"])]
    return [(b"client_id", CHATGPT_ID.encode()), (b"client_secret", CHATGPT_SECRET.encode())]


def _token(fuzz: Fuzz) -> Call:
    code = [(b"grant_type", b"authorization_code"), (b"code", fuzz.good["code"]), (b"redirect_uri", CALLBACK.encode())]
    refresh = [(b"grant_type", b"refresh_token"), (b"refresh_token", fuzz.good["refresh_token"]), (b"scope", b"calendar")]
    granted = fuzz.random.choice([[*code, (b"code_verifier", VERIFIER.encode())], refresh])
    return Call("POST", "/oauth/token", body=[*granted, *_as_client(fuzz)], media=fuzz.random.choice([FORM, JSON]), headers=fuzz.visitor())


def _revoke(fuzz: Fuzz) -> Call:
    token = fuzz.good[fuzz.random.choice(["refresh_token", "access_token"])]
    body = [(b"token", token), (b"token_type_hint", b"refresh_token"), *_as_client(fuzz)]
    return Call("POST", "/oauth/revoke", body=body, media=fuzz.random.choice([FORM, JSON]), headers=fuzz.visitor())


def _register(fuzz: Fuzz) -> Call:
    said = {"redirect_uris": [CALLBACK], "client_name": "App", "grant_types": ["authorization_code"], "response_types": ["code"]}
    body = [(name.encode(), b"\x00" + json.dumps(value).encode()) for name, value in said.items()]
    return Call("POST", "/oauth/register", body=body, media=JSON, headers=fuzz.visitor())


def _jwks(fuzz: Fuzz) -> Call:
    return Call("GET", "/oauth/jwks", headers=fuzz.visitor())


def _account(fuzz: Fuzz) -> Call:
    return Call("GET", "/account", headers=fuzz.visitor((b"account", fuzz.good["session"])))


def _change_account(fuzz: Fuzz) -> Call:
    deed = fuzz.random.choice([b"remove_capability", b"remove_client", b"export", b"disconnect_google", b"delete", b"sign_in"])
    body = [(b"do", deed), (b"form_token", fuzz.good["account_token"]), (b"client", fuzz.good["client_id"]), (b"capability", b"calendar")]
    cookies = [(b"account", fuzz.good["session"]), COOKIE]
    return Call("POST", "/account", body=[*body, (b"sure", b"yes")], headers=fuzz.visitor(*cookies))


ENDPOINTS: Mapping[str, Callable[[Fuzz], Call]] = {
    "authorize": _authorize,
    "allow": _allow,
    "consent": _consent,
    "callback": _callback,
    "token": _token,
    "revoke": _revoke,
    "register": _register,
    "jwks": _jwks,
    "account": _account,
    "change_account": _change_account,
}


# Ways to spoil one


def _parameters(fuzz: Fuzz, call: Call) -> list[tuple[bytes, bytes]]:
    """Those of the query or of the body, more often where the endpoint reads them."""
    return call.query if (call.method == "GET") != (fuzz.random.random() < 0.05) else call.body


def _odd_value(fuzz: Fuzz, call: Call) -> None:
    pairs = _parameters(fuzz, call)
    if pairs:
        place = fuzz.random.randrange(len(pairs))
        pairs[place] = (pairs[place][0], _odd(fuzz, call))


def _half_odd_value(fuzz: Fuzz, call: Call) -> None:
    """Good text with something odd in it."""
    pairs = _parameters(fuzz, call)
    if pairs:
        place = fuzz.random.randrange(len(pairs))
        name, value = pairs[place]
        at = fuzz.random.randint(0, len(value))
        pairs[place] = (name, value[:at] + fuzz.random.choice(ODD) + value[at + fuzz.random.randint(0, 3) :])


def _odd_name(fuzz: Fuzz, call: Call) -> None:
    _parameters(fuzz, call).append((fuzz.random.choice(ODD), _odd(fuzz, call)))


def _repeated(fuzz: Fuzz, call: Call) -> None:
    pairs = _parameters(fuzz, call)
    if pairs:
        name, value = fuzz.random.choice(pairs)
        pairs.insert(fuzz.random.randrange(len(pairs) + 1), (name, fuzz.random.choice([value, _odd(fuzz, call)])))


def _left_out(fuzz: Fuzz, call: Call) -> None:
    pairs = _parameters(fuzz, call)
    if pairs:
        pairs.pop(fuzz.random.randrange(len(pairs)))


def _many(fuzz: Fuzz, call: Call) -> None:
    _parameters(fuzz, call).extend((b"p%d" % number, _odd(fuzz, call)) for number in range(fuzz.random.choice([5, 41, 101, 1001])))


def _known_name(fuzz: Fuzz, call: Call) -> None:
    """Something that OAuth knows, and that does not belong here."""
    names = [
        b"prompt",
        b"response_mode",
        b"request",
        b"request_uri",
        b"error",
        b"iss",
        b"code",
        b"resource",
        b"client_secret",
        b"scope",
        b"state",
    ]
    _parameters(fuzz, call).append((fuzz.random.choice(names), _odd(fuzz, call)))


def _odd_header(fuzz: Fuzz, call: Call) -> None:
    name, value = fuzz.random.choice(ODD_HEADERS)
    if fuzz.random.random() < 0.5:
        call.headers = [kept for kept in call.headers if kept[0] != name]
    call.headers.insert(0, (name, value))


def _other_media(fuzz: Fuzz, call: Call) -> None:
    call.media = fuzz.random.choice([FORM, JSON, FORM + "; charset=utf-8", JSON + ";charset=latin-1", "", "text/html", "é"])


def _raw(fuzz: Fuzz, call: Call) -> None:
    made = (
        fuzz.random.choice(ODD_JSON).encode()
        if fuzz.random.random() < 0.5
        else fuzz.random.randbytes(fuzz.random.choice([1, 20, 300, 20_000]))
    )
    whole = b"&".join(fuzz.random.sample(list(ODD), 3)) if fuzz.random.random() < 0.3 else made
    if call.method == "GET":
        call.raw_query = whole
    else:
        call.raw_body = whole


def _cut(fuzz: Fuzz, call: Call) -> None:
    """The body ends too early, or has something behind its end."""
    if call.method == "POST" and call.raw_body is None:
        whole = b"{" + b",".join(b"%s:%s" % (_json(name), _json(value)) for name, value in call.body) + b"}"
        whole = whole if call.media == JSON else _encoded(call.body)
        call.raw_body = whole[: fuzz.random.randint(0, len(whole))] + fuzz.random.choice([b"", b"\xef\xbb\xbf", b"\\", *ODD])


def _other_method(fuzz: Fuzz, call: Call) -> None:
    if fuzz.random.random() < 0.2:
        call.method = fuzz.random.choice(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "FOO"])


def _odd(fuzz: Fuzz, call: Call) -> bytes:
    if call.media == JSON and fuzz.random.random() < 0.5:
        return b"\x00" + fuzz.random.choice(ODD_JSON).encode()
    return fuzz.random.choice(ODD) if fuzz.random.random() < 0.9 else fuzz.random.randbytes(fuzz.random.randint(1, 40))


SPOILT = [
    *(_odd_value, _odd_value, _odd_value, _half_odd_value, _odd_name, _repeated, _left_out, _many),
    *(_known_name, _odd_header, _odd_header, _other_media, _raw, _cut, _other_method),
]


# What every answer has to be


def _fault(call: Call, response: Response, output: str) -> str | None:
    """What is wrong with an answer; None: nothing."""
    headers, body = response.raw_headers, bytes(response.body)
    lines = [json.loads(line) for line in output.splitlines()]
    if response.status_code >= 500 or len(lines) != 1 or lines[0]["severity"] == "ERROR":
        return "an exception, or a log that tells of one"
    if MARK in output:
        return "the log repeats the caller"
    if any(name.decode() not in SENT_BY_US or re.search(rb"[^ -~]", value) for name, value in headers):
        return "a header that is not ours"
    if response.status_code >= 400 and MARK.encode() in b"".join([body, *(value for _, value in headers)]):
        return "an error repeats the caller"
    if call.method == "OPTIONS" and response.status_code == 204:
        return None
    if response.headers.get("cache-control") != "no-store":
        return "an answer that may be kept"
    if call.path in TOKEN_PATHS:
        return _wrong_json(response, body)
    return _wrong_page(response, body)


def _wrong_json(response: Response, body: bytes) -> str | None:
    if response.headers["content-type"] != JSON:
        return "not JSON"
    told: Any = json.loads(body)
    if not isinstance(told, dict):
        return "no object"
    if response.status_code < 300:
        return None if "error" not in told else "an error in a success"
    if set(told) != {"error", "error_description"} or told["error"] not in ERRORS:
        return "not an error of OAuth"
    if not re.fullmatch(r"[ !#-\[\]-~]+", told["error_description"]):
        return "error_description has characters that RFC 6749 section 5.2 does not allow"
    if (response.status_code == 401) != (told["error"] == "invalid_client") or ("www-authenticate" in response.headers) != (
        response.status_code == 401
    ):
        return "401 and invalid_client go together, with a challenge"
    return None


def _wrong_page(response: Response, body: bytes) -> str | None:
    if response.headers.get("x-frame-options") != "DENY" and response.headers["content-type"].startswith("text/html"):
        return "a page that can be framed"
    if response.status_code == 303:
        where = response.headers["location"]
        ways = ("/account", "https://accounts.google.com/", f"{CALLBACK}?", f"{CHATGPT_CALLBACK}?")
        return None if where.startswith(ways) else "a redirect to elsewhere"
    if response.headers["content-type"] == JSON:
        return None if "content-disposition" in response.headers and isinstance(json.loads(body), dict) else "JSON instead of a page"
    text = body.decode()
    if not response.headers["content-type"].startswith("text/html") or "<main" not in text or not text.rstrip().endswith("</html>"):
        return "no page"
    return "markup of the caller's" if "<script" in text else None


def _edge(place: AuthorizationServer) -> Edge:
    environ = {"PUBLIC_BASE_URL": ISSUER, "GOOGLE_CLIENT_ID": "google-client", "FORWARDED_HOPS": "1"}
    secret = {"GOOGLE_CLIENT_SECRET": "s", "TOKEN_PUBLIC_KEYS": place.public_jwks, "SEALING_KEYS": place.keys[0]}
    settings = Settings.read({**environ, **secret}, CATALOGUE.apis)
    session, browser = AccountSession(place.sealer, place.clock), Browser(ASSETS, settings.plugin_name, ISSUER)
    return Auth(
        settings, CATALOGUE, place.directory, place.linking, place.issuing, place.accounts, session, place.public_jwks, browser, Life()
    ).edge()


async def fuzz(calls: int, seed: int = 1, told: Callable[[str], None] = lambda line: None) -> Counter[tuple[str, int]]:
    """So many odd calls to each endpoint; gives how often each endpoint answered with each status."""
    with authorization.on_sqlite() as store:
        running = Fuzz(AuthorizationServer(store), seed)
        try:
            await running.run(calls, told)
        finally:
            await store.close()
    return running.statuses


if __name__ == "__main__":
    asyncio.run(fuzz(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1, print))
