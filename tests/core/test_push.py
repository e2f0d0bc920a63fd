"""The envelope in which Pub/Sub pushes a message."""

import json
from base64 import b64encode
from datetime import UTC, datetime
from typing import Any

import pytest

from functions.core.errors import Malformed
from functions.core.push import Push

PRODUCTION = b"""{
  "message": {
    "attributes": {"key": "value"},
    "data": "SGVsbG8gQ2xvdWQgUHViL1N1YiEgSGVyZSBpcyBteSBtZXNzYWdlIQ==",
    "messageId": "2070443601311540", "message_id": "2070443601311540",
    "publishTime": "2021-02-26T19:13:55.749Z", "publish_time": "2021-02-26T19:13:55.749Z"
  },
  "subscription": "projects/myproject/subscriptions/mysubscription",
  "deliveryAttempt": 5
}"""
"""https://cloud.google.com/pubsub/docs/push#receive_push, with an attempt, as a subscription with dead letters has it."""

EMULATOR = (
    rb'{"subscription":"projects\/demo-1\/subscriptions\/push","message":{"publishTime":"2026-11-25T20:08:07.388Z",'
    rb'"data":"eyJ0eXBlIjoic3dlZXAifQ==","publish_time":"2026-11-25T20:08:07.388Z","messageId":"1","attributes":{},"message_id":"1"}}'
)
"""As cloud-pubsub-emulator 0.8.20 sent it."""


def envelope(**changed: Any) -> bytes:
    message = {"messageId": "1", "data": "e30=", **changed}
    return json.dumps({"message": message, "subscription": "projects/p/subscriptions/s"}).encode()


def test_a_push_is_read_as_google_documents_it() -> None:
    push = Push.read(PRODUCTION)

    assert push.message.text == "Hello Cloud Pub/Sub! Here is my message!"
    assert (push.message.message_id, push.message.attributes, push.delivery_attempt) == ("2070443601311540", {"key": "value"}, 5)
    assert push.message.publish_time == datetime(2021, 2, 26, 19, 13, 55, 749_000, tzinfo=UTC)
    assert push.subscription == "projects/myproject/subscriptions/mysubscription"


def test_a_push_of_the_emulators_is_read() -> None:
    push = Push.read(EMULATOR)

    assert (push.message.text, push.message.message_id, push.delivery_attempt) == ('{"type":"sweep"}', "1", None)


def test_a_message_without_data_is_an_empty_one() -> None:
    push = Push.read(b'{"message": {"messageId": "1", "attributes": {"a": "b"}}, "subscription": "s"}')

    assert push.message.text == ""


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b'{"type":"sweep"}',
        b'{"message": "eyJ9", "subscription": "s"}',
        b'{"message": {"data": "e30="}, "subscription": "s"}',
        b'{"message": {"messageId": "1", "data": "e30="}}',
        envelope(data="not base64!"),
        envelope(data="e30"),
        envelope(data="e3\n0="),
        envelope(data=b64encode(b"\xff\xfe").decode()),
        envelope(data=None),
        envelope(data={"type": "sweep"}),
        envelope(messageId=""),
        envelope(messageId=1),
        envelope(attributes={"a": 1}),
        envelope(publishTime="yesterday"),
        envelope().replace(b'"data"', b'"messageId"'),
    ],
)
def test_what_is_no_push_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        Push.read(body)


def test_a_fault_does_not_quote_the_message() -> None:
    with pytest.raises(Malformed) as caught:
        Push.read(envelope(data="canary-canary"))

    assert "canary" not in caught.value.message
    assert "must be base64 of a text in UTF-8" in caught.value.message
