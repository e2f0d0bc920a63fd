"""A key kept in Google Secret Manager. https://cloud.google.com/secret-manager/docs/access-secret-version"""

import asyncio
from collections.abc import Awaitable, Callable

from google.api_core import exceptions
from google.auth.exceptions import GoogleAuthError
from google.cloud.secretmanager_v1 import SecretManagerServiceAsyncClient, SecretPayload

from functions.adapters.credentials import Fetched, Token
from functions.adapters.google_account import CLOUD_PLATFORM, account
from functions.core.errors import Refused, Upstream

SECONDS = 2.0
"""Secret Manager answers in tens of milliseconds; waiting longer would cost chat's 5 s."""


async def connect() -> SecretManagerServiceAsyncClient:
    """A client with the credentials of this place."""
    found, _ = await account(CLOUD_PLATFORM)
    return SecretManagerServiceAsyncClient(credentials=found)


class SecretManager(Fetched):
    """The secret that `version` names (`projects/…/secrets/…/versions/latest`), fetched again when it is refused: rotation is invisible."""

    def __init__(self, version: str, client: Callable[[], Awaitable[SecretManagerServiceAsyncClient]] = connect) -> None:
        super().__init__(self._access)
        self._version = version
        self._connect = client
        self._client: SecretManagerServiceAsyncClient | None = None

    async def _access(self) -> Token:
        try:
            async with asyncio.timeout(SECONDS):
                self._client = self._client or await self._connect()
                # The library's own retry would wait a minute and more.
                answer = await self._client.access_secret_version(name=self._version, retry=None, timeout=SECONDS)
        except (exceptions.PermissionDenied, exceptions.Unauthenticated) as error:
            raise Refused("Secret Manager refuses us: grant this function's service account access to OPENAI_API_KEY_SECRET.") from error
        except (exceptions.NotFound, exceptions.InvalidArgument, exceptions.FailedPrecondition) as error:
            raise Refused("Secret Manager has no such enabled version of a secret: correct OPENAI_API_KEY_SECRET.") from error
        except (exceptions.GoogleAPIError, GoogleAuthError, TimeoutError) as error:
            raise Upstream("Secret Manager failed or did not answer; try again later.") from error
        return Token(_text(answer.payload))


def _text(payload: SecretPayload) -> str:
    """The key without the line feed that `echo` leaves behind it."""
    if "data_crc32c" in payload and payload.data_crc32c != crc32c(payload.data):
        raise Upstream("Secret Manager's answer arrived damaged; try again.")
    try:
        key = payload.data.decode("ascii").rstrip("\r\n")
    except UnicodeDecodeError:
        key = ""
    if not key.isprintable() or not key:
        raise Refused("The secret that OPENAI_API_KEY_SECRET names is no key: store the key alone, in one line.")
    return key


def crc32c(octets: bytes) -> int:
    """The checksum that Secret Manager sends along (RFC 3720 §12.1, polynomial 0x1EDC6F41 reflected)."""
    crc = 0xFFFFFFFF
    for octet in octets:
        crc ^= octet
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF
