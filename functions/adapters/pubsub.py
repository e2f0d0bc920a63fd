"""A topic of Google Pub/Sub, over its REST API (infra/decisions/0012).

https://cloud.google.com/pubsub/docs/reference/rest/v1/projects.topics/publish
"""

from base64 import b64encode
from collections.abc import Mapping

from functions.adapters.credentials import Credential
from functions.adapters.outgoing import Answer, Outgoing, Request
from functions.core.deadline import Deadline
from functions.core.errors import Refused

SERVER = "Pub/Sub"

PRODUCTION = "https://pubsub.googleapis.com"

ATTEMPT_SECONDS = 1.0
"""Pub/Sub answers in tens of milliseconds. An instance that was told to stop has 10 s for all that it hands on."""

_REFUSALS = {
    401: "does not accept our token: check the function's service account",
    403: "does not let us publish: grant the function's service account roles/pubsub.publisher on TURNS_TOPIC",
    404: "has no such topic: create it, or correct TURNS_TOPIC",
}
"""What to do about a status."""


class PubSubTopic:
    """The topic that `topic` names (`projects/…/topics/…`); at `emulator_host`, Google's emulator, which takes no credential."""

    def __init__(self, outgoing: Outgoing, credential: Credential, topic: str, *, emulator_host: str | None = None) -> None:
        self._outgoing = outgoing
        self._credential = credential
        base = f"http://{emulator_host}" if emulator_host else PRODUCTION
        self._url = f"{base}/v1/{topic}:publish"

    async def publish(self, text: str, deadline: Deadline) -> None:
        """Publish one message. Where an acknowledgement is lost it is published again, so whoever gets it must bear it twice.

        Raises:
            Upstream: Pub/Sub failed, was busy or did not answer; whether the message was published is then unknown.
            DeadlinePassed: the deadline passed; so it is then.
            Refused: the token, the right, or the topic is wrong.
        """
        message = {"data": b64encode(text.encode()).decode("ascii")}
        headers = _headers(await self._credential.token(deadline))
        request = Request(SERVER, "POST", self._url, ATTEMPT_SECONDS, headers=headers, json={"messages": [message]})
        await self._outgoing.send(request, _read, deadline)


def _headers(token: str) -> Mapping[str, str]:
    return {"Authorization": f"Bearer {token}"} if token else {}


def _read(answer: Answer) -> None:
    answer.require_served()
    if answer.status >= 300:
        raise Refused(f"{SERVER} {_REFUSALS.get(answer.status, 'does not take our message: check TURNS_TOPIC')} (status {answer.status}).")
