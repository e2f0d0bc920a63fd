"""HTTP: what may come in, what goes out, and one log line for each request. Only this package knows status codes.

What the framework leaves open and is closed here (measured in reliability.md section 0): unbounded bodies, bodies that never come, two
framings at once, errors as plain text, tracebacks with secrets in the log.
"""

from functions.adapters.http.answers import FAULTS, accepted, answer, challenge, document, failure, json_text, nothing, rpc_failure
from functions.adapters.http.edge import HEALTH, Edge, pattern
from functions.adapters.http.exchange import Exchange
from functions.adapters.http.incoming import MAX_BODY, Incoming
from functions.adapters.http.life import Life
from functions.adapters.http.pages import CHATGPT, Pages

__all__ = [
    "CHATGPT",
    "FAULTS",
    "HEALTH",
    "MAX_BODY",
    "Edge",
    "Exchange",
    "Incoming",
    "Life",
    "Pages",
    "accepted",
    "answer",
    "challenge",
    "document",
    "failure",
    "json_text",
    "nothing",
    "pattern",
    "rpc_failure",
]
