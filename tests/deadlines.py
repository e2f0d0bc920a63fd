"""Deadlines for tests that call what takes one."""

import asyncio

from functions.core.deadline import Deadline


def soon(seconds: float = 5.0) -> Deadline:
    """A deadline on the running loop's clock; tests that wait for one name the seconds."""
    return Deadline.after(seconds, asyncio.get_running_loop().time)
