"""What Pub/Sub pushes: a message in an envelope, and who may push.

https://cloud.google.com/pubsub/docs/push#receive_push
"""

import binascii
from base64 import b64decode
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Protocol

from pydantic import AfterValidator, ConfigDict, Field

from functions.core import strict_json
from functions.core.deadline import Deadline
from functions.core.errors import Invalid, Malformed
from functions.core.shape import Shape


class Identity(Protocol):
    """Who may push."""

    async def require(self, authorization: str | None, deadline: Deadline) -> None:
        """Pass if a request with this Authorization header may push.

        Raises:
            Unauthenticated: it shows no token, or none that is valid here.
            Forbidden: it shows a valid token of somebody else.
            Upstream, Refused, DeadlinePassed: it could not be found out.
        """


def _decoded(data: str) -> str:
    try:
        return b64decode(data, validate=True).decode("utf-8")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise ValueError("must be base64 of a text in UTF-8") from error


class Message(Shape):
    """A message; Pub/Sub tells its id and its time twice, in two spellings."""

    model_config = ConfigDict(frozen=True)

    message_id: str = Field(alias="messageId", min_length=1)
    """The same when the message comes again."""
    text: Annotated[str, AfterValidator(_decoded)] = Field("", alias="data")
    """What was published."""
    attributes: Mapping[str, str] = {}
    publish_time: datetime | None = Field(None, alias="publishTime")


class Push(Shape):
    """One delivery of a message."""

    model_config = ConfigDict(frozen=True)

    message: Message
    subscription: str
    delivery_attempt: int | None = Field(None, alias="deliveryAttempt")
    """Counted from 1, where the subscription has a dead-letter topic; Google's emulator never tells it."""

    @classmethod
    def read(cls, body: bytes) -> "Push":
        """The push in a request's body.

        Raises:
            Malformed: there is none, nor will there be when it comes again.
        """
        try:
            return strict_json.read(cls, body)
        except Invalid as error:
            raise Malformed(f"This is no push of Pub/Sub's. {error.message}") from error
