"""Cookies: out of reach of scripts, of other sites' forms and of neighbouring hosts, and for ten minutes at most."""

from datetime import timedelta
from http.cookies import SimpleCookie

import pytest
from starlette.requests import Request
from starlette.responses import Response

from functions.adapters.http.cookies import LONGEST, Cookies

SECURE, LOCAL = Cookies(secure=True), Cookies(secure=False)


def request(*cookies: str) -> Request:
    return Request({"type": "http", "headers": [(b"cookie", cookie.encode("latin-1")) for cookie in cookies]})


def test_a_cookie_has_every_protection_there_is() -> None:
    response = Response()

    SECURE.keep(response, "sign_in", "a.B_c~1-", timedelta(minutes=10))

    assert response.headers.getlist("set-cookie") == ["__Host-sign_in=a.B_c~1-; Path=/; Max-Age=600; HttpOnly; SameSite=Lax; Secure"]
    kept = SimpleCookie(response.headers["set-cookie"])["__Host-sign_in"]
    assert (kept["path"], kept["max-age"], kept["httponly"], kept["samesite"], kept["secure"]) == ("/", "600", True, "Lax", True)
    assert (kept["domain"], kept["expires"]) == ("", "")


def test_over_http_a_cookie_is_kept_all_the_same() -> None:
    response = Response()

    LOCAL.keep(response, "sign_in", "abc", timedelta(seconds=5))

    assert response.headers["set-cookie"] == "sign_in=abc; Path=/; Max-Age=5; HttpOnly; SameSite=Lax"


def test_a_cookie_is_forgotten_as_it_was_set() -> None:
    response = Response()

    SECURE.forget(response, "sign_in")

    assert response.headers["set-cookie"] == "__Host-sign_in=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax; Secure"


def test_several_cookies_stand_beside_each_other() -> None:
    response = Response()

    SECURE.keep(response, "one", "1", LONGEST)
    SECURE.keep(response, "two", "2", LONGEST)

    assert len(response.headers.getlist("set-cookie")) == 2


@pytest.mark.parametrize(
    ("name", "value", "lifetime"),
    [
        ("a", "b\r\nSet-Cookie: c=d", LONGEST),
        ("a", "b; Domain=evil.example", LONGEST),
        ("a", "b\x00", LONGEST),
        ("a", "é", LONGEST),
        ("a", "", LONGEST),
        ("a", "b" * 513, LONGEST),
        ("a\r\nSet-Cookie: c", "d", LONGEST),
        ("a=b; c", "d", LONGEST),
        ("", "d", LONGEST),
        ("a", "b", LONGEST + timedelta(seconds=1)),
        ("a", "b", timedelta(0)),
    ],
)
def test_what_is_no_short_token_is_not_kept(name: str, value: str, lifetime: timedelta) -> None:
    response = Response()

    with pytest.raises(ValueError, match="A cookie is"):
        SECURE.keep(response, name, value, lifetime)

    assert "set-cookie" not in response.headers


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (["__Host-sign_in=abc"], "abc"),
        (["a=b; __Host-sign_in=abc; c=d"], "abc"),
        (["a=b", "__Host-sign_in=abc"], "abc"),
        (["  __Host-sign_in=abc  ;"], "abc"),
        ([], None),
        (["sign_in=abc"], None),
        (["__host-sign_in=abc"], None),
        (["__Host-sign_in=abc; __Host-sign_in=abc"], None),
        (["__Host-sign_in=abc", "__Host-sign_in=def"], None),
        (["__Host-sign_in="], None),
        (["__Host-sign_in"], None),
        (['__Host-sign_in="abc"'], None),
        (["__Host-sign_in=a b"], None),
        (["__Host-sign_in=a%20b"], None),
        (["__Host-sign_in=\xe9"], None),
        (["__Host-sign_in=" + "a" * 513], None),
        (["=__Host-sign_in=abc"], None),
    ],
)
def test_a_cookie_is_what_we_set_or_nothing(sent: list[str], kept: str | None) -> None:
    assert SECURE.kept(request(*sent), "sign_in") == kept
