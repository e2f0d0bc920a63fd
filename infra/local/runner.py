"""The local world's runner: starts the emulators that are needed and the product, tells how to use it, and ends all with itself."""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from functions.adapters.access_tokens import new_jwks
from functions.adapters.sealing import new_key
from functions.capabilities import CATALOGUE
from functions.capabilities.weather import FORECAST, GEOCODING
from functions.core.capability import Api
from functions.core.settings import InvalidSettings, Settings
from infra.environment import FILE, Unreadable, environment
from infra.local import google_emulator, google_emulators
from infra.local.children import Child, Died
from infra.local.serving import LOOPBACK

ROOT = Path(__file__).resolve().parents[2]
PYTHONS_BIN = Path(sys.executable).parent

DEFAULT_PORT = "8080"
STARTING_SECONDS = 60.0
"""Until the product answers: some seconds on a small machine with cold files, and room for a slow one."""

PROJECT = "demo-cantilever"
"""Google's emulators and libraries take projects called demo-… for what they are: not real."""

APIS = (GEOCODING, FORECAST)
"""What the weather emulator can be."""

CALLBACK = "/oauth/callback"
"""Where Google leads back to, below the product's address."""

QUESTION = "北京明天天气怎么样"


class Impossible(Exception):
    """The local world cannot start here; the message says what to do."""


def main() -> int:
    """Run until Ctrl-C; the exit code is 0 only then."""
    parser = argparse.ArgumentParser(
        prog="python -m infra.local", description="Cantilever on this machine, with emulators of what lies outside."
    )
    parser.add_argument("--port", help="where it answers on localhost; default: the variable PORT, else 8080")
    parser.add_argument("--env-file", type=Path, default=FILE, help="lines of NAME=value, under the environment; default: .env")
    given = parser.parse_args()
    try:
        environ = environment(given.env_file, os.environ)
        asyncio.run(_World(environ, _store(environ)).run(_port(given.port or environ.get("PORT") or DEFAULT_PORT)))
    except (Impossible, Unreadable, InvalidSettings, Died) as reason:
        print(f"\n{reason}", file=sys.stderr)
        return 1
    return 0


def _store(environ: Mapping[str, str]) -> str:
    """The store that the product will use, after a look at all its settings."""
    if environ.get("K_SERVICE"):
        raise Impossible("K_SERVICE is set: this looks like a deployment, where no emulator may run. Unset it.")
    return Settings.read(environ, CATALOGUE.apis).store_url


@dataclass
class _World:
    environ: dict[str, str]
    store: str
    stands_for: list[str] = field(default_factory=list)
    """A line for each emulator: what it stands for, and what replaces it."""
    children: list[Child] = field(default_factory=list)

    async def run(self, port: int) -> None:
        stopped = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, stopped.set)
        _refuse_taken(port)
        async with self._ended_with_us():
            await _first(stopped, self._started(port))
            if not stopped.is_set():
                print(self.welcome(port), flush=True)
                await _first(stopped, self._death())
        print("\nStopped.", flush=True)

    async def _started(self, port: int) -> None:
        await self._firestore()  # First: it alone may be impossible here.
        self.environ.setdefault("PUBLIC_BASE_URL", f"http://localhost:{port}")
        await self._weather()
        await self._model()
        await self._google()
        # Without this the framework builds a Flask application around ours and silences its logs (functions-framework-python issue 398).
        self.environ["FUNCTION_USE_ASGI"] = "true"
        program = [str(PYTHONS_BIN / "functions-framework"), "--target=plugin", f"--source={ROOT / 'main.py'}"]
        product = await self._start("the product", [*program, f"--host={LOOPBACK}", f"--port={port}"], shown=True)
        await product.until(lambda: _answers(f"http://{LOOPBACK}:{port}/openapi.json"), STARTING_SECONDS)

    async def _weather(self) -> None:
        unset = [api for api in APIS if api.url_setting not in self.environ]
        if unset:
            origin = await self._emulator("weather_emulator")
            self.environ |= {api.url_setting: f"{origin}/v1" for api in unset}
            real = " ".join(f"{api.url_setting}={api.base_url}" for api in unset)
            self.stands_for.append(f"weather at {origin}: Open-Meteo, with invented weather. Real: {real}")

    async def _model(self) -> None:
        if not self.environ.keys() & {"OPENAI_BASE_URL", "OPENAI_API_KEY", "OPENAI_API_KEY_SECRET"}:
            origin = await self._emulator("model_emulator")
            self.environ["OPENAI_BASE_URL"] = f"{origin}/v1"
            self.stands_for.append(
                f"model at {origin}: OpenAI, understanding only the weather. Real: OPENAI_API_KEY=…, or OPENAI_BASE_URL=… of another provider"
            )

    async def _google(self) -> None:
        if "GOOGLE_CLIENT_ID" in self.environ:
            return
        back = self.environ["PUBLIC_BASE_URL"].rstrip("/") + CALLBACK
        origin = await self._emulator("google_emulator", "--redirect-uri", back)
        self.environ = {
            "GOOGLE_CLIENT_ID": google_emulator.CLIENT_ID,
            "GOOGLE_CLIENT_SECRET": google_emulator.CLIENT_SECRET,
            "GOOGLE_ACCOUNTS_URL": origin,
            "GOOGLE_OAUTH_URL": origin,
            "GOOGLE_CERTS_URL": f"{origin}/oauth2/v3/certs",
            **_keys(Path(".local") / "keys.json"),
            # The emulator has every API of Google's at its own path.
            **{api.url_setting: origin + urlsplit(api.base_url).path for api in CATALOGUE.apis if _is_googles(api)},
        } | self.environ
        self.stands_for.append(
            f"Google at {origin}: sign-in, Calendar, Docs and Gmail of two invented people. Real: GOOGLE_CLIENT_ID=… GOOGLE_CLIENT_SECRET=…"
        )

    async def _firestore(self) -> None:
        if self.store != "firestore" or self.environ.keys() & {"FIRESTORE_EMULATOR_HOST", "GOOGLE_CLOUD_PROJECT"}:
            return
        try:
            port = _free_port()
            emulator = await self._start("the Firestore emulator", await asyncio.to_thread(google_emulators.firestore, port))
        except google_emulators.Missing as missing:
            raise Impossible(f"STORE=firestore cannot run here: {missing}. Without STORE, conversations live in SQLite.") from missing
        await emulator.until(lambda: _answers(f"http://{LOOPBACK}:{port}/"))
        self.environ |= {"FIRESTORE_EMULATOR_HOST": f"{LOOPBACK}:{port}", "GOOGLE_CLOUD_PROJECT": PROJECT}
        self.stands_for.append(
            f"Firestore at {LOOPBACK}:{port}: Google's own emulator. Real: GOOGLE_CLOUD_PROJECT=…; another one: FIRESTORE_EMULATOR_HOST=host:port"
        )

    async def _emulator(self, module: str, *arguments: str) -> str:
        child = await self._start(f"the {module.replace('_', ' ')}", [sys.executable, "-m", f"infra.local.{module}", *arguments])

        async def said() -> bool:
            return any(line.startswith("http://") for line in child.lines)

        await child.until(said)
        return next(line for line in child.lines if line.startswith("http://"))

    async def _start(self, name: str, command: list[str], *, shown: bool = False) -> Child:
        environ = {**self.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
        child = await Child.start(name, command, environ, ROOT, shown=shown)
        self.children.append(child)
        return child

    async def _death(self) -> None:
        ends = {asyncio.create_task(child.died()) for child in self.children}
        done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        raise done.pop().result()

    @contextlib.asynccontextmanager
    async def _ended_with_us(self) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await asyncio.gather(*(child.stop() for child in self.children))

    def welcome(self, port: int) -> str:
        """What a person is told when everything answers."""
        origin = f"http://localhost:{port}"
        lives = f"in {self.store.removeprefix('sqlite:')}"
        if self.store == "firestore":
            emulator = self.environ.get("FIRESTORE_EMULATOR_HOST")
            project = self.environ.get("GOOGLE_CLOUD_PROJECT")
            lives = (
                f"in Firestore at {emulator}; an emulator forgets them when it stops" if emulator else f"in the real Firestore of {project}"
            )
        lines = [
            "",
            f"Cantilever answers on {origin}",
            f"  manifest  {origin}/.well-known/ai-plugin.json",
            f"  openapi   {origin}/openapi.json",
            f"  chat      {origin}/chat",
            f"  mcp       {origin}/mcp",
            "",
            "Ask it:",
            f"  curl -s {origin}/chat -H 'content-type: application/json' -d '{{\"query\": \"{QUESTION}\"}}'",
            "",
            "Emulated here, until a variable in the environment or in .env names the real thing:"
            if self.stands_for
            else "Nothing is emulated.",
            *(f"  {line}" for line in self.stands_for),
            "",
            f"Conversations live {lives}. Ctrl-C stops everything.",
            "",
        ]
        return "\n".join(lines)


def _keys(path: Path) -> dict[str, str]:
    """The local world's own keys, made when it first runs: what was sealed yesterday is to open today."""
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        made = {"TOKEN_SIGNING_KEYS": new_jwks("local"), "SEALING_KEYS": new_key("local")}
        path.touch(mode=0o600)
        path.write_text(json.dumps(made), "utf-8")
    kept: dict[str, str] = json.loads(path.read_text("utf-8"))
    return kept


def _is_googles(api: Api) -> bool:
    return (urlsplit(api.base_url).hostname or "").endswith(".googleapis.com")


async def _first(stopped: asyncio.Event, work: Coroutine[Any, Any, None]) -> None:
    """Do `work` unless told to stop before it is done; its errors are raised."""
    working, stopping = asyncio.create_task(work), asyncio.create_task(stopped.wait())
    try:
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
    finally:
        working.cancel()
        stopping.cancel()
        await asyncio.gather(working, stopping, return_exceptions=True)


async def _answers(url: str) -> bool:
    try:
        async with aiohttp.ClientSession() as session, session.get(url, timeout=aiohttp.ClientTimeout(total=5)) as response:
            return response.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise Impossible(f"{text} is no port; choose one from 1 to 65535, for example: make run PORT=9000")
    return int(text)


def _refuse_taken(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except PermissionError as error:
            raise Impossible(f"Port {port} is reserved for the administrator. Choose another: make run PORT=9000") from error
        except OSError as error:
            raise Impossible(f"Port {port} is in use. Choose another: make run PORT={port + 1 if port < 65535 else 9000}") from error


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port
