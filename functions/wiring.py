"""Settings to services: the only place that reads the environment and chooses an adapter.

What is chosen here is imported when the process starts and connects when it is first used: gunicorn forks in between.
"""

import os
import random
import secrets
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from functools import cache, cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from functions.adapters.http.life import Life
from functions.core.capability import Api, Catalogue, Operation, Web
from functions.core.deadline import Deadline
from functions.core.documents import Documents, Key
from functions.core.errors import CapabilityFault, DeadlinePassed, Unauthenticated, Upstream
from functions.core.model import Model
from functions.core.settings import InvalidSettings, Settings

if TYPE_CHECKING:
    from functions.adapters.credentials import Credential
    from functions.adapters.outgoing import Outgoing
    from functions.adapters.pubsub import PubSubTopic
    from functions.core.announced import Announced
    from functions.core.asking import Toolbox
    from functions.core.backlog import Backlog
    from functions.core.push import Identity
    from functions.core.records import Records
    from functions.core.sweep import Sweep
    from functions.core.turn import Turns

SWEEP_SECONDS = 60.0  # as often as Cloud Scheduler does it where there is a topic


@cache
def settings(apis: tuple[Api, ...], needs: tuple[str, ...] = ()) -> Settings:
    """The configuration of this process, read once. `needs` are variables that the calling function cannot do without where deployed.

    Raises:
        InvalidSettings: with every fault.
    """
    return Settings.read(os.environ, apis, needs)


@cache
def services(catalogue: Catalogue, needs: tuple[str, ...] = ()) -> "Services":
    """The services of this process; functions behind one entry point share them. `needs` as `settings` has it."""
    return Services(settings(catalogue.apis, needs), offered(catalogue))


@cache
def offered(catalogue: Catalogue) -> Catalogue:
    """What of the catalogue this deployment offers: restricted capabilities only where ENABLED_RESTRICTED names them.

    Raises:
        InvalidSettings: it names what is no restricted capability.
    """
    try:
        return catalogue.enabled(settings(catalogue.apis).enabled_restricted)
    except CapabilityFault as error:
        raise InvalidSettings(f"The configuration is wrong:\n  - ENABLED_RESTRICTED: {error.message}") from error


class Services:
    """Everything that reaches outside, behind core's protocols. Each is chosen, and its module loaded, when an edge first names it: an
    edge that keeps no conversations loads no store. Nothing is opened yet."""

    def __init__(self, settings: Settings, catalogue: Catalogue) -> None:
        self._settings = settings
        self._catalogue = catalogue
        self.life = Life()
        """What the services need of the process: each adds its own when it is chosen."""

    def toolbox(self, max_result: int) -> "Toolbox":
        """The operations, each with its view of the outside world; `max_result` bounds what they give, in bytes."""
        from functions.core.asking import Toolbox

        return Toolbox(self._catalogue.operations, self._web, max_result, links=[f"{self._settings.public_base_url}/"])

    @cached_property
    def turns(self) -> "Turns":
        """Conversations, as requests see them."""
        from functions.core.admission import Admission
        from functions.core.turn import Turns

        if self.topic is None:
            self.life.repeats(SWEEP_SECONDS, self.sweep.run)
        return Turns(self.backlog, Admission(self._settings.max_turns_per_instance, self._settings.max_turns_per_owner))

    @cached_property
    def sweep(self) -> "Sweep":
        """What is done once a minute."""
        from functions.core.sweep import Sweep

        return Sweep(self._records, self.backlog)

    @cached_property
    def announced(self) -> "Announced":
        """What a worker does with messages."""
        from functions.core.announced import Announced

        return Announced(self.backlog, self.sweep)

    @cached_property
    def backlog(self) -> "Backlog":
        """The turns that go on behind their requests, and the model that answers them."""
        from functions.adapters.log import log
        from functions.core.answering import Answering
        from functions.core.asking import MAX_RESULT, standing_instructions
        from functions.core.backlog import Backlog
        from functions.core.conversation import Limits
        from functions.core.spend import Ledger

        chosen = self._settings
        backlog = Backlog(
            records=self._records,
            answering=Answering(self._model, self.toolbox(MAX_RESULT), standing_instructions),
            limits=Limits(chosen.buffer_messages, chosen.buffer_tokens, timedelta(hours=chosen.conversation_hours)),
            ledger=Ledger(self._records, chosen.daily_tokens_per_owner, chosen.daily_tokens),
            topic=self.topic,
            new_id=new_secret,
            turn_seconds=chosen.turn_seconds,
            background=chosen.instance_billing,
            report=lambda message, fields: log(message, **fields),
        )
        self.life.leaves(backlog.stop)
        return backlog

    @cached_property
    def _records(self) -> "Records":
        from functions.core.records import Records

        return Records(self.documents, below=lambda most: random.uniform(0, most))

    @cached_property
    def documents(self) -> Documents:
        """The store."""
        documents = self._documents()
        self.life.opens("the store", lambda deadline: documents.get([Key("conversations", "ready")], deadline))
        return documents

    def _documents(self) -> Documents:
        kind, _, path = self._settings.store_url.partition(":")
        if kind == "sqlite":
            from functions.adapters.sqlite import SqliteDocuments

            return SqliteDocuments(Path(path))
        from functions.adapters.firestore import FirestoreDocuments

        emulator, database = self._settings.firestore_emulator_host, self._settings.firestore_database
        return FirestoreDocuments(self._settings.google_cloud_project, database, emulator_host=emulator)

    @cached_property
    def topic(self) -> "PubSubTopic | None":
        """Where turns go that this process cannot finish; None: nowhere but here."""
        name, emulator = self._settings.turns_topic, self._settings.pubsub_emulator_host
        if name is None:
            return None
        from functions.adapters.credentials import Fixed
        from functions.adapters.google_token import GoogleToken
        from functions.adapters.pubsub import PubSubTopic

        return PubSubTopic(self._outgoing, Fixed("") if emulator else GoogleToken(), name, emulator_host=emulator)

    @cached_property
    def push_identity(self) -> "Identity":
        """Who may push to the worker."""
        from functions.adapters.google_keys import GoogleKeys
        from functions.adapters.push_identity import Anybody, PushIdentity

        audience, account = self._settings.push_audience, self._settings.push_account
        if audience and account:
            return PushIdentity(GoogleKeys(self._outgoing), audience, account)
        if self._settings.deployed:
            raise InvalidSettings("Deployed, the worker needs PUSH_AUDIENCE and PUSH_ACCOUNT.")
        return Anybody()

    @cached_property
    def _model(self) -> Model:
        from functions.adapters.chat_completions import SERVER, ChatCompletions
        from functions.adapters.fallback import WithFallback

        outgoing, key, base_url = self._outgoing, _credential(self._settings), self._settings.openai_base_url
        self.life.opens("the model's key", key.token)
        self.life.opens("the model's server", lambda deadline: _tried(outgoing.open(SERVER, base_url, deadline)))
        chosen = partial(
            ChatCompletions,
            outgoing,
            key,
            base_url=base_url,
            provider=self._settings.provider,
            max_output_tokens=self._settings.openai_max_output_tokens,
        )
        fallback = self._settings.openai_fallback_model
        first = chosen(model=self._settings.openai_model, has_fallback=fallback is not None)
        return WithFallback(first, chosen(model=fallback, setting="OPENAI_FALLBACK_MODEL")) if fallback else first

    @cached_property
    def _web(self) -> Callable[[Operation, Deadline], Web]:
        from functions.adapters.web import BoundWeb, Kept

        outgoing, kept, urls, keys = self._outgoing, Kept(), self._settings.api_urls, self._settings.api_keys

        def web(operation: Operation, deadline: Deadline) -> Web:
            if operation.scopes:
                told = f"{operation.name} needs a signed-in user, and there is no sign-in here yet."
                raise Unauthenticated(told, scope=operation.capability)
            return BoundWeb(outgoing, kept, operation, deadline, urls=urls, keys=keys)

        return web

    @cached_property
    def _outgoing(self) -> "Outgoing":
        from functions.adapters.outgoing import Outgoing

        return Outgoing()


def _credential(settings: Settings) -> "Credential":
    if settings.provider.auth == "google":
        from functions.adapters.google_token import GoogleToken

        return GoogleToken()
    if settings.openai_api_key_secret:
        from functions.adapters.secret_manager import SecretManager

        return SecretManager(settings.openai_api_key_secret)
    from functions.adapters.credentials import Fixed

    return Fixed(settings.openai_api_key.get_secret_value() if settings.openai_api_key else "")


async def _tried(opening: Awaitable[None]) -> None:
    """Open it if it can be had: a model that is away for an hour must not keep new instances from starting."""
    with suppress(Upstream, DeadlinePassed):
        await opening


def new_secret() -> str:
    """128 random bits, URL-safe, 22 characters: session tokens, turn ids."""
    return secrets.token_urlsafe(16)
