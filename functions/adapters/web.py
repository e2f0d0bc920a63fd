"""The outside world as one operation sees it: the APIs that it names, and no other, until one deadline."""

import json
from collections import OrderedDict
from collections.abc import Collection, Mapping
from typing import Any

from pydantic import SecretStr
from yarl import URL

from functions.adapters.outgoing import Answer, Outgoing, Request
from functions.core.capability import Api, Query
from functions.core.deadline import Deadline
from functions.core.errors import CapabilityFault, Refused

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


class BoundWeb:
    """`Web` (core/capability.py) bound to one operation's APIs and to one deadline; `urls` and `keys` are settings, by the API's name."""

    def __init__(
        self,
        outgoing: Outgoing,
        kept: Kept,
        apis: Collection[Api],
        deadline: Deadline,
        *,
        urls: Mapping[str, str],
        keys: Mapping[str, SecretStr],
    ) -> None:
        self._outgoing = outgoing
        self._kept = kept
        self._apis = apis
        self._deadline = deadline
        self._urls = urls
        self._keys = keys

    async def get(self, api: Api, path: str, **query: Query) -> Any:
        """The JSON at `path` below the API's address (core/capability.py has the contract).

        Raises:
            CapabilityFault: the operation does not name `api`, or `path` leaves the API's address.
        """
        if api not in self._apis:
            raise CapabilityFault(f"The operation reaches for {api.name} and does not name it: add it to @operation(apis=…).")
        segments = path.split("/")
        if any(segment in ("", ".", "..") for segment in segments):
            raise CapabilityFault(f"The operation asks {api.name} for a path that leaves its address: name every segment.")
        params = {name: _text(value) for name, value in query.items()}
        if api.key_parameter and api.name in self._keys:
            params[api.key_parameter] = self._keys[api.name].get_secret_value()
        # Each segment is quoted by itself: a "?" in an identifier stays part of it.
        url = URL(self._urls.get(api.name, api.base_url)).joinpath(*segments)
        request = Request(api.name, "GET", url, ATTEMPT_SECONDS, params=params)
        if not api.reusable:
            return await self._outgoing.send(request, lambda answer: _read(api, answer), self._deadline)
        asked = url.with_query(params)
        answer = self._kept.find(asked, self._deadline.clock())
        if answer is None:
            answer = await self._outgoing.send(request, lambda answer: _read(api, answer), self._deadline)
            self._kept.keep(asked, answer, self._deadline.clock() + api.reusable.total_seconds())
        return answer


def _text(value: Query) -> str:
    if isinstance(value, str | int | float):
        return str(value)
    return ",".join(value)


def _read(api: Api, answer: Answer) -> Any:
    """The answer's JSON. A request that is refused is never repeated: it is ours that is wrong."""
    answer.require_served()
    if answer.status < 300:
        return answer.json
    if answer.status < 400:
        raise Refused(f"{api.name} redirects, and no redirect is followed: correct {api.url_setting}.")
    if answer.status in (401, 403):
        key = f"check {api.key_setting}" if api.key_setting else "it takes no key, so its terms or our address are the cause"
        raise Refused(f"{api.name} refuses us (status {answer.status}): {key}.")
    raise Refused(f"{api.name} refuses what the operation asks (status {answer.status}): correct the operation, or {api.url_setting}.")
