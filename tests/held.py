"""Two processes on one store, with one model: asked by the first of them, it thinks until the test lets it go on."""

import asyncio
import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from anyio.from_thread import BlockingPortal, start_blocking_portal

from tests import upstream
from tests.reliability.echo import Echo
from tests.world import World, started


@dataclass
class Model:
    """The model: each of its replies is another one."""

    portal: BlockingPortal
    echo: Echo
    held_port: int = 0
    """Whoever asks here waits."""
    gate: asyncio.Event | None = None

    @property
    def calls(self) -> int:
        """How often it was asked so far."""
        return len(self.echo.heard)

    def go_on(self) -> None:
        """Let it answer what it was asked until now."""
        self.portal.call(self._open)

    async def hold(self, _question: str, port: int) -> None:
        if port == self.held_port:
            self.gate = self.gate or asyncio.Event()
            await self.gate.wait()

    async def _open(self) -> None:
        if self.gate:
            self.gate.set()
        self.gate = None


@dataclass(frozen=True)
class Both:
    """The processes."""

    slow: World
    """What is asked here is pending until `model.go_on()`."""
    fast: World
    model: Model
    store: Mapping[str, str]
    """What `started` takes for one more process on the same conversations."""
    budget_seconds: float
    """Within this each request is answered."""


@contextlib.contextmanager
def both(budget_seconds: float, store: Mapping[str, str], **environment: str) -> Iterator[Both]:
    """Both processes until the block ends, on a SQLite file unless `store` says otherwise."""
    chosen = environment | {"CHAT_BUDGET_SECONDS": str(budget_seconds)}
    with start_blocking_portal("asyncio") as portal:
        model = Model(portal, Echo())
        model.echo.before = model.hold
        with (
            portal.wrap_async_context_manager(upstream.serving(model.echo.reply)) as held,
            portal.wrap_async_context_manager(upstream.serving(model.echo.reply)) as free,
            started(**store, **chosen, OPENAI_BASE_URL=f"{held.url}/v1") as slow,
        ):
            model.held_port = int(held.url.rpartition(":")[2])
            shared = dict(store) | {"STORE": slow.environ["STORE"]}
            with started(**shared, **chosen, OPENAI_BASE_URL=f"{free.url}/v1") as fast:
                for world in (
                    fast,
                    slow,
                ):  # So that the first question waits for nothing but its answer; Firestore's emulator begins slowly.
                    assert any(world.http.get("/_health").status_code == 200 for _ in range(30))
                yield Both(slow, fast, model, shared, budget_seconds)
                model.go_on()
