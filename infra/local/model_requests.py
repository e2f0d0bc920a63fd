"""What Chat Completions takes: a request is read as strictly as OpenAI reads it, so that a client's fault is seen here and not in production.

https://platform.openai.com/docs/api-reference/chat/create; the messages are OpenAI's own where clients are known to meet them.
"""

import json
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

KNOWN = frozenset(
    "model messages tools tool_choice parallel_tool_calls max_tokens max_completion_tokens temperature top_p n stop seed stream stream_options "
    "response_format reasoning_effort verbosity presence_penalty frequency_penalty logit_bias logprobs top_logprobs user metadata store "
    "service_tier prompt_cache_key safety_identifier modalities".split()
)
ROLES = ("developer", "system", "user", "assistant", "tool")
TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


class Refused(Exception):
    """A request that OpenAI refuses."""

    def __init__(
        self, message: str, *, status: int = 400, kind: str = "invalid_request_error", param: str | None = None, code: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"error": {"message": message, "type": kind, "param": param, "code": code}}


@dataclass(frozen=True)
class Chat:
    """A request that was read: what a reply depends on."""

    body: dict[str, Any]

    @property
    def model(self) -> str:
        """The model as asked for, with its switches."""
        return str(self.body["model"])

    @cached_property
    def questions(self) -> list[str]:
        """What the person said, the latest last."""
        return [text_of(message) for message in self.body["messages"] if message["role"] == "user"]

    @cached_property
    def results(self) -> list[str]:
        """What came of the calls that were made for the latest question."""
        found: list[str] = []
        for message in self.body["messages"]:
            if message["role"] == "user":
                found = []
            elif message["role"] == "tool":
                found.append(text_of(message))
        return found

    @cached_property
    def tools(self) -> list[str]:
        """The names of the tools that may be called now."""
        if self.body.get("tool_choice") == "none":
            return []
        return [tool["function"]["name"] for tool in self.body.get("tools") or []]


def read(raw: bytes) -> Chat:
    """The request in `raw`.

    Raises:
        Refused: OpenAI would not take it.
    """
    try:
        body = json.loads(raw)
    except ValueError as error:
        raise Refused("We could not parse the JSON body of your request.") from error
    if not isinstance(body, dict):
        raise Refused("We could not parse the JSON body of your request: it is no object.")
    if not isinstance(body.get("model"), str) or not body["model"]:
        raise Refused("you must provide a model parameter", param="model")
    if unknown := sorted(body.keys() - KNOWN):
        raise Refused(f"Unrecognized request argument supplied: {unknown[0]}", param=unknown[0])
    if body.get("stream"):
        raise Refused("The emulator does not stream.", param="stream")
    _check_tools(body)
    _check_messages(body.get("messages"))
    return Chat(body)


def text_of(message: dict[str, Any]) -> str:
    """A message's text, whether it came as one string or in parts."""
    content = message.get("content") or ""
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def _check_tools(body: dict[str, Any]) -> None:
    tools = body.get("tools")
    if tools is None:
        if body.get("tool_choice") is not None:
            raise Refused("Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are specified.", param="tool_choice")
        return
    if not isinstance(tools, list) or not tools:
        raise Refused("Invalid 'tools': expected an array with minimum length 1.", param="tools")
    for place, tool in enumerate(tools):
        function = tool.get("function") if isinstance(tool, dict) and tool.get("type") == "function" else None
        if not isinstance(function, dict) or not TOOL_NAME.fullmatch(str(function.get("name", ""))):
            raise Refused(f"Invalid 'tools[{place}].function.name'.", param=f"tools[{place}].function.name")
        if not isinstance(function.get("parameters", {}), dict):
            raise Refused(f"Invalid schema for function '{function['name']}'.", param=f"tools[{place}].function.parameters")


def _check_messages(messages: Any) -> None:
    if not isinstance(messages, list) or not messages:
        raise Refused("Invalid 'messages': expected an array with minimum length 1.", param="messages")
    waiting: set[str] = set()
    for place, message in enumerate(messages):
        where = f"messages.[{place}]"
        if not isinstance(message, dict) or message.get("role") not in ROLES:
            raise Refused(f"Invalid value for '{where}.role'. Supported values are: {', '.join(ROLES)}.", param=f"{where}.role")
        if message["role"] == "tool":
            if message.get("tool_call_id") not in waiting:
                # "preceeding" is OpenAI's spelling.
                raise Refused(
                    "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'.",
                    param=f"{where}.role",
                )
            waiting.discard(message["tool_call_id"])
        elif waiting:
            raise _unanswered(waiting, where)
        if message["role"] == "assistant" and message.get("tool_calls") is not None:
            waiting = _calls(message["tool_calls"], where)
        elif not isinstance(message.get("content"), (str, list)):
            raise Refused(f"Invalid value for 'content': expected a string, got {_kind(message.get('content'))}.", param=f"{where}.content")
    if waiting:
        raise _unanswered(waiting, "messages")


def _calls(calls: Any, where: str) -> set[str]:
    if not isinstance(calls, list) or not calls:
        raise Refused(f"Invalid '{where}.tool_calls': expected an array with minimum length 1.", param=f"{where}.tool_calls")
    for call in calls:
        function = call.get("function", {}) if isinstance(call, dict) else {}
        if not (
            isinstance(call, dict) and call.get("id") and call.get("type") == "function" and isinstance(function.get("arguments"), str)
        ):
            raise Refused(
                f"Invalid '{where}.tool_calls': id, type, function.name and function.arguments (a string) are required.",
                param=f"{where}.tool_calls",
            )
    return {call["id"] for call in calls}


def _unanswered(ids: set[str], where: str) -> Refused:
    return Refused(
        "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. "
        f"The following tool_call_ids did not have response messages: {', '.join(sorted(ids))}",
        param=where,
    )


def _kind(value: Any) -> str:
    return "null" if value is None else type(value).__name__
