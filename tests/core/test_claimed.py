"""A client's own name and address, as a person may see them."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.core.browser_views import ShownClient
from functions.core.claimed import MOST_OF_A_NAME, Destination, destination, mixes_letters, shown, shown_name
from functions.core.errors import Invalid

EVERY_HIDDEN = [
    character for character in map(chr, range(0x110000)) if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")
]


@pytest.mark.parametrize(
    ("name", "seen"),
    [
        ("ChatGPT", "ChatGPT"),
        ("北京助手", "北京助手"),
        ("مساعد", "مساعد"),
        ("Zoë\u0308's Café", "Zoë̈'s Café"),
        ("Ch\u200batGPT", "ChatGPT"),
        ("\u202eTPGtahC", "TPGtahC"),
        ("Chat\u2066GPT\u2069", "ChatGPT"),
        ("Chat\u00adGPT", "ChatGPT"),
        ("Chat\U000e0047\U000e0050GPT", "ChatGPT"),
        ("Chat\ud800GPT", "ChatGPT"),
        ("Chat\ue000GPT", "ChatGPT"),
        ("Chat\x00\x1b[31mGPT", "Chat[31mGPT"),
        ("ChatGPT\r\nSet-Cookie: a=b", "ChatGPT Set-Cookie: a=b"),
        ("  Chat \u00a0\u3000\u2028 GPT\t", "Chat GPT"),
        ("\u3164\u2800\u115f\uffa0", ""),
        ("", ""),
        ("e\u0301\u0301\u0301\u0301\u0301\u0301\u0301", "é\u0301\u0301\u0301"),
        ("a" * 61, "a" * 59 + "…"),
        ("\u200b" * 100_000 + "ChatGPT", ""),
    ],
)
def test_a_name_is_one_line_of_what_can_be_seen(name: str, seen: str) -> None:
    assert shown_name(name) == seen


def test_no_hidden_character_of_unicode_is_left_in_a_name() -> None:
    seen = "".join(shown_name(f"a{character}b") for character in EVERY_HIDDEN)

    assert set(seen) == {"a", "b", " "}


@given(st.text(st.characters(), max_size=200))
def test_any_text_can_be_shown_and_sent(text: str) -> None:
    seen, name = shown(text), shown_name(text)

    assert [character for character in seen if unicodedata.category(character)[0] == "C"] == []
    assert len(name) <= MOST_OF_A_NAME
    assert name.encode().decode() == name
    assert shown(seen) == seen


@pytest.mark.parametrize("name", ["СhatGPT", "ChatGРT", "𝐂𝐡𝐚𝐭𝐆𝐏𝐓", "ＣｈａｔＧＰＴ", "Ⓒhat", "Claudе", "Gοogle"])
def test_a_name_of_letters_that_look_alike_is_doubtful(name: str) -> None:
    assert mixes_letters(name)
    assert ShownClient("c", name, destination("https://a.example"), known=False).doubtful_name
    assert not ShownClient("c", name, destination("https://a.example"), known=True).doubtful_name


@pytest.mark.parametrize(
    "name",
    ["ChatGPT", "北京 Assistant 助手", "Яндекс Алиса", "カレンダー calendar", "مساعد AI", "한국어 Bot", "Ελληνικά 2", "🤖", "Assistant™ ①"],
)
def test_a_name_in_any_one_alphabet_is_not_doubtful(name: str) -> None:
    assert not mixes_letters(name)


@pytest.mark.parametrize(
    ("uri", "place", "seen", "origin"),
    [
        ("https://chatgpt.com/aip/g-1/oauth/callback", "web", "chatgpt.com", "https://chatgpt.com"),
        ("HTTPS://ChatGPT.com:443?x=@y", "web", "chatgpt.com", "https://chatgpt.com"),
        ("https://chatgpt.com:8443/", "web", "chatgpt.com:8443", "https://chatgpt.com:8443"),
        ("https://chatgpt.com./", "web", "chatgpt.com.", "https://chatgpt.com."),
        ("http://plain.example/", "web", "http://plain.example", "http://plain.example"),
        ("https://192.0.2.7/cb", "web", "192.0.2.7", "https://192.0.2.7"),
        ("https://[2001:DB8::0:1]/cb", "web", "[2001:db8::1]", "https://[2001:db8::1]"),
        ("https://сһаtgрt.com/", "web", "xn--tgt-5cd6fc86f.com", "https://xn--tgt-5cd6fc86f.com"),
        ("https://xn--80ak6aa92e.com/", "web", "xn--80ak6aa92e.com", "https://xn--80ak6aa92e.com"),
        ("https://аррӏе.com/", "web", "xn--80ak6aa92e.com", "https://xn--80ak6aa92e.com"),
        ("https://faß.example/", "web", "xn--fa-hia.example", "https://xn--fa-hia.example"),
        ("https://BÜCHER.example", "web", "xn--bcher-kva.example", "https://xn--bcher-kva.example"),
        ("https://bu\u0308cher.example", "web", "xn--bcher-kva.example", "https://xn--bcher-kva.example"),
        ("https://北京.example", "web", "xn--1lq90i.example", "https://xn--1lq90i.example"),
        ("https://google.com。evil.example", "web", "google.com.evil.example", "https://google.com.evil.example"),
        ("https://google.com．evil.example", "web", "google.com.evil.example", "https://google.com.evil.example"),
        ("http://localhost:6274/oauth/callback", "device", "localhost:6274", "http://localhost:6274"),
        ("http://127.0.0.1/cb", "device", "127.0.0.1", "http://127.0.0.1"),
        ("http://[0:0::1]:33418/", "device", "[::1]:33418", "http://[::1]:33418"),
        ("cursor://anysphere.cursor-retrieval/oauth", "app", "cursor:", "cursor:"),
        ("com.example.app:/callback", "app", "com.example.app:", "com.example.app:"),
    ],
)
def test_an_address_is_shown_as_a_browser_reads_it(uri: str, place: str, seen: str, origin: str) -> None:
    found = destination(uri)

    assert (found.place, found.shown, found.origin) == (place, seen, origin)


@pytest.mark.parametrize(
    "uri",
    [
        "https://chatgpt.com@evil.example/",
        "https://chatgpt.com:443@evil.example/",
        "https://evil.example\\@chatgpt.com/",
        "https://chatgpt.com\\.evil.example/",
        "https://chatgpt%2ecom.evil.example/",
        "https://evil.example%2f.chatgpt.com/",
        "https:///evil.example",
        "https:evil.example",
        "https:/evil.example",
        "https://",
        "https://:443/",
        "https://.evil.example/",
        "https://a..b/",
        "https://./",
        "https://../",
        "https://2130706433/",
        "https://0x7f.1/",
        "https://127.1/",
        "https://0177.0.0.1/",
        "https://1.2.3.4.5/",
        "https://[::1/",
        "https://[zz]/",
        "https://[::1]x/",
        "https://chat\u00adgpt.com/",
        "https://chat\u200dgpt.com/",
        "https://\u202emoc.tpgtahc/",
        "https://chatgpt.com\t.evil.example/",
        "https://chatgpt.com \r\nLocation: x",
        "https://a<b.example/",
        "https://a\u2215b.example/\x00",
        "https://a.example:99999999/",
        "https://" + "a" * 64 + ".example/",
        "https://" + "a." * 127 + "example/",
        "https://" + "b\u00fc" * 60 + ".example/",
        " https://chatgpt.com/",
        "java\nscript:alert(1)",
        "javascript:alert(1)",
        "JavaScript://chatgpt.com/%0aalert(1)",
        "data:text/html,<script>",
        "vbscript:x",
        "view-source:https://a",
        "blob:https://chatgpt.com/x",
        "file:///etc/passwd",
        "//chatgpt.com/",
        "/callback",
        ":",
        "",
        "1app:/x",
        "cürsor:/x",
    ],
)
def test_an_address_that_browsers_may_read_otherwise_is_refused(uri: str) -> None:
    with pytest.raises(Invalid):
        destination(uri)


@given(st.text(st.characters(), max_size=60))
def test_any_address_is_shown_in_ascii_or_refused(rest: str) -> None:
    try:
        found: Destination | None = destination(f"https://{rest}")
    except Invalid:
        found = None

    assert found is None or (found.shown.isascii() and found.shown.isprintable() and not set(found.origin) & set(" '\";,<>\\@%"))


def test_letters_of_other_alphabets_are_pointed_out() -> None:
    assert destination("https://аррӏе.com/").foreign_letters
    assert destination("https://login.xn--80ak6aa92e.com/").foreign_letters
    assert not destination("https://chatgpt.com/xn--80ak6aa92e").foreign_letters
