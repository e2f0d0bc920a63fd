"""From a question to the turn that is kept of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from traceback import clear_frames

from functions.core.access import Access, Accesses
from functions.core.asking import Tally, Toolbox, ask
from functions.core.deadline import Deadline
from functions.core.errors import CantileverError, DeadlinePassed
from functions.core.model import Message, Model, User
from functions.core.stored import Failure, Tokens, Turn


@dataclass(frozen=True, slots=True)
class Ended:
    """A turn that is over, to be kept; with the error that ended it, where it failed."""

    turn: Turn
    error: CantileverError | None = None


@dataclass(frozen=True, slots=True)
class Answering:
    """Who answers, and with what."""

    model: Model
    toolbox: Toolbox
    instructions: Callable[[datetime], str]
    """What the operator tells the model, given the store's clock."""
    accesses: Accesses

    async def answer(self, turn: Turn, access: Access, said: Sequence[Message], now: datetime, deadline: Deadline, tally: Tally) -> Ended:
        """What became of a pending turn. `said` is the conversation before it, `now` the store's clock.

        `tally` is the turn's own: what was asked before in vain is told with it.
        """
        toolbox = replace(self.toolbox, access=access)
        try:
            async with deadline.limit():
                answer = await ask(self.model, toolbox, self.instructions(now), [*said, User(turn.query)], deadline, tally)
        except (TimeoutError, DeadlinePassed):  # Ours, or of whoever was asked last: they end at the same moment.
            return failed(turn, DeadlinePassed("The answer was not ready in time; ask again."), tally, deadline)
        except CantileverError as error:
            # The error is kept until it is raised to the caller, and then hangs on itself until the collector comes by, which is seldom
            # (main.py); with it would the locals of all who were at work, the two megabytes of a bad answer among them.
            clear_frames(error.__traceback__)
            return failed(turn, error, tally, deadline)
        told = {"status": "done", "answer": answer.text, "finish_reason": answer.finish}
        return Ended(turn.model_copy(update=told | _cost(tally, deadline)))


def failed(turn: Turn, error: CantileverError, tally: Tally, deadline: Deadline) -> Ended:
    """A turn that this error ended."""
    told = {"status": "failed", "error": Failure(code=error.code, message=error.message, retryable=error.retryable)}
    return Ended(turn.model_copy(update=told | _cost(tally, deadline)), error)


def _cost(tally: Tally, deadline: Deadline) -> dict[str, object]:
    return {
        "operations": tuple(tally.steps),
        "usage": Tokens(input_tokens=tally.usage.input_tokens, output_tokens=tally.usage.output_tokens),
        "milliseconds": round((deadline.clock() - tally.began) * 1000),
    }
