"""The code of the article that this project began with, assembled as it is written there into one function: the baseline.

Classes and the call are the article's own, statement by statement; only the model's address can be set (MODEL_URL). What the article
leaves out is filled in the shortest way: the function around it, which makes a session that does not exist.
"""

import asyncio
import os
import re
from collections import deque
from datetime import datetime
from uuid import uuid4

import aiohttp
import flask
import functions_framework
from tenacity import retry, stop_after_attempt, wait_exponential

MODEL_URL = os.environ.get("MODEL_URL", "https://api.openai.com")


class SessionManager:
    def __init__(self):
        self.sessions = {}  # token -> { last_active: datetime, context: dict}

    def create_session(self) -> str:
        token = str(uuid4())
        self.sessions[token] = {"last_active": datetime.now(), "context": {}}  # noqa: DTZ005
        return token

    def get_context(self, token: str) -> dict:
        if token not in self.sessions:
            raise ValueError("Invalid session token")
        return self.sessions[token]["context"]


class MemoryBuffer:
    def __init__(self, maxlen=5):
        self.buffer = deque(maxlen=maxlen)

    def add_message(self, role: str, content: str):
        self.buffer.append({"role": role, "content": content})

    def get_context(self) -> list:
        return list(self.buffer)


@retry(stop=stop_after_attempt(3), wait=wait_exponential(multiplier=1, min=4, max=10))
async def call_chatgpt_api(prompt: str, session: aiohttp.ClientSession) -> dict:
    try:
        async with session.post(
            f"{MODEL_URL}/v1/chat/completions",
            json={"model": "gpt-3.5-turbo", "messages": [{"role": "user", "content": prompt}]},
            timeout=aiohttp.ClientTimeout(total=30),
        ) as resp:
            resp.raise_for_status()
            return await resp.json()
    except aiohttp.ClientError as e:
        print(f"API 调用失败: {e!s}")
        raise


def sanitize_input(text: str) -> str:
    return re.sub(r'[<>"\'\\]', "", text)


manager = SessionManager()


@functions_framework.http
def seed(request: flask.Request) -> dict:
    body = request.get_json()
    token = body["session_id"]
    if token not in manager.sessions:
        manager.sessions[token] = manager.sessions.pop(manager.create_session())
    buffer = manager.get_context(token).setdefault("buffer", MemoryBuffer())
    query = sanitize_input(body["query"])
    buffer.add_message("user", query)
    answer = asyncio.run(ask(query))["choices"][0]["message"]["content"]
    buffer.add_message("assistant", answer)
    return {"answer": answer}


async def ask(query: str) -> dict:
    async with aiohttp.ClientSession() as session:
        return await call_chatgpt_api(query, session)
