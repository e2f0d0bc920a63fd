"""What a client may ask for at the authorization endpoint, and what it is told (T3, T4, T7, T8; C1, C2, C4, C11, C12)."""

from base64 import urlsafe_b64encode
from datetime import UTC, datetime
from hashlib import sha256
from urllib.parse import parse_qsl, quote_from_bytes, urlsplit

import pytest

from functions.adapters.http.forms import MAX_FORM
from functions.adapters.sealing import AesGcmRing, new_key
from functions.core.oauth.authorize import SentBack, Server, accepted, authorize
from functions.core.oauth.clients import Client, secret_digest
from functions.core.oauth.linking import Form
from functions.core.oauth.records import Asked
from functions.core.oauth.wire import OAuthError, form_pairs, json_pairs, redirect, single

SERVER = Server("https://plugin.example.com", ("calendar", "docs"))
URI = "https://app.example.com/cb"
CALLBACK = "https://chatgpt.com/aip/g-0123456789abcdef/oauth/callback"
APP = Client(client_id="c-1", kind="registered", name="App", redirect_uris=(URI, f"{URI}?a=b%20c&flag&t=%7e"))
CHATGPT = Client(client_id="chatgpt", kind="confidential", name="ChatGPT", secret_digest=secret_digest("s3cret"))
CHALLENGE = urlsafe_b64encode(sha256(b"v" * 43).digest()).rstrip(b"=").decode()

ASKED = {
    "response_type": "code",
    "client_id": "c-1",
    "redirect_uri": URI,
    "state": "abc",
    "scope": "calendar",
    "code_challenge": CHALLENGE,
    "code_challenge_method": "S256",
}


def asking(**changed: str | None) -> dict[str, str]:
    return {name: value for name, value in {**ASKED, **changed}.items() if value is not None}


def sent_back(client: Client = APP, **changed: str | None) -> SentBack:
    back = authorize(SERVER, client, asking(**changed))
    assert isinstance(back, SentBack)
    return back


def test_what_is_in_order_is_what_the_consent_page_shows() -> None:
    asked = authorize(SERVER, APP, asking(resource="https://plugin.example.com/mcp"))

    assert asked == Asked(
        client_id="c-1",
        redirect_uri=URI,
        state="abc",
        capabilities=("calendar",),
        challenge=CHALLENGE,
        resource="https://plugin.example.com/mcp",
    )


@pytest.mark.parametrize(
    ("scope", "capabilities"),
    [
        (None, ("calendar", "docs")),
        ("openid email offline_access", ("calendar", "docs")),
        ("docs openid", ("docs",)),
        ("docs calendar docs", ("calendar", "docs")),
    ],
)
def test_a_scope_names_capabilities_and_none_names_all(scope: str | None, capabilities: tuple[str, ...]) -> None:
    asked = authorize(SERVER, APP, asking(scope=scope))

    assert isinstance(asked, Asked)
    assert asked.capabilities == capabilities


@pytest.mark.parametrize("uri", [None, "https://evil.test/cb", f"{URI}/", CALLBACK])
def test_without_an_address_of_the_clients_own_nobody_is_sent_anywhere(uri: str | None) -> None:
    with pytest.raises(OAuthError):
        authorize(SERVER, APP, asking(redirect_uri=uri, scope="bogus"))


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"response_type": None}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": 'a"b'}, "unsupported_response_type"),
        ({"response_type": "code id_token"}, "unsupported_response_type"),
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"prompt": "none"}, "interaction_required"),
        ({"scope": "bogus"}, "invalid_scope"),
        ({"scope": "calendar https://www.googleapis.com/auth/calendar"}, "invalid_scope"),
        ({"resource": "https://evil.test/mcp"}, "invalid_target"),
        ({"resource": "https://plugin.example.com/mcp/"}, "invalid_target"),
        ({"code_challenge": None, "code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge": CHALLENGE[:-1]}, "invalid_request"),
        ({"code_challenge": CHALLENGE + "A"}, "invalid_request"),
        ({"code_challenge": CHALLENGE + "="}, "invalid_request"),
        ({"code_challenge": CHALLENGE[:-1] + "+"}, "invalid_request"),
        ({"code_challenge": CHALLENGE + "\n"}, "invalid_request"),
    ],
)
def test_a_refusal_goes_to_the_client_with_state_and_issuer_but_not_at_once(changed: dict[str, str | None], error: str) -> None:
    back = sent_back(**changed)

    assert not back.at_once, "anybody may register a client, and so an address"
    assert back.url.startswith(f"{URI}?error={error}&")
    told = dict(parse_qsl(urlsplit(back.url).query))
    assert told["iss"] == SERVER.issuer
    assert told["state"] == "abc"
    assert not {'"', "\\"} & set(told["error_description"])


def test_the_confidential_client_may_leave_pkce_out_and_is_answered_at_once() -> None:
    chatgpt = {"client_id": "chatgpt", "redirect_uri": CALLBACK}
    asked = authorize(SERVER, CHATGPT, asking(**chatgpt, code_challenge=None, code_challenge_method=None, scope=None))

    assert isinstance(asked, Asked)
    assert asked.challenge is None
    assert asked.resource == SERVER.issuer
    assert sent_back(CHATGPT, **chatgpt, scope="bogus").at_once
    assert sent_back(CHATGPT, **chatgpt, code_challenge_method="plain").error.error == "invalid_request"
    assert sent_back(CHATGPT, **chatgpt, code_challenge=None).error.error == "invalid_request"


@pytest.mark.parametrize(
    "state",
    [b"abc", b"%00", b"\x00\xff\xfe", "é😀".encode(), b"a+b &=?#%", b"\"'<>\\", b"\r\nSet-Cookie: a=b", b" ", bytes(range(256)) * 8],
)
def test_state_comes_back_byte_for_byte(state: bytes) -> None:
    query = "&".join(f"{name}={quote_from_bytes(value.encode(), '')}" for name, value in asking(state=None).items())
    parameters = single(form_pairs(f"{query}&state={quote_from_bytes(state, '')}".encode()))
    asked = authorize(SERVER, APP, parameters)
    assert isinstance(asked, Asked)

    url = accepted(SERVER, Asked.model_validate_json(asked.model_dump_json()), "the-code")

    assert url.isascii()
    assert url.isprintable()
    assert dict(form_pairs(urlsplit(url).query.encode()))["state"].encode(errors="surrogateescape") == state


@pytest.mark.parametrize("uri", [URI, f"{URI}?{'q' * 1900}"])
def test_whatever_is_accepted_fits_into_the_form_that_comes_back(uri: str) -> None:
    document = f"https://app.example.com/{'a' * 4000}"
    client = APP.model_copy(update={"client_id": document, "name": "漢" * 100, "redirect_uris": (uri,)})
    longest = asking(client_id=document, redirect_uri=uri, state="a" * 2 + '"' * 2730, resource="https://plugin.example.com/mcp")

    asked = authorize(SERVER, client, longest)

    assert isinstance(asked, Asked)
    form = Form(asked=asked, client_name=client.name, at_once=False, expires_at=datetime.now(UTC)).model_dump_json()
    sealed = AesGcmRing(new_key("k" * 32)).seal(form, user="browser", purpose="consent form")
    assert len(sealed) + 1000 < MAX_FORM
    with pytest.raises(OAuthError, match="state is longer"):
        authorize(SERVER, client, {**longest, "state": '"' * 2731})


def test_the_registered_query_is_appended_to_and_never_spelled_anew() -> None:
    url = redirect(f"{URI}?a=b%20c&flag&t=%7e", {"code": "x/y"}, state=None, issuer=SERVER.issuer)

    assert url == f"{URI}?a=b%20c&flag&t=%7e&code=x%2Fy&iss=https%3A%2F%2Fplugin.example.com"


@pytest.mark.parametrize("name", ["redirect_uri", "client_id", "state", "scope", "code_challenge", "response_type", "anything"])
def test_a_repeated_parameter_is_refused(name: str) -> None:
    with pytest.raises(OAuthError) as refused:
        single([*asking().items(), (name, "x"), (name, "x")])

    assert refused.value.error == "invalid_request"


def test_a_repeated_resource_is_an_invalid_target() -> None:
    with pytest.raises(OAuthError) as refused:
        single([("resource", "https://a.test"), ("resource", "https://b.test")])

    assert refused.value.error == "invalid_target"


def test_a_parameter_without_a_value_is_left_out() -> None:
    assert single(form_pairs(b"scope=&state&client_id=c-1")) == {"client_id": "c-1"}


@pytest.mark.parametrize(
    "query", [b"%ff=x", b"&".join(b"a%d=1" % n for n in range(41)), b"client_id=%ff", b"scope=%0a", b"code=" + b"x" * 2049]
)
def test_what_oauth_does_not_allow_is_refused(query: bytes) -> None:
    with pytest.raises(OAuthError) as refused:
        single(form_pairs(query))

    assert refused.value.error == "invalid_request"


@pytest.mark.parametrize("body", [b"[]", b"1", b'{"code": 1}', b'{"code": null}', b'{"code": ["x"]}', b'{"code": {"x": "y"}}'])
def test_a_json_body_is_an_object_of_texts(body: bytes) -> None:
    with pytest.raises(OAuthError):
        json_pairs(body)
