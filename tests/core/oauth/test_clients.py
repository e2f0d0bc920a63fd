"""Who may ask for tokens, and where their answers may go (T1, T2, A5, C3, C5, C14)."""

import json
from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from functions.core.oauth.clients import (
    MAX_METADATA,
    Client,
    answered,
    authenticate,
    credentials,
    documented,
    is_document,
    may_redirect,
    registered,
    secret_digest,
)
from functions.core.oauth.wire import OAuthError

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
GOOD, DOCUMENT = "https://app.example.com/oauth/callback", "https://app.example.com/oauth/client.json"
CHATGPT = Client(client_id="chatgpt", kind="confidential", name="ChatGPT", secret_digest=secret_digest("s3cret"))
CALLBACK = "https://chatgpt.com/aip/g-0123456789abcdef/oauth/callback"

HOSTILE = [
    "https://app.example.com/oauth/callback/",
    "https://app.example.com/oauth/callback/../evil",
    "https://app.example.com/oauth/callback%2f..%2fevil",
    "https://app.example.com/oauth/callback?x=1",
    "https://app.example.com/oauth/callback#",
    "https://app.example.com/oauth/callback#x",
    "https://app.example.com/oauth//callback",
    "https://app.example.com/oauth/Callback",
    "https://app.example.com/oauth/callbac%6b",
    "https://app.example.com/oauth",
    "https://app.example.com/",
    "https://app.example.com",
    "https://APP.example.com/oauth/callback",
    "HTTPS://app.example.com/oauth/callback",
    "http://app.example.com/oauth/callback",
    "https://app.example.com:443/oauth/callback",
    "https://app.example.com:8443/oauth/callback",
    "https://app.example.com./oauth/callback",
    "https://app.example.com.evil.test/oauth/callback",
    "https://app.example.com@evil.test/oauth/callback",
    "https://app.example.com:x@evil.test/oauth/callback",
    "https://evil.test/https://app.example.com/oauth/callback",
    "https://evil.test?https://app.example.com/oauth/callback",
    "https://evil.test#https://app.example.com/oauth/callback",
    "https://evil.test\\@app.example.com/oauth/callback",
    "https://app.example.com\\.evil.test/oauth/callback",
    "https:\\\\app.example.com\\oauth\\callback",
    "https:/app.example.com/oauth/callback",
    "https:app.example.com/oauth/callback",
    "//app.example.com/oauth/callback",
    "/oauth/callback",
    "app.example.com/oauth/callback",
    " https://app.example.com/oauth/callback",
    "https://app.example.com/oauth/callback ",
    "https://app.example.com/oauth/callback\n",
    "https://app.example.com/oauth/callback\r\nSet-Cookie: a=b",
    "https://app.example.com/oauth/callback\t",
    "https://app.example.com/oauth/callback\x00",
    "https://app.example.com/oauth/callback%00",
    "https://app.example.com/oauth/callback%0d%0aX: y",
    "https://xapp.example.com/oauth/callback",
    "https://app.example.co/oauth/callback",
    "https://аpp.example.com/oauth/callback",
    "https://app.example.com/oauth/callback;x",
    "https://app.example.com/oauth/callback/.",
    "https://app.example.com/oauth/./callback",
    "https://app.example.com%2f@evil.test/oauth/callback",
    "https://app.example.com%00.evil.test/oauth/callback",
    "https://app。example.com/oauth/callback",
    "javascript:alert(1)//https://app.example.com/oauth/callback",
    "javascript://app.example.com/%0aalert(1)",
    "data:text/html,https://app.example.com/oauth/callback",
    "vbscript:x",
    "file:///oauth/callback",
    "blob:https://app.example.com/oauth/callback",
    "com.example.app:/oauth/callback",
    "https://[::ffff:127.0.0.1]/oauth/callback",
    "https://127.0.0.1/oauth/callback",
]


def of(*uris: str, **more: Any) -> Client:
    return registered(json.dumps({"redirect_uris": uris, "client_name": "App", **more}).encode(), "c-1", NOW)


@pytest.mark.parametrize("uri", HOSTILE)
def test_an_address_that_is_not_the_registered_one_to_the_letter_gets_nothing(uri: str) -> None:
    assert len(HOSTILE) == 58
    assert not of(GOOD).redirects_to(uri)
    assert not CHATGPT.redirects_to(uri)


@pytest.mark.parametrize(
    "uri",
    [
        "http://app.example.com/cb",
        "https://user@app.example.com/cb",
        "https://app.example.com/cb#fragment",
        "https://app.example.com\\@evil.test/",
        "https://app.example.com/c\tb",
        "https://app.example.com/c\r\nb",
        "https://10.0.0.1/cb",
        "https://2130706433/cb",
        "https://0x7f.1/cb",
        "https://[::1]/cb",
        "https://аpp.example.com/cb",
        "https://app.example.com./cb",
        "https://app.example.com:0/cb",
        "https://app.example.com:99999/cb",
        "https://localhost/cb",
        "http://localhost@evil.test/cb",
        "http://localhost:80@evil.test/cb",
        "http://127.0.0.2/cb",
        "http://127.0.0.1.evil.test/cb",
        "http://127.1/cb",
        "http://0.0.0.0/cb",
        "javascript:alert(1)",
        "javascript://x/%0aalert(1)",
        "data:text/html,x",
        "com.example.app:/cb",
        "",
    ],
)
def test_an_address_that_is_neither_https_nor_this_machine_cannot_be_registered(uri: str) -> None:
    with pytest.raises(OAuthError) as refused:
        of(uri)

    assert refused.value.error == "invalid_redirect_uri"


LOOPBACK = "http://127.0.0.1:3000/cb"


@pytest.mark.parametrize(
    ("named", "asked"),
    [
        (GOOD, GOOD),
        (GOOD + "?a=b%20c&flag&t=%7e", GOOD + "?a=b%20c&flag&t=%7e"),
        ("https://app.example.com", "https://app.example.com"),
        ("https://app.example.com:8443/cb", "https://app.example.com:8443/cb"),
        ("https://chatgpt.com/connector_platform_oauth_redirect", "https://chatgpt.com/connector_platform_oauth_redirect"),
        (LOOPBACK, LOOPBACK),
        (LOOPBACK, "http://127.0.0.1:49152/cb"),
        (LOOPBACK, "http://127.0.0.1/cb"),
        ("http://127.0.0.1/cb", LOOPBACK),
        ("http://[::1]:3000/cb", "http://[::1]:4000/cb"),
        ("http://localhost:6274/oauth/callback", "http://localhost:6274/oauth/callback"),
        ("http://127.0.0.1:3000/cb?x=1", "http://127.0.0.1:4000/cb?x=1"),
    ],
)
def test_the_registered_address_is_answered_and_of_loopback_the_port_is_free(named: str, asked: str) -> None:
    assert of(named).redirects_to(asked)


@pytest.mark.parametrize(
    ("named", "asked"),
    [
        (LOOPBACK, "http://127.0.0.1:3000/other"),
        (LOOPBACK, "http://127.0.0.1:3000/cb?x"),
        (LOOPBACK, "http://127.0.0.1:3000/cb/"),
        (LOOPBACK, "https://127.0.0.1:3000/cb"),
        (LOOPBACK, "http://[::1]:3000/cb"),
        (LOOPBACK, "http://localhost:3000/cb"),
        (LOOPBACK, "http://127.0.0.1:3000@evil.test/cb"),
        (LOOPBACK, "http://127.0.0.1:03000/cb"),
        (LOOPBACK, "http://127.0.0.1:/cb"),
        (LOOPBACK, "http://127.0.0.2:3000/cb"),
        ("http://localhost:3000/cb", "http://localhost:3001/cb"),
        ("http://localhost:3000/cb", "http://127.0.0.1:3000/cb"),
    ],
)
def test_nothing_but_the_port_of_a_loopback_address_is_free(named: str, asked: str) -> None:
    assert not of(named).redirects_to(asked)


@pytest.mark.parametrize(
    ("uri", "right"),
    [
        (CALLBACK, True),
        ("https://chat.openai.com/aip/plugin-0a1b2c3d-0000-4000-8000-000000000000/oauth/callback", True),
        (CALLBACK + "/", False),
        (CALLBACK + "?x=1", False),
        (CALLBACK + "\n", False),
        ("https://chatgpt.com.evil.test/aip/g-0/oauth/callback", False),
        ("https://evil.test/https://chatgpt.com/aip/g-0/oauth/callback", False),
        ("https://chatgpt.com/aip/g-0/../../x/oauth/callback", False),
        ("https://chatgpt.com/aip/x-0/oauth/callback", False),
        ("https://chatgpt.com/aip/g-/oauth/callback", False),
        ("http://chatgpt.com/aip/g-0/oauth/callback", False),
        ("https://user@chatgpt.com/aip/g-0/oauth/callback", False),
        ("https://chatgpt.com/connector_platform_oauth_redirect", False),
    ],
)
def test_the_confidential_client_is_answered_at_chatgpts_callback_only(uri: str, right: bool) -> None:
    assert CHATGPT.redirects_to(uri) is right


@pytest.mark.parametrize("method", ["none", "client_secret_post", "client_secret_basic"])
def test_a_registration_makes_a_public_client_whatever_it_asks_for(method: str) -> None:
    client = of(GOOD, token_endpoint_auth_method=method, logo_uri="javascript:alert(1)", client_name="  Ch\u200bat\nGPT\u202e ")

    assert client.public
    assert client.name == "Chat GPT"
    assert answered(client) == {
        "client_id": "c-1",
        "client_id_issued_at": int(NOW.timestamp()),
        "client_name": "Chat GPT",
        "redirect_uris": [GOOD],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
    }


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b"[]",
        b"[1]",
        b'{"redirect_uris": []}',
        b'{"redirect_uris": "https://app.example.com/cb"}',
        b'{"redirect_uris": [1]}',
        b'{"redirect_uris": ["https://app.example.com/cb"], "response_types": [1]}',
        b'{"redirect_uris": ["https://app.example.com/cb"], "grant_types": ["client_credentials"]}',
        b'{"redirect_uris": ["https://app.example.com/cb"], "response_types": ["token"]}',
        json.dumps({"redirect_uris": [f"{GOOD}?{n}" for n in range(11)]}).encode(),
        json.dumps({"redirect_uris": [GOOD], "client_name": "x" * 201}).encode(),
        b'{"redirect_uris": ["https://app.example.com/cb"], "x": "' + b"x" * MAX_METADATA + b'"}',
        b"not JSON",
        b"\xff",
    ],
)
def test_what_is_no_registration_is_refused_in_rfc_7591s_words(body: bytes) -> None:
    with pytest.raises(OAuthError) as refused:
        registered(body, "c-1", NOW)

    assert refused.value.error == "invalid_client_metadata"
    assert refused.value.message.isascii()
    assert not {'"', "\\"} & set(refused.value.message)


ASSERTION, SECRET = "private_key_jwt", "client_secret_basic"


@pytest.mark.parametrize(
    ("said", "served"),
    [
        ({}, True),
        ({"token_endpoint_auth_method": "none"}, True),
        ({"token_endpoint_auth_method": ASSERTION, "token_endpoint_auth_methods_supported": ["none", ASSERTION]}, True),
        ({"token_endpoint_auth_methods_supported": ["none"]}, True),
        ({"token_endpoint_auth_method": ASSERTION}, False),
        ({"token_endpoint_auth_method": ASSERTION, "token_endpoint_auth_methods_supported": [ASSERTION, "tls_client_auth"]}, False),
        ({"token_endpoint_auth_methods_supported": [ASSERTION]}, False),
        ({"token_endpoint_auth_method": "client_secret_jwt"}, False),
        ({"token_endpoint_auth_method": "None"}, False),
        ({"token_endpoint_auth_method": 'x"\\é'}, False),
    ],
    ids=str,
)
def test_a_client_that_cannot_do_without_what_is_not_offered_is_refused(said: dict[str, Any], served: bool) -> None:
    document = {"client_id": DOCUMENT, "redirect_uris": [GOOD], **said}
    made: list[Callable[[], Client]] = [lambda: of(GOOD, **said), lambda: documented(DOCUMENT, json.dumps(document).encode())]

    for make in made:
        if served:
            assert make().public
        else:
            with pytest.raises(OAuthError, match="token_endpoint_auth_methods_supported") as refused:
                make()
            assert refused.value.error == "invalid_client_metadata"
            assert not {'"', "\\", "é"} & set(refused.value.message), "and nothing of what was said"


def test_a_document_may_not_ask_for_a_secret() -> None:
    said = {"client_id": DOCUMENT, "redirect_uris": [GOOD], "token_endpoint_auth_method": SECRET}

    with pytest.raises(OAuthError):
        documented(DOCUMENT, json.dumps(said).encode())


def test_a_document_is_the_client_that_lies_at_its_address() -> None:
    url = "https://chatgpt.com/oauth/client.json"
    said = {"client_id": url, "client_name": "ChatGPT", "redirect_uris": ["https://chatgpt.com/connector_platform_oauth_redirect"]}

    client = documented(url, json.dumps(said).encode())

    assert (client.client_id, client.kind, client.public) == (url, "document", True)
    with pytest.raises(OAuthError) as refused:
        documented(url, json.dumps({**said, "client_id": url + "x"}).encode())
    assert refused.value.error == "invalid_client"
    with pytest.raises(OAuthError):
        documented(url, json.dumps({**said, "client_id": None}).encode())


@pytest.mark.parametrize(
    ("client_id", "right"),
    [
        ("https://chatgpt.com/oauth/client.json", True),
        ("https://client.example.com/", False),
        ("https://client.example.com", False),
        ("https://client.example.com/a/../b", False),
        ("https://client.example.com/./b", False),
        ("https://user@client.example.com/b", False),
        ("https://client.example.com/b#c", False),
        ("http://client.example.com/b", False),
        ("https://127.0.0.1/b", False),
        ("https://2130706433/b", False),
        ("c-0123456789", False),
        ("u-0123456789", False),
    ],
)
def test_only_a_plain_https_address_with_a_path_is_a_document(client_id: str, right: bool) -> None:
    assert is_document(client_id) is right


def basic(text: str | bytes) -> str:
    return "Basic " + b64encode(text.encode() if isinstance(text, str) else text).decode()


@pytest.mark.parametrize(
    ("authorization", "parameters"),
    [
        (None, {"client_id": "chatgpt", "client_secret": "s3cret"}),
        (basic("chatgpt:s3cret"), {}),
        (basic("chatgpt:s3cret"), {"client_id": "chatgpt"}),
        (basic("ch%61tgpt:s3cret"), {}),
    ],
)
def test_a_secret_is_shown_in_the_body_or_by_basic(authorization: str | None, parameters: dict[str, str]) -> None:
    assert authenticate(CHATGPT, credentials(authorization, parameters)) is CHATGPT


@pytest.mark.parametrize("spelled", ["a+b/c%2Bd=", "a%2Bb%2Fc%252Bd%3D", "a%2Bb/c%252Bd="])
def test_by_basic_a_secret_may_be_encoded_or_not(spelled: str) -> None:
    client = CHATGPT.model_copy(update={"secret_digest": secret_digest("a+b/c%2Bd=")})

    assert authenticate(client, credentials(basic(f"chatgpt:{spelled}"), {})) is client
    with pytest.raises(OAuthError):
        authenticate(client, credentials(basic("chatgpt:a b/c+d="), {}))


@pytest.mark.parametrize(
    ("authorization", "parameters", "error"),
    [
        (None, {}, "invalid_client"),
        (None, {"client_id": "chatgpt"}, "invalid_client"),
        (None, {"client_id": "chatgpt", "client_secret": "wrong"}, "invalid_client"),
        (None, {"client_id": "chatgpt", "client_secret": secret_digest("s3cret")}, "invalid_client"),
        (basic("chatgpt:wrong"), {}, "invalid_client"),
        (basic("chatgpt:"), {}, "invalid_client"),
        (basic("chatgpt"), {}, "invalid_client"),
        (basic(b"\xff:\xff"), {}, "invalid_client"),
        (basic("%ff:x"), {}, "invalid_client"),
        ("Basic ???", {}, "invalid_client"),
        ("Basic", {}, "invalid_client"),
        ("Bearer x", {}, "invalid_client"),
        (basic("chatgpt:s3cret"), {"client_secret": "s3cret"}, "invalid_request"),
        (basic("chatgpt:s3cret"), {"client_id": "other"}, "invalid_request"),
    ],
)
def test_a_client_that_is_not_who_it_says_is_refused(authorization: str | None, parameters: dict[str, str], error: str) -> None:
    with pytest.raises(OAuthError) as refused:
        authenticate(CHATGPT, credentials(authorization, parameters))

    assert refused.value.error == error


def test_an_unknown_client_and_a_wrong_secret_are_told_alike() -> None:
    told = []
    for client in (None, CHATGPT):
        with pytest.raises(OAuthError) as refused:
            authenticate(client, credentials(None, {"client_id": "chatgpt", "client_secret": "wrong"}))
        told.append(refused.value.told())

    assert told[0] == told[1]


def test_a_public_client_that_shows_a_secret_is_another() -> None:
    with pytest.raises(OAuthError):
        authenticate(of(GOOD), credentials(None, {"client_id": "c-1", "client_secret": "x"}))
    with pytest.raises(OAuthError):
        authenticate(of(GOOD), credentials(basic("c-1:%00"), {}))
    assert authenticate(of(GOOD), credentials(None, {"client_id": "c-1"})).client_id == "c-1"


def test_may_redirect_accepts_what_clients_of_mcp_use() -> None:
    assert all(
        map(
            may_redirect,
            [
                "https://chatgpt.com/connector/oauth/abc_DEF-1",
                "https://claude.ai/api/mcp/auth_callback",
                "http://127.0.0.1:33418/",
                "http://localhost:6274/oauth/callback",
                "http://[::1]:9000",
            ],
        )
    )
