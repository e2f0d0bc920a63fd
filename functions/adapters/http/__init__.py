"""HTTP: what may come in, what goes out, and one log line for each request. Only this package knows status codes.

What the framework leaves open and is closed here (measured in reliability.md section 0): unbounded bodies, bodies that never come, two
framings at once, errors as plain text, tracebacks with secrets in the log.
"""

from functions.adapters.http.answers import (
    FAULTS,
    Resource,
    accepted,
    answer,
    document,
    failure,
    json_text,
    nothing,
    oauth_failure,
    rpc_failure,
    tokens,
)
from functions.adapters.http.edge import HEALTH, Edge, pattern
from functions.adapters.http.exchange import Exchange
from functions.adapters.http.incoming import FORM, MAX_BODY, Incoming, address_of
from functions.adapters.http.life import Life
from functions.adapters.http.pages import CHATGPT, Pages

__all__ = [
    "CHATGPT",
    "FAULTS",
    "FORM",
    "HEALTH",
    "MAX_BODY",
    "Edge",
    "Exchange",
    "Incoming",
    "Life",
    "Pages",
    "Resource",
    "accepted",
    "address_of",
    "answer",
    "document",
    "failure",
    "json_text",
    "nothing",
    "oauth_failure",
    "pattern",
    "rpc_failure",
    "tokens",
]
