"""What a person sees of us in a browser: text stays text, every answer is private and unframed, and there is one kind of redirect."""

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import get_args

import pytest
from starlette.requests import Request
from starlette.responses import Response

from functions.adapters.http.answers import status_of
from functions.adapters.http.browser import Browser
from functions.adapters.http.languages import LANGUAGES, Language
from functions.core import errors
from functions.core.browser_views import Problem, View
from functions.core.claimed import shown
from functions.core.errors import CantileverError, Invalid
from functions.core.oauth.wire import OAuthError
from tests import views
from tests.payloads import PAYLOADS

ASSETS = Path(__file__).parents[2] / "functions/assets/browser"
BROWSER = Browser(ASSETS, "Cantilever", "https://plugin.example")
GOOGLE = "https://accounts.google.com/o/oauth2/v2/auth?client_id=1"

SPLITTING = "https://a.example/\r\nSet-Cookie: a=b"

EVERY_PAGE = [(name, language) for language in LANGUAGES for name in views.pages(language)]


def request(language: Language = "en", **headers: str) -> Request:
    told = {"accept-language": language, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return Request(
        {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": [(n.encode(), v.encode()) for n, v in told.items()]}
    )


class Read(HTMLParser):
    """A page as a browser takes it apart: its tags with their attributes' names, the attributes' values, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, tuple[str, ...]]] = []
        self.values: list[str] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, tuple(name for name, _ in attrs)))
        self.values += [value for _, value in attrs if value]

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_comment(self, data: str) -> None:
        self.tags.append(("!--", ()))


def drawn(view: View, language: Language = "en") -> str:
    return bytes(BROWSER.page(view, request(language)).body).decode()


def every_error(base: type[CantileverError] = CantileverError) -> Iterator[CantileverError]:
    extra = {"allowed": ("GET", "POST")} if base is errors.MethodNotAllowed else {}
    yield OAuthError("invalid_request", "What happened.") if base is OAuthError else base("What happened.", **extra)
    for kind in base.__subclasses__():
        yield from every_error(kind)


def every_answer() -> Iterator[tuple[str, Response]]:
    for name, language in EVERY_PAGE:
        yield f"{name} {language}", BROWSER.page(views.pages(language)[name], request(language), form_goes_to=[GOOGLE])
    for error in every_error():
        yield error.code, BROWSER.problem(error, request())
    yield "redirect", BROWSER.see_other(GOOGLE)
    yield "own path", BROWSER.see_other("/account")
    yield "download", BROWSER.download("{}", "my-data.json")


@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_text_of_others_never_becomes_a_part_of_the_page(payload: str) -> None:
    tried = 0
    for name, view in views.pages().items():
        plain, page = (Read(drawn(views.filled(view, text))) for text in ("a word", payload))

        assert page.tags == plain.tags, name
        tried += len(list(views.places(view)))

    assert tried > 100
    assert len(set(PAYLOADS)) == 40


@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_text_of_others_is_shown_to_the_letter(payload: str) -> None:
    view = views.replaced(views.consent(views.CHATGPT), ("choices", 0, "text"), payload)

    assert shown(payload) in Read(drawn(view)).text


def test_no_hidden_character_of_others_reaches_a_page() -> None:
    hidden = "a\u202eb\u200bc\u2066d\x00e\ufefff\U000e0041g\u00adh\ud800i\x1bj"
    for name, view in views.pages().items():
        page = drawn(views.filled(view, hidden))

        assert not set(page) & set(hidden) - set("abcdefghij"), name


@pytest.mark.parametrize(("name", "language"), EVERY_PAGE)
def test_every_page_is_without_script_and_fetches_nothing_but_the_logo(name: str, language: Language) -> None:
    page = drawn(views.pages(language)[name], language)

    read = Read(page)
    assert {tag for tag, _ in read.tags} & {"script", "iframe", "object", "embed", "base", "form-control"} == set()
    assert [
        attribute for _, attributes in read.tags for attribute in attributes if attribute.startswith("on") or attribute == "style"
    ] == []
    assert re.findall(r'src="([^"]*)"|<link[^>]*href="([^"]*)"', page) == [("", "/logo.png"), ("/logo.png", "")]
    assert f'<html lang="{"zh-Hans" if language == "zh" else "en"}">' in page
    assert "{" not in re.sub(r"<style>.*?</style>", "", page, flags=re.S)


def test_every_answer_is_kept_by_nobody_framed_by_nobody_and_tells_no_referrer() -> None:
    for name, answer in every_answer():
        policy = dict(part.strip().partition(" ")[::2] for part in answer.headers["content-security-policy"].split(";"))

        assert answer.headers["cache-control"] == "no-store", name
        assert answer.headers["pragma"] == "no-cache", name
        assert answer.headers["referrer-policy"] == "no-referrer", name
        assert answer.headers["x-frame-options"] == "DENY", name
        assert answer.headers["x-content-type-options"] == "nosniff", name
        assert (policy["default-src"], policy["frame-ancestors"], policy["base-uri"]) == ("'none'",) * 3, name
        assert "unsafe" not in answer.headers["content-security-policy"], name
        assert not [header for header in answer.headers if header.startswith("access-control")], name


def test_the_policy_names_our_style_and_where_the_form_may_go() -> None:
    view = views.pages()["consent"]

    answer = BROWSER.page(
        view, request(), form_goes_to=[GOOGLE, "http://127.0.0.1:33418/cb?x=1", "cursor://x/cb", "http://[::1]:33418/cb", GOOGLE]
    )

    policy = answer.headers["content-security-policy"]
    assert policy.endswith("; form-action 'self' https://accounts.google.com http://127.0.0.1:33418 cursor: http:")
    assert re.search(r"; img-src 'self'; style-src 'sha256-[A-Za-z0-9+/]{43}='; ", policy)


@pytest.mark.parametrize(
    "url", [SPLITTING, "https://a.example;script-src *", "https://a.example, default-src *", "javascript:alert(1)", "*"]
)
def test_nothing_else_gets_into_the_policy(url: str) -> None:
    with pytest.raises(Invalid):
        BROWSER.page(views.pages()["consent"], request(), form_goes_to=[url])


@pytest.mark.parametrize(
    "url",
    [
        "https://chatgpt.com/aip/g-1/oauth/callback?code=a%2Fb&state=%E5%8C%97%0d%0aSet-Cookie:%20x",
        "https://chatgpt.com/?q={}|^`<>\"'",
        "http://127.0.0.1:33418/callback?state=a+b&state=a%20b#f",
        "cursor://anysphere.cursor-retrieval/oauth/callback?code=1",
        "/account?from=consent",
        "/",
    ],
)
def test_a_redirect_is_303_to_exactly_this_address(url: str) -> None:
    answer = BROWSER.see_other(url)

    assert (answer.status_code, answer.headers["location"]) == (303, url)


@pytest.mark.parametrize(
    "url",
    [
        SPLITTING, "https://a.example/\n", "https://a.example/ b", "https://a.example/\x00", "https://a.example/é", "https://北京.example/",
        "javascript:alert(1)", "data:text/html,x", "//evil.example/", "/\\evil.example/", "https://a@b.example/", "evil.example", "",
    ],
)  # fmt: skip
def test_a_redirect_leads_nowhere_that_browsers_read_otherwise(url: str) -> None:
    with pytest.raises(Invalid):
        BROWSER.see_other(url)


@pytest.mark.parametrize("name", ["a.json\r\nX: y", 'a".json', "../a.json", "a.html", ""])
def test_a_download_has_a_plain_name(name: str) -> None:
    with pytest.raises(ValueError, match="plain name"):
        BROWSER.download("{}", name)


def test_a_download_is_saved_and_not_shown() -> None:
    answer = BROWSER.download('{"a": "<script>"}', "my-data.json")

    assert answer.headers["content-disposition"] == 'attachment; filename="my-data.json"'
    assert answer.headers["content-type"] == "application/json"
    assert answer.body == b'{"a": "<script>"}'


def test_nothing_that_a_browser_sends_gets_into_a_header() -> None:
    asked = request(accept_language="zh\r\nX-Evil: 1, en", cookie="a=b\r\nX-Evil: 1", user_agent="x\r\nX-Evil: 1")

    answers = [BROWSER.page(views.pages()["consent"], asked), BROWSER.problem(Invalid("a\r\nX-Evil: 1"), asked)]

    assert "x-evil" not in str([answer.raw_headers for answer in answers]).lower()


@pytest.mark.parametrize("error", list(every_error()), ids=lambda error: type(error).__name__)
def test_every_error_is_a_page_with_its_status(error: CantileverError) -> None:
    answer = BROWSER.problem(error, request("zh"), reference="4f1c0a9b")

    assert answer.status_code == status_of(error) >= 400
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "4f1c0a9b" in bytes(answer.body).decode()
    assert "What happened." in bytes(answer.body).decode()
    assert answer.headers.get("allow") == ("GET, POST" if isinstance(error, errors.MethodNotAllowed) else None)
    assert "www-authenticate" not in answer.headers


def test_a_page_says_when_to_come_back() -> None:
    answer = BROWSER.problem(errors.Overloaded("Full.", retry_after=timedelta(seconds=90)), request())

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "90")


def test_an_edge_may_know_better_what_went_wrong() -> None:
    titles = {kind: Read(bytes(BROWSER.problem(Invalid("x"), request(), kind).body).decode()).text for kind in get_args(Problem)}

    assert len(set(titles.values())) == len(get_args(Problem))
    assert "This took too long" in titles["expired"]


def test_a_consent_page_says_who_asks_for_what_and_where_it_leads() -> None:
    page = Read(drawn(views.pages()["consent-device"]))

    for words in ("Codex wants to use Cantilever", "127.0.0.1:33418", "mei.lin@example.com", "Connected before", "on this device"):
        assert words in page.text
    for title, text, scopes in views.WORDS["en"].values():
        assert all(words in page.text for words in (title, text, *scopes))
    assert {"t0ken", "/oauth/consent", "calendar", "docs", "weather", "gmail", "deny", "allow"} <= set(page.values)
    assert sum("checked" in attributes for _, attributes in page.tags) == 3


def test_a_consent_page_says_nothing_of_what_it_does_not_know() -> None:
    known, unknown = (Read(drawn(views.pages()[name])).text for name in ("consent", "consent-app"))

    assert "Not connected before" in known
    assert "onnect" not in unknown.partition("Google account")[2].partition("What it may use")[0]


def test_only_a_client_that_names_itself_is_doubted() -> None:
    known, itself = (Read(drawn(views.pages()[name])).text for name in ("consent", "consent-impostor"))

    doubts = ("nobody has checked it", "letters that look like others", "letters of another alphabet")
    assert [doubt for doubt in doubts if doubt in known] == []
    assert [doubt for doubt in doubts if doubt in itself] == list(doubts)
    assert "xn--tgt-5cd6fc86f.com" in itself
    assert "A program without a name wants" in Read(drawn(views.pages()["consent-nameless"])).text


def test_an_account_page_says_who_may_what_since_when() -> None:
    english, chinese = (Read(drawn(views.account(language), language)).text for language in LANGUAGES)

    for words in (
        "mei.lin@example.com",
        "Connected on 3 November 2026",
        "Last used on 25 November 2026",
        "Not used yet",
        "It may use nothing",
    ):
        assert words in english
    for words in ("当前账号：mei.lin@example.com", "2026年11月3日连接", "最近使用：2026年11月25日", "尚未使用"):
        assert words in chinese


def test_a_denied_page_links_back_to_the_address_it_shows() -> None:
    page = Read(drawn(views.pages()["denied"]))

    assert "Go back to xn--tgt-5cd6fc86f.com" in page.text
    assert views.pages()["denied"].back in page.values  # type: ignore[union-attr]


def test_the_texts_are_whole_in_every_language() -> None:
    texts = json.loads((ASSETS / "texts.json").read_text("utf-8"))

    for key, said in texts.items():
        assert set(said) == set(LANGUAGES), key
        assert all(said.values()), key
        assert len({tuple(sorted(set(re.findall(r"{\w*}", text)))) for text in said.values()}) == 1, key
        assert not re.search("[\u4e00-\u9fff]", said["en"]), key


def test_every_text_is_on_some_page() -> None:
    texts = json.loads((ASSETS / "texts.json").read_text("utf-8"))
    pages = {
        language: " ".join(" ".join(Read(drawn(view, language)).text.split()) for view in views.pages(language).values())
        for language in LANGUAGES
    }

    for key, said in texts.items():
        for language, text in said.items():
            parts = [part.strip() for part in re.split(r"{\w+}", text) if part.strip(" .")]

            # Labels for those who listen are attributes.
            assert all(part in pages[language] for part in parts) or key == "consent.who", (key, language)


def test_templates_never_switch_escaping_off() -> None:
    for path in ASSETS.glob("*.html"):
        assert not re.search(r"\|\s*safe|autoescape|Markup|<script|style=", path.read_text("utf-8")), path.name


def test_a_template_that_prints_what_is_no_text_is_found_out() -> None:
    with pytest.raises(TypeError, match="prints text, not int"):
        drawn(views.replaced(views.consent(views.CHATGPT), ("form_token",), 5))  # type: ignore[arg-type]
