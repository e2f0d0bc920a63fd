"""The table of what is deployed: infra/functions.json."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from infra.deploy.accounts import email

TABLE = Path(__file__).parents[1] / "functions.json"

TURNS_TOPIC = "plugin-turns"
"""The topic of turns that outlast their request."""


@dataclass(frozen=True, slots=True)
class Function:
    """One deployed function: a row of infra/functions.json. Values may name shell variables."""

    name: str
    """Of small letters and dashes, so that the Cloud Run service under it has the same name."""
    entry_point: str
    runtime: str
    memory: str
    cpu: float
    concurrency: int
    min_instances: int
    max_instances: int
    timeout_seconds: int
    billing: Literal["instance", "request"]
    """What Google bills, and so when the function has a processor: as long as an instance lives, or while a request is open."""
    ingress: str
    allow_unauthenticated: bool
    service_account: str
    roles: Sequence[str]
    """The project's roles that its account is granted."""
    secrets: Mapping[str, str]
    """Setting -> the secret whose name it is given. The function reads the value itself, and again when it was rotated."""
    env: Mapping[str, str]
    mounts: Mapping[str, str] = field(default_factory=dict)
    """Setting -> the secret whose value it has from the start of an instance: after a rotation, deploy again."""
    warm_up: bool = False
    """Whether an instance first opens its connections, asked by the startup probe, and only then gets requests."""
    publishes: bool = False
    """Whether it hands slow turns on, to TURNS_TOPIC."""
    pushed_by: str | None = None
    """The service account that Pub/Sub pushes slow turns as; None: it is not pushed to."""

    @property
    def url(self) -> str:
        """Its address, known before it exists: https://cloud.google.com/run/docs/triggering/https-request#deterministic"""
        return f"https://{self.name}-$PROJECT_NUMBER.$REGION.run.app"

    @property
    def settings(self) -> Mapping[str, str]:
        """Every environment variable that it is deployed with."""
        settings = {setting: f"projects/$PROJECT/secrets/{secret}/versions/latest" for setting, secret in self.secrets.items()}
        if self.billing == "instance":
            settings["INSTANCE_BILLING"] = "on"
        if self.publishes:
            settings["TURNS_TOPIC"] = f"projects/$PROJECT/topics/{TURNS_TOPIC}"
        if self.pushed_by:
            # Cloud Run itself admits only tokens that are meant for the service's address: https://cloud.google.com/run/docs/authenticating/service-to-service
            settings |= {"PUSH_AUDIENCE": self.url, "PUSH_ACCOUNT": email(self.pushed_by)}
        return {**self.env, **settings}


FUNCTIONS: Sequence[Function] = tuple(Function(**row) for row in json.loads(TABLE.read_text("utf-8")))

ALL_IN_ONE = next(function for function in FUNCTIONS if function.entry_point == "plugin")
"""The function that is the whole plugin."""

SEPARATE: Sequence[Function] = tuple(function for function in FUNCTIONS if function != ALL_IN_ONE)
"""The functions that are one plugin together, behind a load balancer."""
