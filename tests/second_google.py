"""A second Google, which none of us wrote: oidc-provider-mock in a process of its own, at Google's paths. `with started() as google`.

It is a provider of its own kind, which our code rightly refuses. So this dresses it as Google, by what a provider may configure, and signs,
redirects and keeps nothing itself. What is bridged, and with `undressed` is not:

- Google's paths, and its name: the provider says that its issuer is wherever it is asked.
- The id_token's header names its key, and `aud` is one text (https://developers.google.com/identity/openid-connect/openid-connect#an-id-tokens-payload);
  the provider names no key and makes a list of the audience, as OpenID Connect also allows.
- A refusal by the person brings back `state` (RFC 6749 section 4.1.2.1), which the provider forgets.
- A client that refreshes may show its secret in the body, as Google takes it; the provider wants it by HTTP Basic there, and there alone.
- Google's scopes are known to it; it knows OpenID Connect's alone, and leaves out others.
- Calendar: a list of nothing for whoever's access token the provider believes. It has no revocation endpoint, and gets none.

`habits` make it a bad one: another issuer, nonce, audience, age or key, or no refresh token.
"""

import argparse
import contextlib
import functools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urljoin

import httpx

from tests.emulators import free_port

PLACES = {"/o/oauth2/v2/auth": "/oauth2/authorize", "/token": "/oauth2/token", "/oauth2/v3/certs": "/jwks"}
"""Google's paths, and the provider's."""

ISSUER_HOST = "accounts.google.com"

CALENDAR = "/calendar/v3/"
GOOGLES_SCOPES = tuple(
    f"https://www.googleapis.com/auth/{name}"
    for name in ("calendar.events.readonly", "calendar.freebusy", "calendar.calendarlist.readonly")
)

ADA = {"sub": "1815", "email": "ada@example.org", "email_verified": True, "name": "Ada Lovelace"}


@dataclass
class SecondGoogle:
    """The running provider, and how a person signs in there."""

    url: str
    http: httpx.Client

    def behaves(self, **habits: Any) -> None:
        """From now on it has these habits, and no others."""
        assert self.http.put("/habits", json=habits).status_code == 204

    def sign_in(self, url: str, person: str = str(ADA["sub"]), *, deny: bool = False) -> str:
        """Go where a client sends the browser, fill the provider's form, and give the address that it leads back to."""
        page = self.http.get(url)
        assert page.status_code == 200, page.text
        assert "<h1>Authorize Client</h1>" in page.text
        said = {"action": "deny"} if deny else {"sub": person}
        back = self.http.post(urljoin(url, str(page.url)), data=said)  # Its form names no address: that is the page's own.
        assert back.status_code == 302, back.text
        return back.headers["location"]

    def withdraw(self, person: str = str(ADA["sub"])) -> None:
        """The person takes back every token there."""
        assert self.http.post(f"/users/{person}/revoke-tokens").status_code == 204


@contextlib.contextmanager
def started() -> Iterator[SecondGoogle]:
    """The provider on a free port, until the block ends."""
    port = free_port()
    command = [sys.executable, "-m", "tests.second_google", f"--port={port}"]
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONWARNINGS": "ignore",
        "AUTHLIB_INSECURE_TRANSPORT": "1",
    }  # Its warnings are its author's.
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, cwd=Path(__file__).parents[1], env=environment, text=True, **pipes) as provider:
        try:
            assert provider.stdout
            url = provider.stdout.readline().strip()  # Once it answers.
            with httpx.Client(base_url=url, trust_env=False, timeout=30) as http:
                yield SecondGoogle(url, http)
        finally:
            provider.kill()


Environ = dict[str, Any]
Application = Callable[[Environ, Callable[..., Any]], Any]


def dressed() -> Application:
    """The provider as Google, a WSGI application."""
    from authlib.jose import RSAKey
    from flask import Response
    from oidc_provider_mock import User, _app, _storage, app

    habits: dict[str, Any] = {}
    other = RSAKey.generate_key(is_private=True)
    RSAKey.generate_key = functools.cache(RSAKey.generate_key)  # One key for both of the providers below, which are to be one.

    class Signing(_app.OpenIDCode):
        """Its own signature, over what Google says."""

        def get_jwt_config(self, grant: Any, client: Any = None) -> Mapping[str, Any]:
            config = super().get_jwt_config(grant, client)
            if habits.get("undressed"):
                return config
            key = _storage.storage.jwk
            named = {"kid": key.thumbprint(), "aud": client.get_client_id()}
            if signer := habits.get("signer"):
                named |= {"key": other.as_dict(is_private=True)} | ({"kid": other.thumbprint()} if signer == "unknown" else {})
            return {**config, **named, **habits.get("claims", {})}

    _app.OpenIDCode = Signing
    _app.RefreshTokenGrant.TOKEN_ENDPOINT_AUTH_METHODS = ["client_secret_post"]
    _storage.Client.SCOPES_SUPPORTED += GOOGLES_SCOPES
    people = [User(sub=ADA["sub"], claims={name: value for name, value in ADA.items() if name != "sub"})]
    providers = {keeps: app(issue_refresh_token=keeps, user_claims=people) for keeps in (True, False)}

    def answer(environ: Environ, start: Callable[..., Any]) -> Any:
        path, query = environ["PATH_INFO"], environ["QUERY_STRING"]
        if path == "/habits":
            habits.clear()
            habits.update(json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))))
            return Response(status=204)(environ, start)
        provider = providers[not habits.get("no_refresh_token")]
        environ["PATH_INFO"] = PLACES.get(path, path)
        if not habits.get("undressed"):
            environ |= {"wsgi.url_scheme": "https", "HTTP_HOST": habits.get("host", ISSUER_HOST)}
        environ["QUERY_STRING"] = _with(query, {name: habits[name] for name in ("nonce", "scope") if name in habits})
        if path.startswith(CALENDAR):
            told: list[str] = []
            b"".join(provider(environ | {"PATH_INFO": "/userinfo"}, lambda status, *_: told.append(status)))
            believed = told[0].startswith("200")
            body = json.dumps({"timeZone": "UTC", "items": []} if believed else {})
            return Response(body, 200 if believed else 401, mimetype="application/json")(environ, start)

        def begun(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
            return start(status, [_remembering(header, query) for header in headers] if not habits.get("undressed") else headers, *more)

        return provider(environ, begun)

    return answer


def _with(query: str, changed: Mapping[str, str]) -> str:
    """A query with parameters changed; one that is empty now is left out."""
    pairs = dict(parse_qsl(query)) | changed
    return urlencode({name: value for name, value in pairs.items() if value}) if changed else query


def _remembering(header: tuple[str, str], query: str) -> tuple[str, str]:
    """A redirect that tells a refusal, with the state that was sent."""
    name, value = header
    state = dict(parse_qsl(query)).get("state")
    if name.lower() != "location" or "error=" not in value or "state=" in value or state is None:
        return header
    return name, f"{value}&state={quote(state, safe='')}"


def main() -> None:
    """Serve until killed. The first line on stdout is the origin, once it answers."""
    from werkzeug.serving import make_server

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    port = parser.parse_args().port
    server = make_server("127.0.0.1", port, dressed(), threaded=True)
    print(f"http://127.0.0.1:{port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
