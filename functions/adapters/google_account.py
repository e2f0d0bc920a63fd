"""Who we are to Google: the service account where deployed, a developer's own account elsewhere.

https://cloud.google.com/docs/authentication/application-default-credentials
"""

import asyncio
from collections.abc import Sequence

import google.auth
from google.auth.credentials import Credentials
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError

from functions.core.errors import Refused, Upstream

CLOUD_PLATFORM = ("https://www.googleapis.com/auth/cloud-platform",)
"""The scope of Google Cloud's own APIs; what the account may do there is said by its roles."""


async def account(scopes: Sequence[str]) -> tuple[Credentials, str | None]:
    """The credentials of this place, and its project where it names one. Looked for in a thread: that may ask the metadata server.

    Raises:
        Refused: there are none.
        Upstream: Google did not tell; it may later.
    """
    try:
        return await asyncio.to_thread(google.auth.default, scopes=scopes)
    except DefaultCredentialsError as error:
        raise Refused("No Google credentials here: run as a service account, or log in with gcloud auth application-default.") from error
    except GoogleAuthError as error:
        raise Upstream("Google did not tell who we are; try again later.") from error
