"""One owner asks a hundred questions at once: the model is asked no more of them than the limit lets in, and none is half begun (T49)."""

import contextlib
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing
from dataclasses import dataclass
from itertools import islice

import httpx
import pytest
from anyio.from_thread import start_blocking_portal

from tests import signin, upstream
from tests.held import Model
from tests.reliability.echo import Echo
from tests.signin import SignedIn

MANY, LIMIT = 100, 2

Sent = tuple[Mapping[str, str], Mapping[str, str]]
"""What goes with each question: fields of its body, and headers."""


@dataclass(frozen=True)
class Held:
    """A product whose model answers nothing until the test lets it."""

    product: SignedIn
    model: Model
    port: int

    @contextlib.contextmanager
    def thinking(self) -> Iterator[None]:
        """Until the block ends, the model answers nothing."""
        self.model.held_port = self.port
        try:
            yield
        finally:
            self.model.held_port = 0
            self.model.go_on()

    def ask(self, number: int, body: Mapping[str, str], headers: Mapping[str, str]) -> httpx.Response:
        return self.product.world.http.post("/chat", json={"query": f"question {number}", **body}, headers=headers)

    @property
    def turns(self) -> int:
        """How many are kept, of whomever."""
        with closing(sqlite3.connect(self.product.world.folder / "cantilever.db")) as file:
            return int(file.execute("SELECT count(*) FROM documents WHERE collection = 'turns'").fetchone()[0])


@pytest.fixture(scope="module")
def held() -> Iterator[Held]:
    with start_blocking_portal("asyncio") as portal:
        model = Model(portal, Echo())
        model.echo.before = model.hold
        with portal.wrap_async_context_manager(upstream.serving(model.echo.reply)) as served:
            chosen = {"OPENAI_BASE_URL": f"{served.url}/v1", "MAX_TURNS_PER_OWNER": str(LIMIT), "CHAT_BUDGET_SECONDS": "40"}
            with signin.started(**chosen) as product:
                yield Held(product, model, int(served.url.rpartition(":")[2]))


def of_a_person(held: Held) -> Sent:
    """Somebody signed in, who begins a conversation with each."""
    with held.product.browser() as browser:
        return {}, {"Authorization": f"Bearer {held.product.client().connect(browser)['access_token']}"}


def of_a_stranger(_: Held) -> Sent:
    """A stranger, whose limits are the conversation's."""
    return {"session_id": "of-a-stranger"}, {}


@pytest.mark.parametrize("who", [of_a_person, of_a_stranger])
def test_of_a_hundred_questions_at_once_the_model_gets_as_many_as_the_limit_lets_in(held: Held, who: Callable[[Held], Sent]) -> None:
    body, headers = who(held)
    asked, kept = held.model.calls, held.turns

    with ThreadPoolExecutor(MANY) as threads, held.thinking():
        asking = [threads.submit(held.ask, number, body, headers) for number in range(MANY)]
        first = [done.result() for done in islice(as_completed(asking), MANY - LIMIT)]
        at_once = held.model.calls - asked
    answers = [one.result() for one in asking]

    assert {(answer.status_code, answer.json()["error"]["code"]) for answer in first} == {(429, "too_many_turns")}
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in first)
    done = [number for number, answer in enumerate(answers) if answer.status_code == 200]
    assert 1 <= at_once <= len(done) == held.model.calls - asked == held.turns - kept == LIMIT
    for number in done:
        session = answers[number].json()["session_id"]
        page = held.product.world.http.get(f"/chat/{session}", headers=headers).json()["turns"]
        assert [turn["answer"] for turn in page if turn["query"] == f"question {number}"] == [answers[number].json()["answer"]]
    assert held.ask(MANY, body, headers).status_code == 200, "whoever was refused may ask again"
