"""The outside world as one operation sees it: the APIs that it names, and no other, until one deadline."""

import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, Protocol

from pydantic import SecretStr
from yarl import URL

from functions.adapters import google_answers, html_text
from functions.adapters.google_answers import TokenRefused
from functions.adapters.outgoing import Answer, Outgoing, Request
from functions.core.capability import Api, Operation, Query
from functions.core.deadline import Deadline
from functions.core.errors import CapabilityFault, Disconnected, Refused, Unauthenticated

ATTEMPT_SECONDS = 2.0
"""An API that has not answered by then seldom does, and a second attempt still fits chat's 5 s."""


MAX_KEPT = 1000  # answers in one process; a geocoding answer has about 1 kB


class Kept:
    """Answers of this process that may be given again, as JSON text: whoever gets one may change it."""

    def __init__(self) -> None:
        self._answers: OrderedDict[URL, tuple[float, str]] = OrderedDict()

    def find(self, url: URL, now: float) -> Any:
        """The answer to `url`, or None."""
        until, text = self._answers.get(url, (now, ""))
        return json.loads(text) if now < until else None

    def keep(self, url: URL, answer: Any, until: float) -> None:
        """Keep an answer until a moment of the deadlines' clock; the oldest makes room."""
        self._answers[url] = (until, json.dumps(answer))
        self._answers.move_to_end(url)
        if len(self._answers) > MAX_KEPT:
            self._answers.popitem(last=False)


class UsersToken(Protocol):
    """Gives the user's access token at Google; with `refused`, another than that, if there is one."""

    async def __call__(self, deadline: Deadline, *, refused: str | None = None) -> str: ...


class BoundWeb:
    """`Web` (core/outside.py) bound to one operation, one deadline and one user.

    `urls` and `keys` are settings, by the API's name. `token` is the user's; it is asked for only where an operation that names scopes
    asks one of Google's APIs, and what such a request is answered is nobody else's: it is not kept.
    """

    def __init__(
        self,
        outgoing: Outgoing,
        kept: Kept,
        operation: Operation,
        deadline: Deadline,
        *,
        urls: Mapping[str, str],
        keys: Mapping[str, SecretStr],
        token: UsersToken | None = None,
    ) -> None:
        self._outgoing = outgoing
        self._kept = kept
        self._operation = operation
        self._deadline = deadline
        self._urls = urls
        self._keys = keys
        self._token = token

    async def get(self, api: Api, path: str, **query: Query) -> Any:
        """`Web.get`."""
        url, key = self._address(api, path)
        params = {name: _value(api, value) for name, value in query.items()} | key
        request = Request(api.name, "GET", url, ATTEMPT_SECONDS, params=params)
        if self._carries_token(api):
            return await self._send_for_user(api, request)
        if not api.reusable:
            return await self._send(api, request)
        asked = url.with_query(params)
        answer = self._kept.find(asked, self._deadline.clock())
        if answer is None:
            answer = await self._send(api, request)
            self._kept.keep(asked, answer, self._deadline.clock() + api.reusable.total_seconds())
        return answer

    async def post(self, api: Api, path: str, body: Mapping[str, Any]) -> Any:
        """`Web.post`."""
        url, key = self._address(api, path)
        request = Request(api.name, "POST", url, ATTEMPT_SECONDS, params=key, json=body)
        return await (self._send_for_user(api, request) if self._carries_token(api) else self._send(api, request))

    def text(self, html: str) -> str:
        """`Web.text`."""
        return html_text.text_of(html)

    def now(self) -> datetime:
        """`Web.now`."""
        return datetime.now(UTC)

    def _address(self, api: Api, path: str) -> tuple[URL, dict[str, str | Sequence[str]]]:
        """Where `path` is below the API's address, and the key that goes with it, where the API takes one.

        Raises:
            CapabilityFault: the operation does not name `api`, or `path` leaves the API's address.
        """
        if api not in self._operation.apis:
            raise CapabilityFault(f"The operation reaches for {api.name} and does not name it: add it to @operation(apis=…).")
        segments = path.split("/")
        if any(segment in ("", ".", "..") for segment in segments):
            raise CapabilityFault(f"The operation asks {api.name} for a path that leaves its address: name every segment.")
        key = self._keys.get(api.name) if api.key_parameter else None
        # Each segment is quoted by itself: a "?" in an identifier stays part of it.
        url = URL(self._urls.get(api.name, api.base_url)).joinpath(*segments)
        return url, {api.key_parameter: key.get_secret_value()} if api.key_parameter and key else {}

    def _carries_token(self, api: Api) -> bool:
        return api.google and bool(self._operation.scopes)

    async def _send(self, api: Api, request: Request) -> Any:
        return await self._outgoing.send(request, partial(_read, api), self._deadline)

    async def _send_for_user(self, api: Api, request: Request) -> Any:
        """Send it with the user's token; where that is refused, once more with a new one (wire.md G6)."""
        operation = self._operation
        if self._token is None:
            raise Unauthenticated(f"{operation.name} needs a signed-in user.", scope=operation.capability)
        token = await self._token(self._deadline)
        try:
            return await self._send_with(token, api, request)
        except TokenRefused:
            newer = await self._token(self._deadline, refused=token)
        with suppress(TokenRefused):
            if newer != token:
                return await self._send_with(newer, api, request)
        raise Disconnected(f"Google takes the user's token no more: connect {operation.capability} again.", scope=operation.capability)

    async def _send_with(self, token: str, api: Api, request: Request) -> Any:
        # Only here, and only in a header: no redirect is followed, so it goes to the API's own address or nowhere.
        bearing = replace(request, headers={"Authorization": f"Bearer {token}"})
        return await self._outgoing.send(bearing, partial(_read_for_user, api, self._operation), self._deadline)


def _value(api: Api, value: Query) -> str | Sequence[str]:
    if isinstance(value, str | int | float):
        return str(value)
    return tuple(value) if api.google else ",".join(value)


def _read(api: Api, answer: Answer) -> Any:
    """The answer's JSON. A request that is refused is never repeated: it is ours that is wrong."""
    answer.require_served()
    if answer.status < 300:
        return answer.json
    if answer.status < 400:
        raise _redirects(api)
    if answer.status in (401, 403):
        key = f"check {api.key_setting}" if api.key_setting else "it takes no key, so its terms or our address are the cause"
        raise Refused(f"{api.name} refuses us (status {answer.status}): {key}.")
    raise Refused(f"{api.name} refuses what the operation asks (status {answer.status}): correct the operation, or {api.url_setting}.")


def _read_for_user(api: Api, operation: Operation, answer: Answer) -> Any:
    """The same of Google, whose refusals depend on the user; those that ask for patience are repeated."""
    answer.require_served()
    if answer.status < 300:
        return answer.json
    raise _redirects(api) if answer.status < 400 else google_answers.refusal(answer, api, operation)


def _redirects(api: Api) -> Refused:
    return Refused(f"{api.name} redirects, and no redirect is followed: correct {api.url_setting}.")
