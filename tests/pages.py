"""A site that shows every page of the sign-in, filled, and another that attacks it: `with pages.served() as (site, outside)`."""

import contextlib
import html
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from functions.adapters.http import Incoming
from functions.adapters.http.browser import Browser
from functions.core.browser_views import View
from functions.core.errors import CantileverError
from tests import views
from tests.deadlines import soon
from tests.emulators import free_port
from tests.payloads import PAYLOADS

ASSETS = Path(__file__).parents[1] / "functions/assets"

NO_ICON = '<link rel="icon" href="data:,">'

FIELDS: dict[str, tuple[str, tuple[tuple[str | int, ...], ...]]] = {
    "name": ("consent-device", (("client", "claimed_name"),)),
    "capability": ("consent", (("choices", 0, "capability"), ("choices", 0, "title"), ("choices", 0, "text"))),
    "scope": ("consent", (("choices", 0, "scopes", 0),)),
    "redirect": ("denied", (("client", "destination", "shown"), ("back",))),
    "state": ("consent", (("form_token",), ("action",), ("person",))),
    "error": ("problem-asked", (("detail",), ("reference",), ("destination", "shown"))),
}
"""What others choose on a page: field -> page and the places that it stands in."""


def attacked(field: str, payload: str) -> View:
    """A page with a hostile text in a field."""
    name, places = FIELDS[field]
    view = {**views.pages(), "consent": views.consent(views.CHATGPT, person="mei@example.com")}[name]
    for where in places:
        view = views.replaced(view, where, payload)
    return view


def site(outside: str, own_port: int) -> Starlette:
    """Ours, with the outside for Google and for a client."""
    browser = Browser(ASSETS / "browser", "Cantilever", f"http://127.0.0.1:{own_port}")
    goes_to = {
        "": [f"{outside}/google"],
        "closed": [],
        "v6": [f"{outside}/google", "http://[::1]:1/client"],
        "app": [f"{outside}/google", "cantilever-test:/app"],
    }

    async def page(request: Request) -> Response:
        view = views.pages(browser.language(request))[request.path_params["name"]]
        answer = browser.page(view, request, form_goes_to=goes_to[request.url.query])
        browser.cookies.keep(answer, "sign_in", "a-secret", views.TEN_MINUTES)
        return answer

    async def attack(request: Request) -> Response:
        view = attacked(request.path_params["field"], PAYLOADS[request.path_params["number"]])
        return browser.page(view, request)

    async def unsafe(request: Request) -> Response:
        payload = PAYLOADS[request.path_params["number"]]
        return HTMLResponse(f'<title>{payload}</title><p title="{payload}">{payload}<button>Allow</button>')

    async def consent(request: Request) -> Response:
        try:
            form = await browser.form(Incoming(request, {}, soon()))
            if form["decision"] == "deny":
                return browser.see_other("/denied")
            chosen = urlencode({"chosen": " ".join(sorted(form.switches["capability"])), "token": form["form_token"]})
            return browser.see_other(f"{outside}/google?{chosen}")
        except CantileverError as error:
            return browser.problem(error, request)

    async def framing(request: Request) -> Response:
        return HTMLResponse(f'<iframe src="{html.escape(request.query_params["page"])}" width="600" height="600"></iframe>')

    async def nothing(request: Request) -> Response:
        return HTMLResponse(f"{NO_ICON}<p>There.</p>")

    return Starlette(
        routes=[
            Route("/page/{name}", page),
            Route("/attack/{field}/{number:int}", attack),
            Route("/unsafe/{number:int}", unsafe),
            Route("/oauth/consent", consent, methods=["POST"]),
            Route("/account", consent, methods=["POST"]),
            Route("/framing", framing),
            Route("/denied", nothing),
            Route("/logo.png", lambda request: FileResponse(ASSETS / "logo.png")),
            Route("/callback", lambda request: browser.see_other(f"{outside}/client?{request.url.query}")),
        ]
    )


def world(own: str) -> Starlette:
    """The others: Google, which sends everybody on at once; a client; and a page that frames us and sends our form."""

    async def google(request: Request) -> Response:
        return RedirectResponse(f"{own}/callback?{request.url.query}", 302)

    async def client(request: Request) -> Response:
        return HTMLResponse(f"{NO_ICON}<p>Connected.</p>")

    async def framing(request: Request) -> Response:
        return HTMLResponse(f'<iframe src="{html.escape(request.query_params["page"])}" width="600" height="600"></iframe>')

    async def attack(request: Request) -> Response:
        fields = '<input name="form_token" value="t0ken"><input name="decision" value="allow"><button>Win a prize</button>'
        return HTMLResponse(f'<form method="post" action="{own}/oauth/consent">{fields}</form>')

    return Starlette(routes=[Route("/google", google), Route("/client", client), Route("/framing", framing), Route("/attack", attack)])


@contextlib.contextmanager
def served() -> Iterator[tuple[str, str]]:
    """The origins of both, on two names of this machine, which are two sites for a browser."""
    ports = free_port(), free_port()
    own, outside = f"http://127.0.0.1:{ports[0]}", f"http://localhost:{ports[1]}"
    with running(site(outside, ports[0]), ports[0]), running(world(own), ports[1]):
        yield own, outside


@contextlib.contextmanager
def running(application: Starlette, port: int) -> Iterator[None]:
    """Serve in a thread for as long as it is wanted."""
    server = uvicorn.Server(uvicorn.Config(application, host="127.0.0.1", port=port, log_level="error", ws="none", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        late = time.monotonic() + 10
        while not server.started:
            assert time.monotonic() < late, "the server did not start"
            time.sleep(0.01)
        yield
    finally:
        server.should_exit = True
        thread.join(10)
