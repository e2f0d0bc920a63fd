"""A topic of Google's Pub/Sub emulator with a push subscription, made over REST as a deployment makes its own."""

import secrets
from base64 import b64decode, b64encode
from dataclasses import dataclass
from typing import Any

import httpx


@dataclass(frozen=True)
class Pushed:
    """A topic whose messages are pushed; what fails five times goes to a dead-letter topic, where a subscription holds it."""

    address: str
    """The emulator's `host:port`."""
    project: str

    @classmethod
    def to(cls, endpoint: str, address: str) -> "Pushed":
        """A topic in a project of its own, pushed to the URL `endpoint` by the emulator at `address`."""
        pushed = cls(address, f"demo-{secrets.token_hex(8)}")
        pushed._call("PUT", "topics/dead", {})
        pushed._call("PUT", "topics/turns", {})
        pushed._call("PUT", "subscriptions/hold", {"topic": f"projects/{pushed.project}/topics/dead"})
        subscription = {
            "topic": pushed.topic,
            "pushConfig": {"pushEndpoint": endpoint},
            "retryPolicy": {"minimumBackoff": "0.1s", "maximumBackoff": "0.1s"},
            "deadLetterPolicy": {"deadLetterTopic": f"projects/{pushed.project}/topics/dead", "maxDeliveryAttempts": 5},
        }
        pushed._call("PUT", "subscriptions/push", subscription)
        return pushed

    @property
    def topic(self) -> str:
        """Its name as TURNS_TOPIC has it."""
        return f"projects/{self.project}/topics/turns"

    @property
    def environ(self) -> dict[str, str]:
        """What the product needs to publish to it: started(**pushed.environ)."""
        return {"TURNS_TOPIC": self.topic, "PUBSUB_EMULATOR_HOST": self.address}

    def publish(self, text: str) -> None:
        """Publish a message."""
        self._call("POST", "topics/turns:publish", {"messages": [{"data": b64encode(text.encode()).decode()}]})

    def dead(self) -> list[str]:
        """The messages that were given up since the last look."""
        held = self._call("POST", "subscriptions/hold:pull", {"maxMessages": 100, "returnImmediately": True}).get("receivedMessages", [])
        if held:
            self._call("POST", "subscriptions/hold:acknowledge", {"ackIds": [one["ackId"] for one in held]})
        return [b64decode(one["message"]["data"]).decode() for one in held]

    def _call(self, method: str, path: str, body: dict[str, Any]) -> Any:
        # trust_env: no proxy of this machine stands between us and the emulator.
        with httpx.Client(trust_env=False, timeout=10) as http:
            answer = http.request(method, f"http://{self.address}/v1/projects/{self.project}/{path}", json=body)
        return answer.raise_for_status().json()
