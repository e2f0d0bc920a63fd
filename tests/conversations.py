"""Conversations for tests that run turns in their own process: everything around a store and a model."""

import secrets
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from functions.core.access import Access, Accesses
from functions.core.admission import Admission
from functions.core.answering import Answering
from functions.core.asking import Toolbox
from functions.core.backlog import Backlog, Topic
from functions.core.capability import Operation, Web
from functions.core.conversation import Limits
from functions.core.deadline import Deadline
from functions.core.documents import Documents
from functions.core.model import Model
from functions.core.records import Records
from functions.core.spend import Ledger
from functions.core.turn import Turns

DAY = Limits(messages=40, tokens=8000, lifetime=timedelta(hours=24))


NOBODY = Accesses(None)
"""A deployment without sign-in."""


def no_web(operation: Operation, deadline: Deadline, access: Access) -> Web:
    """For models that call nothing."""
    raise AssertionError(f"{operation.name} was called")


def turns(
    documents: Documents,
    model: Model,
    *,
    toolbox: Toolbox | None = None,
    limits: Limits = DAY,
    instructions: Callable[[datetime], str] = lambda now: "Be brief.",
    new_id: Callable[[], str] = lambda: secrets.token_urlsafe(16),
    topic: Topic | None = None,
    turn_seconds: float = 30.0,
    background: bool = True,
    admission: Admission | None = None,
    accesses: Accesses = NOBODY,
    tokens_per_owner: int | None = None,
    tokens: int | None = None,
    report: Callable[[str, Mapping[str, Any]], None] = lambda message, fields: None,
) -> Turns:
    """Turns as wiring assembles them, with what the test says in place of settings."""
    records = Records(documents, below=lambda most: most / 2)
    backlog = Backlog(
        records=records,
        answering=Answering(model, toolbox or Toolbox({}, no_web, NOBODY.of(None)), instructions, accesses),
        limits=limits,
        ledger=Ledger(records, tokens_per_owner, tokens),
        topic=topic,
        new_id=new_id,
        turn_seconds=turn_seconds,
        background=background,
        report=report,
    )
    return Turns(backlog, admission or Admission(most=1000, most_per_owner=1000))
