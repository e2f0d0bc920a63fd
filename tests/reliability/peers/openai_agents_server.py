"""A chat backend on openai-agents, its sessions in SQLite by `SQLiteSession`: one agent for the process, `Runner.run` for each question."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from agents import Agent, OpenAIChatCompletionsModel, Runner, SQLiteSession, set_tracing_disabled
from backend import application as backend
from openai import AsyncOpenAI

set_tracing_disabled(True)
client = AsyncOpenAI(base_url=os.environ["OPENAI_BASE_URL"], api_key="none", max_retries=0)
agent = Agent(name="assistant", model=OpenAIChatCompletionsModel(model="echo", openai_client=client))


@contextmanager
def opened(session_id: str) -> Iterator[SQLiteSession]:
    session = SQLiteSession(session_id, os.environ["DATABASE"])
    try:
        yield session
    finally:
        session.close()


async def create(session_id: str) -> None:
    with opened(session_id):
        pass  # It makes its tables; the session itself begins with its first message.


async def ask(session_id: str, query: str) -> str:
    with opened(session_id) as session:
        return str((await Runner.run(agent, query, session=session)).final_output)


async def messages(session_id: str) -> Sequence[str]:
    with opened(session_id) as session:
        return [item["content"] if item["role"] == "user" else item["content"][0]["text"] for item in await session.get_items()]


application = backend(create, ask, messages)
