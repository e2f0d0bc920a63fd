"""A key kept in Secret Manager: the real client over gRPC, against a server in this process."""

import asyncio
import logging
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from aiohttp import web
from google.cloud.secretmanager_v1 import (
    AccessSecretVersionRequest,
    AccessSecretVersionResponse,
    SecretManagerServiceAsyncClient,
    SecretPayload,
)
from google.cloud.secretmanager_v1.services.secret_manager_service.transports import SecretManagerServiceGrpcAsyncIOTransport

from functions.adapters.chat_completions import ChatCompletions
from functions.adapters.outgoing import Outgoing
from functions.adapters.secret_manager import SecretManager, crc32c
from functions.core.errors import CantileverError, DeadlinePassed, Refused, Upstream
from functions.core.model import User
from functions.core.providers import OPENAI
from tests.deadlines import soon
from tests.upstream import Step, answer, serving

VERSION = "projects/p/secrets/model-key/versions/latest"


@dataclass
class Vault:
    """A Secret Manager with one secret. `fails` is a status to answer with; `delay` comes before each answer."""

    secret: bytes = field(repr=False)
    address: str = ""
    fails: grpc.StatusCode | None = None
    delay: float = 0
    checksum: int | None = None
    asked: list[str] = field(default_factory=list)
    channels: list[grpc.aio.Channel] = field(default_factory=list)

    async def access(self, request: AccessSecretVersionRequest, context: Any) -> AccessSecretVersionResponse:
        self.asked.append(request.name)
        await asyncio.sleep(self.delay)
        if self.fails:
            await context.abort(self.fails, f"about {self.secret.decode()}")
        checksum = crc32c(self.secret) if self.checksum is None else self.checksum
        return AccessSecretVersionResponse(name=request.name, payload=SecretPayload(data=self.secret, data_crc32c=checksum))

    async def client(self) -> SecretManagerServiceAsyncClient:
        self.channels.append(channel := grpc.aio.insecure_channel(self.address))
        return SecretManagerServiceAsyncClient(transport=SecretManagerServiceGrpcAsyncIOTransport(channel=channel))


@asynccontextmanager
async def keeping(secret: bytes) -> AsyncIterator[Vault]:
    """Run a Secret Manager until the block ends. Google's package has no server class: this is platform.md's twelve lines."""
    vault, server = Vault(secret), grpc.aio.server()
    method = grpc.unary_unary_rpc_method_handler(
        vault.access,
        request_deserializer=AccessSecretVersionRequest.deserialize,
        response_serializer=AccessSecretVersionResponse.serialize,
    )
    service = "google.cloud.secretmanager.v1.SecretManagerService"
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {"AccessSecretVersion": method}),))
    vault.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    try:
        yield vault
    finally:
        for channel in vault.channels:
            await channel.close()
        await server.stop(None)


async def test_the_secret_is_fetched_once_and_kept() -> None:
    async with keeping(b"sk-one") as vault:
        key = SecretManager(VERSION, vault.client)

        tokens = [await key.token(soon(5)) for _ in range(3)]

        assert tokens == ["sk-one", "sk-one", "sk-one"]
        assert vault.asked == ["projects/p/secrets/model-key/versions/latest"]


async def test_nothing_is_opened_before_the_first_use() -> None:
    async def forbidden() -> SecretManagerServiceAsyncClient:
        raise AssertionError

    SecretManager(VERSION, forbidden)


async def test_a_kept_secret_outlives_secret_manager() -> None:
    async with keeping(b"sk-one") as vault:
        key = SecretManager(VERSION, vault.client)
        await key.token(soon(5))

    assert await key.token(soon(5)) == "sk-one"


async def test_a_refused_secret_is_fetched_again() -> None:
    async with keeping(b"sk-one") as vault:
        key = SecretManager(VERSION, vault.client)
        await key.token(soon(5))
        vault.secret = b"sk-two"

        newer = await key.token(soon(5), refused="sk-one")
        late = await key.token(soon(5), refused="sk-one")

        assert (newer, late) == ("sk-two", "sk-two")
        assert len(vault.asked) == 2


@pytest.mark.parametrize("rotated", [b"sk-two", b"sk-one"], ids=["to a newer one", "to the same one"])
async def test_fifty_refusals_at_once_cause_one_fetch(rotated: bytes) -> None:
    async with keeping(b"sk-one") as vault:
        key = SecretManager(VERSION, vault.client)
        await key.token(soon(5))
        vault.secret = rotated

        tokens = await asyncio.gather(*(key.token(soon(5), refused="sk-one") for _ in range(50)))

        assert set(tokens) == {rotated.decode()}
        assert len(vault.asked) == 2


async def test_one_callers_deadline_does_not_end_the_others_fetch() -> None:
    async with keeping(b"sk-one") as vault:
        vault.delay = 0.3
        key = SecretManager(VERSION, vault.client)
        patient = asyncio.create_task(key.token(soon(5)))

        with pytest.raises(DeadlinePassed):
            await key.token(soon(0.1))

        assert await patient == "sk-one"
        assert len(vault.asked) == 1


async def test_rotation_is_invisible_to_fifty_concurrent_turns() -> None:
    def only(accepted: list[str]) -> Step:
        async def step(request: web.Request) -> web.StreamResponse:
            is_right = request.headers["Authorization"] == f"Bearer {accepted[-1]}"
            message = {"choices": [{"message": {"content": "Hello."}, "finish_reason": "stop"}]}
            return await (answer(message) if is_right else answer({"error": {"code": "invalid_api_key"}}, status=401))(request)

        return step

    accepted, outgoing = ["sk-one"], Outgoing()
    async with keeping(b"sk-one") as vault, serving(only(accepted)) as server:
        key = SecretManager(VERSION, vault.client)
        model = ChatCompletions(outgoing, key, base_url=server.url, model="m", provider=OPENAI, max_output_tokens=100)
        await model.reply([User("Hi")], [], soon(5))
        vault.secret = b"sk-two"
        accepted.append("sk-two")

        replies = await asyncio.gather(*(model.reply([User("Hi")], [], soon(5)) for _ in range(50)))

        assert [reply.text for reply in replies] == ["Hello."] * 50
        assert len(vault.asked) == 2
        assert len(server.received) <= 1 + 2 * 50
    await outgoing.close()


@pytest.mark.parametrize(
    ("status", "kind", "advice"),
    [
        (grpc.StatusCode.PERMISSION_DENIED, Refused, "grant"),
        (grpc.StatusCode.UNAUTHENTICATED, Refused, "grant"),
        (grpc.StatusCode.NOT_FOUND, Refused, "OPENAI_API_KEY_SECRET"),
        (grpc.StatusCode.FAILED_PRECONDITION, Refused, "OPENAI_API_KEY_SECRET"),
        (grpc.StatusCode.UNAVAILABLE, Upstream, "later"),
        (grpc.StatusCode.DEADLINE_EXCEEDED, Upstream, "later"),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, Upstream, "later"),
        (grpc.StatusCode.INTERNAL, Upstream, "later"),
    ],
)
async def test_each_failure_is_told_clearly_once_and_without_the_secret(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str], status: grpc.StatusCode, kind: type[CantileverError], advice: str
) -> None:
    caplog.set_level(logging.DEBUG)
    async with keeping(b"sk-secret") as vault:
        vault.fails = status
        deadline = soon(5)

        with pytest.raises(kind) as caught:
            await SecretManager(VERSION, vault.client).token(deadline)

        assert advice in caught.value.message
        assert len(vault.asked) == 1
        assert deadline.left() >= 4
        assert "sk-secret" not in caught.value.message
        assert "sk-secret" not in "".join(capfd.readouterr())
        assert "sk-secret" not in caplog.text


async def test_a_secret_manager_that_hangs_is_given_up() -> None:
    async with keeping(b"sk-one") as vault:
        vault.delay = 60
        deadline = soon(10)

        with pytest.raises(Upstream):
            await SecretManager(VERSION, vault.client).token(deadline)

        assert deadline.left() >= 7


async def test_credentials_that_are_never_found_are_given_up() -> None:
    async def stuck() -> SecretManagerServiceAsyncClient:
        await asyncio.sleep(60)
        raise AssertionError

    deadline = soon(10)

    with pytest.raises(Upstream):
        await SecretManager(VERSION, stuck).token(deadline)

    assert deadline.left() >= 7


async def test_after_a_failure_the_next_caller_asks_again() -> None:
    async with keeping(b"sk-one") as vault:
        vault.fails = grpc.StatusCode.UNAVAILABLE
        key = SecretManager(VERSION, vault.client)
        with pytest.raises(Upstream):
            await key.token(soon(5))
        vault.fails = None

        assert await key.token(soon(5)) == "sk-one"


@pytest.mark.parametrize("stored", [b"sk-one\n", b"sk-one\r\n", b"sk-one"])
async def test_the_line_feed_behind_a_key_is_not_part_of_it(stored: bytes) -> None:
    async with keeping(stored) as vault:
        assert await SecretManager(VERSION, vault.client).token(soon(5)) == "sk-one"


@pytest.mark.parametrize("stored", [b"", b"\n", b"sk-secret\nsk-other", b"sk-secret\x00", "sk-secret，".encode(), b"\xffsk-secret"])
async def test_what_is_no_key_is_refused_without_showing_it(stored: bytes) -> None:
    async with keeping(stored) as vault:
        with pytest.raises(Refused) as caught:
            await SecretManager(VERSION, vault.client).token(soon(5))

    assert "one line" in caught.value.message
    assert "sk-secret" not in "".join(traceback.format_exception(caught.value))


async def test_a_damaged_payload_is_not_used() -> None:
    async with keeping(b"sk-one") as vault:
        vault.checksum = 1

        with pytest.raises(Upstream):
            await SecretManager(VERSION, vault.client).token(soon(5))


def test_the_checksum_is_crc32c() -> None:
    assert crc32c(b"123456789") == 0xE3069283  # The check value of CRC-32C (RFC 3720 has the algorithm, appendix B.4 more vectors).
    assert crc32c(bytes(32)) == 0x8A9136AA  # RFC 3720, appendix B.4: 32 octets of zeroes.


async def test_no_secret_stands_in_a_representation() -> None:
    async with keeping(b"sk-secret") as vault:
        key = SecretManager(VERSION, vault.client)
        await key.token(soon(5))

        assert "sk-secret" not in repr(key) + repr(vars(key))
