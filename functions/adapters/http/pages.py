"""Web pages of others: which may call us from a browser, and what the browser is told."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from functions.core.errors import Forbidden
from functions.core.setting_kinds import LOOPBACK

CHATGPT = frozenset({"https://chat.openai.com", "https://chatgpt.com"})
"""ChatGPT's front ends, which fetch the documents of a plugin under development from the browser."""


@dataclass(frozen=True, slots=True)
class Pages:
    """CORS for the pages of some origins; the others are told nothing, or refused (https://fetch.spec.whatwg.org/#http-cors-protocol)."""

    origins: frozenset[str]
    methods: str
    headers: str
    """What a page may send; "*" does not cover Authorization."""
    exposed: str = ""
    """What a page may read besides the few headers that every page may."""
    others_refused: bool = False
    """Whether a request that another page sends is refused, as MCP asks of its servers, and not only its answer withheld."""
    loopback: bool = False
    """Whether pages of this machine are welcome, whatever their port: an inspector's."""

    def refuse_others(self, request: Request) -> None:
        """Let no page call that may not.

        Raises:
            Forbidden: the request comes from another page.
        """
        if self.others_refused and any(not self._welcome(origin) for origin in request.headers.getlist("origin")):
            raise Forbidden("Pages of this origin may not call here. MCP_ALLOWED_ORIGINS names those that may.")

    def tell(self, request: Request, response: Response) -> None:
        """Add what the browser wants to know."""
        response.headers["Vary"] = "Origin"
        origin = request.headers.get("origin")
        if origin is None or not self._welcome(origin):
            return
        response.headers["Access-Control-Allow-Origin"] = "*" if "*" in self.origins else origin
        if self.exposed:
            response.headers["Access-Control-Expose-Headers"] = self.exposed
        if request.method == "OPTIONS":
            response.headers["Access-Control-Allow-Methods"] = self.methods
            response.headers["Access-Control-Allow-Headers"] = self.headers
            response.headers["Access-Control-Max-Age"] = "600"

    def _welcome(self, origin: str) -> bool:
        return origin in self.origins or "*" in self.origins or (self.loopback and host_of(origin) in LOOPBACK)


ANYBODY = Pages(frozenset({"*"}), methods="GET, POST, OPTIONS", headers="*, Authorization", exposed="WWW-Authenticate, Retry-After")
"""For what answers everybody alike: a page reads nothing there that its own server could not (an inspector's sign-in needs it)."""


def host_of(url: str) -> str | None:
    """The host's name in a URL; None where there is none, or no URL."""
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None
