"""Settings to services: the only place that reads the environment and chooses an adapter.

What is chosen here is imported when the process starts and connects when it is first used: gunicorn forks in between.
"""

import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from functools import cache, cached_property, partial
from typing import TYPE_CHECKING

from functions.core.capability import Api, Catalogue, Operation, Web
from functions.core.deadline import Deadline
from functions.core.errors import CapabilityFault, DeadlinePassed, Upstream
from functions.core.model import Model
from functions.core.settings import InvalidSettings, Settings
from functions.wiring.foundation import new_secret
from functions.wiring.signin import SignIn

if TYPE_CHECKING:
    from functions.adapters.credentials import Credential
    from functions.adapters.pubsub import PubSubTopic
    from functions.core.access import Access
    from functions.core.announced import Announced
    from functions.core.asking import Toolbox
    from functions.core.backlog import Backlog
    from functions.core.push import Identity
    from functions.core.sweep import Sweep
    from functions.core.turn import Turns

__all__ = ["Services", "new_secret", "services", "settings"]

SWEEP_SECONDS = 60.0  # as often as Cloud Scheduler does it where there is a topic


@cache
def settings(apis: tuple[Api, ...], needs: tuple[str, ...] = ()) -> Settings:
    """The configuration of this process, read once. `needs` are variables that the calling function cannot do without where deployed.

    Raises:
        InvalidSettings: with every fault.
    """
    return Settings.read(os.environ, apis, needs)


@cache
def enabled(catalogue: Catalogue) -> Catalogue:
    """The capabilities that this deployment offers."""
    chosen = settings(catalogue.apis)
    try:
        return catalogue.enabled(chosen.enabled_capabilities, sign_in=chosen.signs_in)
    except CapabilityFault as error:
        raise InvalidSettings(f"The configuration is wrong:\n  - ENABLED_CAPABILITIES: {error.message}") from error


@cache
def services(catalogue: Catalogue, needs: tuple[str, ...] = ()) -> "Services":
    """The services of this process; functions behind one entry point share them. `needs` as `settings` has it."""
    return Services(settings(catalogue.apis, needs), enabled(catalogue))


class Services(SignIn):
    """Everything that reaches outside, behind core's protocols. Nothing is opened yet."""

    def toolbox(self, max_result: int) -> "Toolbox":
        """The operations, each with its view of the outside world; `max_result` bounds what they give, in bytes."""
        from functions.core.asking import Toolbox

        ours = [f"{self._settings.public_base_url}/"]
        return Toolbox(self.catalogue.operations, self._web, self.accesses.of(None), max_result, links=ours)

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
            answering=Answering(self._model, self.toolbox(MAX_RESULT), standing_instructions, self.accesses),
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
        from functions.adapters.push_identity import Anybody, PushIdentity

        audience, account = self._settings.push_audience, self._settings.push_account
        if audience and account:
            return PushIdentity(self._google_signed, audience, account)
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
    def _web(self) -> "Callable[[Operation, Deadline, Access], Web]":
        from functions.adapters.web import BoundWeb, Kept

        outgoing, kept, urls, keys = self._outgoing, Kept(), self._settings.api_urls, self._settings.api_keys
        return lambda operation, deadline, access: BoundWeb(outgoing, kept, operation, deadline, urls=urls, keys=keys, token=access.token)


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
