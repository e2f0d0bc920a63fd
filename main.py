"""The deployed names: `manifest`, `auth`, `chat`, `mcp`, `worker`, and `plugin`, which is the first four behind one entry point.

`functions-framework --target=chat` and `gcloud functions deploy --entry-point=chat` ask this module for `chat`; only then is
functions/chat.py loaded, so that each function loads only what it needs.
"""

import gc
import importlib
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import gunicorn.config  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

FUNCTIONS = ("manifest", "auth", "chat", "mcp", "worker", "plugin")

# The framework offers no option for either. Clients pause for seconds between calls, and 2 s, the default, closes on them in
# mid-request (performance.md section 7). Cloud Run kills 10 s after SIGTERM, and gunicorn needs up to 2 s of its own.
gunicorn.config.Keepalive.default = 75
gunicorn.config.GracefulTimeout.default = 6


def __getattr__(name: str) -> "Callable[[Request], Awaitable[Response]]":
    if name not in FUNCTIONS:
        raise AttributeError(f"main.py deploys {', '.join(FUNCTIONS)}; there is no {name!r}.")
    gc.disable()  # What imports make stays: looking through it again and again is an eighth of a start (tests/bench/RESULTS.md).
    from functions.core.settings import InvalidSettings

    try:
        function = getattr(importlib.import_module(f"functions.{name}"), name)
    except InvalidSettings as error:
        raise SystemExit(str(error)) from error
    except AttributeError as error:
        # The framework asks with hasattr(), which would swallow this and report the function as missing.
        raise ImportError(f"functions/{name}.py could not be loaded: {error}") from error
    # What was imported lives as long as the process: keep the collector from walking it, as https://docs.python.org/3/library/gc.html#gc.freeze
    # advises before a fork. 500 turns that wait for a model are 100,000 objects: below that, the collector would walk them for nothing.
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)
    gc.enable()
    globals()[name] = function
    return function  # type: ignore[no-any-return]
