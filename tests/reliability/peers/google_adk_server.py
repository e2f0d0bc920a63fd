"""A chat backend on google-adk, its sessions in SQLite by `DatabaseSessionService`: one runner for the process, `run_async` for each question."""

import os
from collections.abc import AsyncGenerator, Sequence

import httpx
from backend import application as backend
from google.adk.agents import Agent
from google.adk.models import BaseLlm, LlmRequest, LlmResponse
from google.adk.runners import Runner
from google.adk.sessions import DatabaseSessionService
from google.genai import types

APP, USER = "peer", "user"
ROLES = {"user": "user", "model": "assistant"}


class Outside(BaseLlm):
    """The model outside, which every contestant asks, by Chat Completions."""

    async def generate_content_async(self, llm_request: LlmRequest, stream: bool = False) -> AsyncGenerator[LlmResponse, None]:
        said = [{"role": ROLES[content.role], "content": content.parts[0].text} for content in llm_request.contents]
        answered = await client.post("/chat/completions", json={"model": self.model, "messages": said})
        text = answered.raise_for_status().json()["choices"][0]["message"]["content"]
        yield LlmResponse(content=types.Content(role="model", parts=[types.Part(text=text)]))


client = httpx.AsyncClient(base_url=os.environ["OPENAI_BASE_URL"], timeout=30)
sessions = DatabaseSessionService(db_url=f"sqlite+aiosqlite:///{os.environ['DATABASE']}")
agent = Agent(name="assistant", model=Outside(model="echo"), instruction="Answer.")
runner = Runner(agent=agent, app_name=APP, session_service=sessions)


async def create(session_id: str) -> None:
    await sessions.create_session(app_name=APP, user_id=USER, session_id=session_id)


async def ask(session_id: str, query: str) -> str:
    answer = ""
    message = types.Content(role="user", parts=[types.Part(text=query)])
    async for event in runner.run_async(user_id=USER, session_id=session_id, new_message=message):
        if event.is_final_response():
            answer = event.content.parts[0].text
    return answer


async def messages(session_id: str) -> Sequence[str]:
    session = await sessions.get_session(app_name=APP, user_id=USER, session_id=session_id)
    return [event.content.parts[0].text for event in session.events if event.content]


application = backend(create, ask, messages)
