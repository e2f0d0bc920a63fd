"""The same tool as in capability.py, on FastMCP. It runs in an environment of its own (tests/bench/mcp_calls.py)."""

from typing import Annotated

from fastmcp import FastMCP
from pydantic import BaseModel, Field


class Note(BaseModel):
    """What was given."""

    text: str = Field(description="The text itself.")
    length: int = Field(description="Its length in characters.")


server = FastMCP("note", version="1.0.0")


@server.tool(title="Note", annotations={"readOnlyHint": True, "destructiveHint": False, "openWorldHint": False})
async def note(text: Annotated[str, Field(min_length=1, max_length=100, description="Any text.")]) -> Note:
    """Give a text back at once."""
    return Note(text=text, length=len(text))


application = server.http_app(path="/mcp", stateless_http=True, json_response=True)
