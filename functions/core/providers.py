"""The hosts of Chat Completions, and how each wants to be spoken to."""

from typing import Literal

from pydantic import ConfigDict

from functions.core.shape import Shape


class Provider(Shape):
    """How one host of Chat Completions wants to be spoken to; each value can be overruled by a setting."""

    model_config = ConfigDict(frozen=True)

    auth: Literal["bearer", "api-key", "google"]
    token_limit_parameter: Literal["max_completion_tokens", "max_tokens"]
    reasoning_effort: str | None = None


OPENAI = Provider(auth="bearer", token_limit_parameter="max_completion_tokens", reasoning_effort="none")
"""`gpt-6-luna` calls functions over Chat Completions only with reasoning_effort "none" (wire.md 5.1)."""
AZURE = Provider(auth="api-key", token_limit_parameter="max_completion_tokens")
VERTEX = Provider(auth="google", token_limit_parameter="max_tokens")
COMPATIBLE = Provider(auth="bearer", token_limit_parameter="max_tokens")
"""Gemini, Ollama, vLLM and whatever else speaks Chat Completions."""

PROVIDERS = (("api.openai.com", OPENAI), (".openai.azure.com", AZURE), ("aiplatform.googleapis.com", VERTEX))
"""How the host's name ends -> who that is."""
