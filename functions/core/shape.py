"""What every model is made of."""

from pydantic import BaseModel, ConfigDict


class Shape(BaseModel):
    """Data of one shape.

    What reads and writes it is made at its first use: a function imports many models and uses few, and a fifth of the start of `mcp`, of the
    processor's time, went into making them all (tests/bench/FINDINGS.md).
    """

    model_config = ConfigDict(defer_build=True)
