"""The model over Chat Completions, as OpenAI, Azure, Vertex AI, Gemini, Ollama and vLLM speak it.

https://platform.openai.com/docs/api-reference/chat/create; where the servers differ, `settings.Provider` says how.
"""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated, Any, Literal, NoReturn

from pydantic import Field, ValidationError

from functions.adapters.credentials import Credential
from functions.adapters.outgoing import Answer, Outgoing, Request
from functions.core import strict_json
from functions.core.deadline import Deadline
from functions.core.errors import Filtered, Malformed, Refused, Upstream
from functions.core.model import Assistant, Call, Message, Reply, Result, System, Tool, Usage, User
from functions.core.providers import Provider
from functions.core.shape import Shape

SERVER = "The model's server"

ATTEMPT_SECONDS = 30.0
"""A long reply takes 20 s. Chat's deadline comes sooner, so there a server that hangs is not asked twice; a slow turn has time for it."""

SHORTEST_ATTEMPT_SECONDS = 5.0
"""With a fallback, an attempt may take half of the time that is left, but always this long: a reply that comes within chat's own budget
is not cut off for being slow."""

PATIENCE_SECONDS = 2.0
"""With a fallback, the time for further attempts. Two back-offs take 1.5 s at most; a server that wants a longer wait is not waited for."""

_REFUSALS = {
    400: "does not understand our request: check {model}, OPENAI_TOKEN_LIMIT_PARAMETER and OPENAI_REASONING_EFFORT",
    401: "does not accept our key: check OPENAI_API_KEY or OPENAI_API_KEY_SECRET, and OPENAI_AUTH",
    402: "wants to be paid: check the account's billing, or set another OPENAI_API_KEY or OPENAI_BASE_URL",
    403: "does not let us use the model: check the rights of the key or service account, and {model}",
    404: "has no such model or address: check {model} and OPENAI_BASE_URL",
    413: "finds our request too large: lower BUFFER_TOKENS",
    422: "does not understand our request: check {model}, OPENAI_TOKEN_LIMIT_PARAMETER and OPENAI_REASONING_EFFORT",
}
"""What to do about a status, in the words of our settings; never in the server's, which may quote the conversation. `{model}` is the
setting that names the model."""

_GONE = frozenset({"model_not_found", "model_decommissioned"})
"""What OpenAI says, with 404 or 403, and Groq, with 400."""

_OTHER_REFUSAL = "does not serve us: check OPENAI_BASE_URL, which must end where /chat/completions follows"


class KeyRefused(Refused):
    """The key was not accepted; a newer one might be."""


class ModelGone(Refused):
    """There is no such model, or not for us; another might do."""


class _Function(Shape):
    name: str
    arguments: str


class _ToolCall(Shape):
    id: str | None = None
    function: _Function


class _Message(Shape):
    content: str | None = None
    refusal: str | None = None
    tool_calls: list[_ToolCall] | None = None


class _Choice(Shape):
    message: _Message
    finish_reason: Literal["stop", "length", "tool_calls", "content_filter", "function_call"]


class _Completion(Shape):
    """What we read of a completion; servers differ in the rest."""

    choices: Annotated[list[_Choice], Field(min_length=1)]
    usage: Any = None


class ChatCompletions:
    """`Model` (core/model.py) at `base_url`, under which `/chat/completions` is; `setting` is where its name comes from.

    With `has_fallback` it gives up sooner, so that there is time to ask the other.
    """

    def __init__(
        self,
        outgoing: Outgoing,
        credential: Credential,
        *,
        base_url: str,
        model: str,
        provider: Provider,
        max_output_tokens: int,
        has_fallback: bool = False,
        setting: str = "OPENAI_MODEL",
    ) -> None:
        self._outgoing = outgoing
        self._credential = credential
        self._url = f"{base_url}/chat/completions"
        self._model = model
        self._provider = provider
        self._max_output_tokens = max_output_tokens
        self._has_fallback = has_fallback
        self._setting = setting

    async def reply(self, messages: Sequence[Message], tools: Sequence[Tool], deadline: Deadline, *, may_call: bool = True) -> Reply:
        """`Model.reply`. A key that is refused is fetched again once: it may have been rotated."""
        body = self._body(messages, tools, may_call)
        token = await self._credential.token(deadline)
        try:
            return await self._ask(body, token, may_call, deadline)
        except KeyRefused:
            newer = await self._credential.token(deadline, refused=token)
            if newer == token:
                raise
        return await self._ask(body, newer, may_call, deadline)

    async def _ask(self, body: Mapping[str, Any], token: str, may_call: bool, deadline: Deadline) -> Reply:
        request = Request(
            SERVER,
            "POST",
            self._url,
            self._attempt_seconds(deadline),
            headers=self._headers(token),
            json=body,
            upstream=f"{self._url} {self._model}",  # One model may fail while another at the same server does not.
            patience_seconds=PATIENCE_SECONDS if self._has_fallback else math.inf,
        )
        return await self._outgoing.send(request, partial(_read, may_call=may_call, setting=self._setting), deadline)

    def _attempt_seconds(self, deadline: Deadline) -> float:
        share = max(SHORTEST_ATTEMPT_SECONDS, deadline.left() / 2) if self._has_fallback else math.inf
        return min(ATTEMPT_SECONDS, share)

    def _headers(self, token: str) -> Mapping[str, str]:
        if not token:
            return {}
        if not (token.isascii() and token.isprintable()):
            raise Refused("The model's key holds characters that no header can carry: correct OPENAI_API_KEY.")
        return {"api-key": token} if self._provider.auth == "api-key" else {"Authorization": f"Bearer {token}"}

    def _body(self, messages: Sequence[Message], tools: Sequence[Tool], may_call: bool) -> Mapping[str, Any]:
        body: dict[str, Any] = {
            "model": self._model,
            "messages": [_message(message) for message in messages],
            self._provider.token_limit_parameter: self._max_output_tokens,
        }
        if self._provider.reasoning_effort is not None:
            body["reasoning_effort"] = self._provider.reasoning_effort
        if tools:
            body["tools"] = [
                {"type": "function", "function": {"name": tool.name, "description": tool.description, "parameters": tool.parameters}}
                for tool in tools
            ]
            if not may_call:
                body["tool_choice"] = "none"
        return body


def _message(message: Message) -> Mapping[str, Any]:
    match message:
        case System(text):
            return {"role": "system", "content": text}
        case User(text):
            return {"role": "user", "content": text}
        case Result(call_id, text):
            return {"role": "tool", "tool_call_id": call_id, "content": text}
        case Assistant(text, calls) if calls:
            return {"role": "assistant", "content": text or None, "tool_calls": [_tool_call(call) for call in calls]}
        case Assistant(text):
            return {"role": "assistant", "content": text}


def _tool_call(call: Call) -> Mapping[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": _arguments(call)}}


def _arguments(call: Call) -> str:
    """The arguments as the model wrote them; an empty object for what is none, because vLLM refuses a conversation that holds other text."""
    try:
        return call.arguments if isinstance(strict_json.loads(call.arguments), dict) else "{}"
    except Malformed:
        return "{}"


def _read(answer: Answer, *, may_call: bool, setting: str) -> Reply:
    """The reply in an answer; an answer without one is worth another attempt."""
    if answer.status >= 300:
        _refuse(answer, setting)
    try:
        completion = _Completion.model_validate(answer.json, strict=True)
    except ValidationError:  # Not chained: it quotes what the model wrote.
        raise Upstream(f"{SERVER} answered in a form that we do not know.") from None
    return _reply(completion.choices[0], _usage(completion.usage), may_call)


def _reply(choice: _Choice, usage: Usage, may_call: bool) -> Reply:
    message, finish = choice.message, choice.finish_reason
    if message.refusal:
        return Reply(message.refusal, "refusal", usage=usage)
    if finish == "length" or finish == "content_filter":  # Calls in what was cut off may be cut off themselves.
        return Reply(message.content or "", finish, usage=usage)
    if message.tool_calls and may_call:
        # Gemini has sent calls without an id; ours only has to join the call with its result.
        calls = tuple(
            Call(call.id or f"call_{n}", call.function.name, call.function.arguments) for n, call in enumerate(message.tool_calls)
        )
        return Reply(message.content or "", "calls", calls, usage)
    if not message.content:
        raise Upstream(f"{SERVER} answered with nothing.")
    return Reply(message.content, "stop", usage=usage)


def _refuse(answer: Answer, setting: str) -> NoReturn:
    """Raise what an answer that is no success means to us."""
    code = _code(answer.json)
    if code == "insufficient_quota":  # Comes as 429 too, but no wait mends it.
        raise Refused(f"{SERVER} finds our quota used up: check the account's billing and limits, or set another OPENAI_API_KEY.")
    if code in ("content_filter", "content_policy_violation"):  # Azure refuses a prompt with 400.
        raise Filtered("The model's provider withholds an answer to this; say it in other words.")
    answer.require_served()
    is_gone = answer.status == 404 or code in _GONE
    kind = KeyRefused if answer.status == 401 else ModelGone if is_gone else Refused
    advice = _REFUSALS.get(answer.status, _OTHER_REFUSAL).format(model=setting)
    raise kind(f"{SERVER} {advice} (status {answer.status}).")


def _code(body: Any) -> str | None:
    """OpenAI's `error.code`, or its `type`; other servers send a text or a list there, Gemini a list around it all."""
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        return None
    return next((error[name] for name in ("code", "type") if isinstance(error.get(name), str)), None)


def _usage(usage: Any) -> Usage:
    counts = usage if isinstance(usage, dict) else {}
    given, written = (counts.get(name) for name in ("prompt_tokens", "completion_tokens"))
    return Usage(*(count if isinstance(count, int) and count >= 0 else 0 for count in (given, written)))
