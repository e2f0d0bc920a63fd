"""The documents that clients are, fetched from wherever somebody says (CIMD).

https://datatracker.ietf.org/doc/draft-ietf-oauth-client-id-metadata-document/ sections 5 and 8.6. Each fetch has a session of its own.
The one for everything else (outgoing.py) reaches addresses from the settings, tries again, and remembers each origin for ever, none of
which may be done for a stranger.
"""

import asyncio
import re
import ssl
from collections.abc import Callable

import aiohttp
from aiohttp import abc
from yarl import URL

from functions.adapters.public_address import NotPublic, PublicNames, SystemNames, is_public
from functions.core.deadline import Deadline
from functions.core.errors import DeadlinePassed, Invalid, Upstream

MAX_URL = 2000  # characters; a client_id is shown to people, and should be short (section 3 of the draft)
MAX_DOCUMENT = 64 * 1024  # bytes; ChatGPT's has two thousand

FETCH_SECONDS = 2.0
"""From the name to the last byte. A person waits for it, before they have seen anything of ours."""

MAX_FETCHES = 8
"""At a time, for everybody together: somebody's slow server must not hold more of ours."""

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_NAME = rf"(?=[^/:?]{{1,253}}(?:[/:?]|$))(?:{_LABEL}\.)+(?=[A-Za-z]){_LABEL}"
_SIGN = r"[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2}"
_ADDRESS = re.compile(rf"https://{_NAME}(?::443)?/(?:{_SIGN})*(?:\?(?:{_SIGN}|\?)+)?")
"""A URL of RFC 3986 with a path, and a name for its host: of two labels at least, the last beginning with a letter. So it is none of the spellings of
an IP address (`127.1`, `0x7f.1`, `2130706433`), which aiohttp does not resolve, and nothing that a later reader could take apart otherwise:
yarl reads `①②⑦.⓪.⓪.①` as 127.0.0.1."""

_HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "Cantilever"}
"""Which versions of what we run concerns no stranger."""

SERVER = "The server of the client's document"


class PublicDocuments:
    """`ClientDocuments` (core/oauth/clients.py): by https, from port 443 of public addresses alone, no redirect followed, nothing kept."""

    def __init__(
        self,
        names: abc.AbstractResolver | None = None,
        *,
        public: Callable[[str], bool] = is_public,
        tls: ssl.SSLContext | None = None,
        port: int = 443,
    ) -> None:
        """`names` resolves them; None: the system. `tls` trusts; None: whom aiohttp trusts. `port` is what is connected to for 443."""
        self._names = PublicNames(names or SystemNames(), public)
        self._tls = tls
        self._port = port
        self._places = asyncio.Semaphore(MAX_FETCHES)

    async def fetch(self, url: str, deadline: Deadline) -> bytes:
        """`ClientDocuments.fetch`. Neither the address nor what the other side says is repeated.

        It is not tried again, but that aiohttp itself asks a second time where a connection ends before the answer begins; the name is
        then resolved, and judged, anew.
        """
        if len(url) > MAX_URL or not _ADDRESS.fullmatch(url):
            raise Invalid("A client's document lies at an https URL of a name and a path, at port 443, without a user and a fragment.")
        try:
            async with deadline.limit(), self._places:
                async with asyncio.timeout(FETCH_SECONDS):
                    return await self._fetched(URL(url, encoded=True).with_port(self._port))
        except TimeoutError as error:
            if not deadline.left():
                raise DeadlinePassed("There was no time left for the client's document.") from error
            raise Upstream(f"{SERVER} did not answer within {FETCH_SECONDS:g} seconds; try again later.") from error

    async def _fetched(self, address: URL) -> bytes:
        connector = aiohttp.TCPConnector(resolver=self._names, ssl=self._tls or True, use_dns_cache=False, force_close=True)
        session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=_HEADERS,
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=None),  # `fetch` bounds it.
            trust_env=False,  # No proxy would resolve the name anew, and no .netrc is shown to strangers.
        )
        try:
            async with session, session.get(address, allow_redirects=False) as response:
                return await _document(response)
        except aiohttp.ClientConnectorDNSError as error:
            if isinstance(error.os_error, NotPublic):
                raise Invalid("The client's document is not on the public internet.") from None
            raise Upstream(f"{SERVER} has no address.") from None
        except aiohttp.ClientSSLError:
            raise Upstream(f"{SERVER} cannot be trusted: its TLS handshake or certificate is wrong.") from None
        except (aiohttp.ClientError, OSError):  # None of them is chained: they hold the address and what the other side says.
            raise Upstream(f"{SERVER} could not be reached, or did not answer with HTTP that we understand.") from None


async def _document(response: aiohttp.ClientResponse) -> bytes:
    """The body of a plain answer of JSON, up to the cap."""
    if response.status == 429 or response.status >= 500:
        raise Upstream(f"{SERVER} is busy or failing (status {response.status}); try again later.")
    if response.status != 200:
        raise Invalid(f"Where the client's document should be, there is none (status {response.status}; redirects are not followed).")
    if not re.fullmatch(r"application/(?:[a-z0-9.+-]+\+)?json", response.content_type):
        raise Invalid("The client's document must have the type application/json.")
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise Invalid("The client's document came compressed, which was not asked for.")
    body = bytearray()
    async for part in response.content.iter_any():
        body += part
        if len(body) > MAX_DOCUMENT:
            raise Invalid(f"The client's document has more than {MAX_DOCUMENT} bytes.")
    return bytes(body)
