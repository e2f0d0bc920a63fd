"""A second model for when the first fails."""

from collections.abc import Sequence
from dataclasses import dataclass

from functions.adapters.chat_completions import ModelGone
from functions.adapters.log import log
from functions.core.deadline import Deadline
from functions.core.errors import Upstream
from functions.core.model import Message, Model, Reply, Tool


@dataclass(frozen=True, slots=True)
class WithFallback:
    """`Model` (core/model.py) that asks `first`, and `second` once `first` has failed, is left alone by its breaker, or does not exist
    any more. The two are never asked at the same time."""

    first: Model
    second: Model

    async def reply(self, messages: Sequence[Message], tools: Sequence[Tool], deadline: Deadline, *, may_call: bool = True) -> Reply:
        """`Model.reply`. Where both fail, the second's error is told: the first's alone would leave a wrong second model undiscovered."""
        try:
            return await self.first.reply(messages, tools, deadline, may_call=may_call)
        except (Upstream, ModelGone) as error:
            if not deadline.left():
                raise
            # Nobody would notice otherwise: what follows is answered.
            log("the first model failed", severity="WARNING" if error.retryable else "ERROR", error=error.code)
        return await self.second.reply(messages, tools, deadline, may_call=may_call)
