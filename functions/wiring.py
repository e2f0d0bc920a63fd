"""Settings to services: the only place that reads the environment and chooses an adapter.

What is chosen here is imported when the process starts and connects when it is first used: gunicorn forks in between.
"""

import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from functions.core.capability import Api, Operation, Web
from functions.core.deadline import Deadline
from functions.core.documents import Documents
from functions.core.model import Model
from functions.core.settings import Settings

if TYPE_CHECKING:
    from functions.adapters.credentials import Credential


@dataclass(frozen=True)
class Services:
    """Everything that reaches outside, behind core's protocols."""

    documents: Documents
    model: Model
    web: Callable[[Operation, Deadline], Web]
    new_id: Callable[[], str]


@cache
def settings(apis: tuple[Api, ...]) -> Settings:
    """The configuration of this process, read once.

    Raises:
        InvalidSettings: with every fault.
    """
    return Settings.read(os.environ, apis)


def services(settings: Settings) -> Services:
    """The services that the settings choose; nothing is opened yet."""
    from functions.adapters.chat_completions import ChatCompletions
    from functions.adapters.outgoing import Outgoing
    from functions.adapters.web import BoundWeb, Kept

    outgoing, kept = Outgoing(), Kept()
    return Services(
        documents=_documents(settings),
        model=ChatCompletions(
            outgoing,
            _credential(settings),
            base_url=settings.openai_base_url,
            model=settings.openai_model,
            provider=settings.provider,
            max_output_tokens=settings.openai_max_output_tokens,
        ),
        web=lambda operation, deadline: BoundWeb(outgoing, kept, operation.apis, deadline, urls=settings.api_urls, keys=settings.api_keys),
        new_id=new_secret,
    )


def _documents(settings: Settings) -> Documents:
    kind, _, path = settings.store_url.partition(":")
    if kind == "sqlite":
        from functions.adapters.sqlite import SqliteDocuments

        return SqliteDocuments(Path(path))
    from functions.adapters.firestore import FirestoreDocuments

    return FirestoreDocuments(settings.google_cloud_project, settings.firestore_database, emulator_host=settings.firestore_emulator_host)


def _credential(settings: Settings) -> "Credential":
    if settings.provider.auth == "google":
        from functions.adapters.google_token import GoogleToken

        return GoogleToken()
    if settings.openai_api_key_secret:
        from functions.adapters.secret_manager import SecretManager

        return SecretManager(settings.openai_api_key_secret)
    from functions.adapters.credentials import Fixed

    return Fixed(settings.openai_api_key.get_secret_value() if settings.openai_api_key else "")


def new_secret() -> str:
    """128 random bits, URL-safe, 22 characters: session tokens, turn ids."""
    return secrets.token_urlsafe(16)
