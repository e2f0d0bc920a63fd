"""One JSON line on stdout for each event: Cloud Logging reads it so (https://cloud.google.com/run/docs/logging#using-json)."""

import json
from typing import Any


def log(message: str, *, severity: str = "INFO", **fields: Any) -> None:
    """Write a line. `message` is constant; `fields` are numbers, names and ids of ours, never a text, a token or an address."""
    print(json.dumps({"severity": severity, "message": message, **fields}), flush=True)
