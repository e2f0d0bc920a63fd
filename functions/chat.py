"""Conversations: POST /chat, the transcript, and single operations by POST /tools/{operation}."""

import re
from dataclasses import replace
from datetime import timedelta

import functions_framework.aio
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response

from functions import wiring
from functions.adapters.http import Edge, Incoming, Life, Resource, accepted, address_of, answer, json_text, nothing
from functions.capabilities import CATALOGUE
from functions.core import strict_json, transcript
from functions.core.asking import MAX_RESULT, Toolbox
from functions.core.caller import Caller, Callers
from functions.core.documents import Documents
from functions.core.errors import Invalid, NotFound, Unauthenticated
from functions.core.guesses import Naming
from functions.core.question import Done, Outcome
from functions.core.rest import AnswerRequest, ChatAnswer, ChatRequest, PageRequest, PendingAnswer, Transcript
from functions.core.settings import Settings
from functions.core.turn import Turns

CONVERSATION_HEADER = "openai-conversation-id"
"""ChatGPT's own name for the conversation, in each call of an Action (wire.md 1.6): a hint, never an identity."""


KEY_HEADER = "idempotency-key"
"""https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/: a string, in quotes there; Stripe and others send it bare."""


class Chat:
    """The endpoints."""

    def __init__(
        self,
        settings: Settings,
        callers: Callers,
        resource: Resource | None,
        documents: Documents,
        turns: Turns,
        toolbox: Toolbox,
        life: Life,
    ) -> None:
        self._settings = settings
        self._callers = callers
        self._resource = resource
        self._documents = documents
        self._turns = turns
        self._toolbox = toolbox
        self._life = life

    def edge(self) -> Edge:
        """The function's HTTP."""
        return Edge(
            "chat",
            {
                "/chat": {"POST": self.ask},
                "/answer": {"POST": self.get_answer},
                "/chat/{session_id}": {"GET": self.read, "DELETE": self.remove},
                "/tools/{operation}": {"POST": self.call},
            },
            budget_seconds=self._settings.chat_budget_seconds,
            project=self._settings.google_cloud_project,
            names=self._settings.names,
            resource=self._resource,
            life=self._life,
        )

    async def ask(self, incoming: Incoming) -> Response:
        """POST /chat: one turn; or, with a turn_id in place of a query, what became of one."""
        caller, body = self._admitted(incoming), strict_json.loads(await incoming.body())
        if isinstance(body, dict) and "turn_id" in body:
            return await self._answer(caller, strict_json.model_of(AnswerRequest, body), incoming)
        asked = strict_json.model_of(ChatRequest, body)
        naming, key = self._naming(caller, incoming), _key(incoming.request)
        question = caller.question(asked.query, asked.session_id, _hint(incoming.request), wiring.new_secret, key, naming.missed)
        with naming.counted():
            outcome = await self._turns.run(question, incoming.deadline)
        return _told(question.session_id, outcome, incoming)

    async def get_answer(self, incoming: Incoming) -> Response:
        """POST /answer: what became of a turn that was pending."""
        caller = self._admitted(incoming)
        return await self._answer(caller, strict_json.read(AnswerRequest, await incoming.body()), incoming)

    async def _answer(self, caller: Caller, asked: AnswerRequest, incoming: Incoming) -> Response:
        await caller.access.require_alive(incoming.deadline)
        with self._naming(caller, incoming).counted():
            outcome = await self._turns.poll(caller.owner, asked.session_id, asked.turn_id, incoming.deadline)
        return _told(asked.session_id, outcome, incoming)

    async def read(self, incoming: Incoming) -> Response:
        """GET /chat/{session_id}: a page of the transcript."""
        caller = await self._named_by_url(incoming)
        session_id, wanted = incoming.path["session_id"], _page(incoming.request)
        with self._naming(caller, incoming).counted():
            entries = await transcript.page(
                self._documents, caller.owner, session_id, after=wanted.after, limit=wanted.limit + 1, deadline=incoming.deadline
            )
        return answer(Transcript.of(session_id, entries, wanted.limit))

    async def remove(self, incoming: Incoming) -> Response:
        """DELETE /chat/{session_id}: the conversation and all its turns."""
        caller = await self._named_by_url(incoming)
        with self._naming(caller, incoming).counted():
            await transcript.remove(self._documents, caller.owner, incoming.path["session_id"], incoming.deadline)
        return nothing()

    async def call(self, incoming: Incoming) -> Response:
        """POST /tools/{operation}: one operation, without a model."""
        access = self._admitted(incoming).access
        name = incoming.path["operation"]
        if name not in self._toolbox.operations:
            raise NotFound(f"There is no operation of that name; there are: {', '.join(self._toolbox.operations)}.")
        incoming.notes["operation"] = name
        await access.require_alive(incoming.deadline)
        return json_text(await replace(self._toolbox, access=access).call(name, await incoming.body(), incoming.deadline))

    def _admitted(self, incoming: Incoming) -> Caller:
        return self._callers.admitted(incoming.request.headers.get("authorization"))

    def _naming(self, caller: Caller, incoming: Incoming) -> Naming:
        request = incoming.request
        return self._callers.naming(caller, address_of(request, self._settings.hops), _hint(request), incoming.deadline.clock)

    async def _named_by_url(self, incoming: Incoming) -> Caller:
        """Whose conversation a URL may name.

        Raises:
            Unauthenticated: nobody's.
        """
        caller = self._admitted(incoming)
        if not caller.known:
            raise Unauthenticated("An anonymous session token is a secret and may not stand in a URL; this needs a signed-in owner.")
        await caller.access.require_alive(incoming.deadline)
        return caller


def _told(session_id: str, outcome: Outcome, incoming: Incoming) -> Response:
    """200 with the answer, or 202 with where it will be."""
    if isinstance(outcome, Done):
        incoming.notes |= outcome.turn.spent
        return answer(ChatAnswer.of(session_id, outcome.turn))
    pending = PendingAnswer(session_id=session_id, turn_id=outcome.turn_id)
    return accepted(pending, timedelta(milliseconds=pending.poll_after_ms))


def _hint(request: Request) -> str | None:
    return request.headers.get(CONVERSATION_HEADER)


def _key(request: Request) -> str | None:
    """The Idempotency-Key, bare.

    Raises:
        Invalid: it is none that could be told from others.
    """
    keys = request.headers.getlist(KEY_HEADER)
    if not keys:
        return None
    found = re.fullmatch(r'"([ -~]{1,255})"|((?!")[ -~]{1,255})', keys[0].strip(" \t"))
    if len(keys) > 1 or found is None:
        raise Invalid("Idempotency-Key is there once, with 1 to 255 characters of ASCII; a UUID will do.")
    return found[1] or found[2]


def _page(request: Request) -> PageRequest:
    """Which part of the transcript the query asks for."""
    asked = request.query_params.multi_items()
    if len({name for name, _ in asked}) != len(asked):
        raise Invalid("A query parameter is repeated.")
    try:
        return PageRequest.model_validate(dict(asked))
    except ValidationError as error:
        raise Invalid(strict_json.faults(error)) from error


_settings = wiring.settings(CATALOGUE.apis)
_services = wiring.services(CATALOGUE)
EDGE = Chat(
    _settings,
    _services.callers(rest=True),
    _services.resource,
    _services.documents,
    _services.turns,
    _services.toolbox(MAX_RESULT),
    _services.life,
).edge()


@functions_framework.aio.http
async def chat(request: Request) -> Response:
    """The entry point."""
    return await EDGE(request)
