"""The table of what is deployed: infra/functions.json."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

TABLE = Path(__file__).parents[1] / "functions.json"


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
    ingress: str
    allow_unauthenticated: bool
    service_account: str
    roles: Sequence[str]
    """The project's roles that its account is granted."""
    secrets: Mapping[str, str]
    """Setting -> the secret whose name it is given. The function reads the value itself, and again when it was rotated."""
    env: Mapping[str, str]

    @property
    def settings(self) -> Mapping[str, str]:
        """Every environment variable that it is deployed with."""
        names = {setting: f"projects/$PROJECT/secrets/{secret}/versions/latest" for setting, secret in self.secrets.items()}
        return {**self.env, **names}


FUNCTIONS: Sequence[Function] = tuple(Function(**row) for row in json.loads(TABLE.read_text("utf-8")))

ALL_IN_ONE = next(function for function in FUNCTIONS if function.entry_point == "plugin")
"""The function that is the whole plugin."""

SEPARATE: Sequence[Function] = tuple(function for function in FUNCTIONS if function != ALL_IN_ONE)
"""The functions that need a load balancer to be one plugin."""
