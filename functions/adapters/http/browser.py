"""What a person sees of us in a browser: pages, redirects, cookies and forms. Loaded by the function auth alone, as Jinja2 is."""

import base64
import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Undefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response

from functions.adapters.http.answers import UNGUESSED, failure, status_of
from functions.adapters.http.cookies import Cookies
from functions.adapters.http.forms import MAX_FORM, Form, form_of
from functions.adapters.http.incoming import FORM, Incoming
from functions.adapters.http.languages import Language, language_of
from functions.core import errors
from functions.core.browser_views import AccountView, ConsentView, DeniedView, GoodbyeView, Problem, ProblemView, View
from functions.core.claimed import Destination, destination, shown
from functions.core.errors import CantileverError, Forbidden, Invalid
from functions.core.oauth.wire import Declined, NotConnected, OAuthError, Turned

TEMPLATES: Mapping[type[View], str] = {
    ConsentView: "consent.html",
    AccountView: "account.html",
    DeniedView: "denied.html",
    GoodbyeView: "goodbye.html",
    ProblemView: "problem.html",
}

PROBLEMS: Mapping[type[CantileverError], Problem] = {
    Turned: "expired",
    Declined: "declined",
    NotConnected: "account",
    OAuthError: "client",
    errors.Unauthenticated: "sign_in",
    errors.NotFound: "not_found",
    errors.ChangeRequest: "request",
    errors.TooOften: "often",
    errors.Upstream: "google",
    errors.ClientAway: "later",
    errors.Refused: "google",
    errors.TryLater: "later",
}
"""What a person can do about an error, unless the caller knows better; a class that is not named is its base's, and at last ours."""

PRIVATE = {
    "Cache-Control": "no-store",
    "Pragma": "no-cache",
    "Referrer-Policy": "no-referrer",  # A page's address may hold a code or a state. It makes the Origin of its own forms "null", too.
    "X-Frame-Options": "DENY",
    **UNGUESSED,
}
"""Every page and every redirect: no one keeps it, frames it, or is told where the browser came from."""

UNFRAMED = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'"

SWITCHES = "capability"
"""The field of our forms that may be given several times."""


class Browser:
    """Draws the pages of `assets`, and reads what they send back."""

    def __init__(self, assets: Path, plugin: str, origin: str) -> None:
        """`plugin` is the name for people, `origin` our own address."""
        self.cookies = Cookies(secure=origin.startswith("https://"))
        self._texts: Mapping[str, Mapping[Language, str]] = json.loads((assets / "texts.json").read_text("utf-8"))
        self._plugin = plugin
        style = (assets / "style.css").read_text("utf-8")
        digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
        self._policy = f"{UNFRAMED}; img-src 'self'; style-src 'sha256-{digest}'"
        drawing = Environment(
            loader=FileSystemLoader(assets),
            autoescape=True,
            undefined=StrictUndefined,
            finalize=_printed,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        drawing.globals.update(style=Markup(style), plugin=plugin)  # noqa: S704 - a file of ours
        drawing.filters["date"] = _date
        self._templates = {view: drawing.get_template(name) for view, name in TEMPLATES.items()}

    def language(self, request: Request) -> Language:
        """The language that a page for this request is in, for the texts of its view."""
        return language_of(request)

    def page(self, view: View, request: Request, *, form_goes_to: Sequence[str] = ()) -> Response:
        """200 with the page that shows a view. `form_goes_to`: the URLs that its form may end at, redirect by redirect, besides our own.

        Chromium holds form-action against each redirect of a submitted form (https://github.com/w3c/webappsec-csp/issues/8).

        Raises:
            Invalid: one of the URLs is none that a browser may be sent to.
        """
        return self._drawn(view, request, 200, form_goes_to)

    def problem(
        self,
        error: CantileverError,
        request: Request,
        kind: Problem | None = None,
        reference: str | None = None,
        wanted: Destination | None = None,
    ) -> Response:
        """The page that tells a fault, with its status.

        `kind`: what a person can do about it, where its class does not say. `wanted`: where a client wanted the browser to go back to.
        """
        usual: Problem = next((PROBLEMS[base] for base in type(error).__mro__ if base in PROBLEMS), "ours")
        response = self._drawn(ProblemView(kind or usual, error.message, reference, wanted), request, status_of(error), ())
        told = failure(error).headers
        response.headers.update({name: told[name] for name in ("Allow", "Retry-After", "Connection") if name in told})
        return response

    def see_other(self, url: str) -> Response:
        """303, the only redirect there is: to a URL as it is, or to a path of ours. A 307 would send a form on (RFC 9700 §4.12).

        Raises:
            Invalid: it is none that a browser may be sent to.
        """
        if not re.fullmatch("[!-~]+", url):
            raise Invalid("The address to go on to has characters that no address has.")
        if not re.fullmatch(r"/(?![/\\]).*", url):
            destination(url)
        return Response(status_code=303, headers={"Location": url, "Content-Security-Policy": UNFRAMED, **PRIVATE})

    def download(self, text: str, name: str) -> Response:
        """200 with JSON text to be saved under a name, instead of a page."""
        if not re.fullmatch(r"[a-z0-9-]+\.json", name):
            raise ValueError("A download has a plain name.")
        headers = {"Content-Disposition": f'attachment; filename="{name}"', "Content-Security-Policy": UNFRAMED, **PRIVATE}
        return Response(text, 200, headers, "application/json")

    async def form(self, incoming: Incoming) -> Form:
        """What a form of ours sent.

        Raises:
            Forbidden: a page of another site sent it.
            Malformed, Invalid, UnsupportedMedia, TooLarge, TooSlow: it is no form of ours.
        """
        # What the form's token is for as well. Origin says nothing (PRIVATE); "none" is a person who sends a form again.
        if not {"same-origin", "none"}.issuperset(incoming.request.headers.getlist("sec-fetch-site")):
            raise Forbidden("This form was sent by a page of another site.")
        return form_of(await incoming.body(MAX_FORM, FORM), several={SWITCHES})

    def _drawn(self, view: View, request: Request, status: int, form_goes_to: Sequence[str]) -> Response:
        language = language_of(request)
        page = self._templates[type(view)].render(view=view, language=language, t=self._speaker(language))
        targets = " ".join(dict.fromkeys(["'self'", *map(_source, form_goes_to)]))
        policy = f"{self._policy}; form-action {targets}"
        headers = {"Content-Security-Policy": policy, "Content-Language": language, "Vary": "Accept-Language", **PRIVATE}
        return Response(page, status, headers, "text/html")

    def _speaker(self, language: Language) -> Callable[..., Markup]:
        def t(key: str, **words: str) -> Markup:
            """A text of the table, each word in it apart: a name in another direction does not turn the sentence around."""
            apart = {name: Markup("<bdi>{}</bdi>").format(_printed(word)) for name, word in {"plugin": self._plugin, **words}.items()}
            return Markup.escape(self._texts[key][language]).format(**apart)

        return t


def _printed(value: Any) -> Any:
    """What a template prints: text as it can be seen; it is escaped after this. Anything but text is a mistake in the template."""
    if isinstance(value, Markup | Undefined):
        return value
    if not isinstance(value, str):
        raise TypeError(f"A page prints text, not {type(value).__name__}.")
    return shown(value)


def _source(url: str) -> str:
    """Where a URL leads, as a policy names it: a host in brackets it cannot (https://www.w3.org/TR/CSP3/#grammardef-host-part)."""
    origin = destination(url).origin
    return f"{origin.partition(':')[0]}:" if "[" in origin else origin


def _date(when: datetime, language: Language) -> str:
    """A day, in words, in UTC: we do not know where the person is."""
    day = when.astimezone(UTC)
    return f"{day.year}年{day.month}月{day.day}日" if language == "zh" else f"{day.day} {day:%B} {day.year}"
