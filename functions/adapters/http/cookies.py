"""What a browser keeps for us: short-lived secrets that bind it to what it began (RFC 6265)."""

import re
from dataclasses import dataclass
from datetime import timedelta

from starlette.requests import Request
from starlette.responses import Response

LONGEST = timedelta(minutes=10)
"""A person reads Google's pages in between."""

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_VALUE = re.compile(r"[A-Za-z0-9._~-]{1,512}")


@dataclass(frozen=True, slots=True)
class Cookies:
    """Cookies that scripts cannot read and other sites' forms do not send."""

    secure: bool
    """Whether we are called over https. Then a cookie's name begins with __Host-, so that no neighbouring host can plant it
    (https://datatracker.ietf.org/doc/html/draft-ietf-httpbis-rfc6265bis §4.1.3.2); over http, on this machine alone, it cannot."""

    def keep(self, response: Response, name: str, value: str, lifetime: timedelta) -> None:
        """Ask the browser to keep a value, at most for `LONGEST`."""
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value) or not timedelta(seconds=1) <= lifetime <= LONGEST:
            raise ValueError("A cookie is a short name, a short token, and a lifetime from 1 s to 10 minutes.")
        self._set(response, name, value, round(lifetime.total_seconds()))

    def forget(self, response: Response, name: str) -> None:
        """Ask the browser to forget a value."""
        self._set(response, name, "", 0)

    def kept(self, request: Request, name: str) -> str | None:
        """What the browser keeps under this name; None where it sends nothing, more than one, or what is not ours."""
        pairs = [pair.strip().partition("=") for header in request.headers.getlist("cookie") for pair in header.split(";")]
        found = [value for given, _, value in pairs if given == self._full(name)]
        return found[0] if len(found) == 1 and _VALUE.fullmatch(found[0]) else None

    def _set(self, response: Response, name: str, value: str, seconds: int) -> None:
        told = f"{self._full(name)}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax"
        response.headers.append("Set-Cookie", f"{told}; Secure" if self.secure else told)

    def _full(self, name: str) -> str:
        return f"__Host-{name}" if self.secure else name
