"""Delete the conversation of a session token: `echo TOKEN | python -m infra.forget`, with the settings of the deployment.

For a user who asks for it. The token is read from standard input, so that no shell history and no list of processes keeps it.
"""

import asyncio
import sys

from functions import wiring
from functions.capabilities import CATALOGUE
from functions.core import transcript
from functions.core.caller import ANONYMOUS, LOCAL
from functions.core.deadline import Deadline
from functions.core.errors import CantileverError, NotFound
from functions.core.settings import InvalidSettings

SECONDS = 60.0
"""A conversation of ten thousand turns takes a few."""


async def forget(session_id: str) -> None:
    """Delete the conversation with all its turns, also where it has ended.

    Raises:
        NotFound: there is none.
        StoreUnavailable, Refused: the store failed, or refuses these credentials.
    """
    documents = wiring.Services(wiring.settings(CATALOGUE.apis), CATALOGUE).documents
    deadline = Deadline.after(SECONDS, asyncio.get_running_loop().time)
    try:
        await transcript.remove(documents, ANONYMOUS, session_id, deadline)
    except NotFound:
        await transcript.remove(documents, LOCAL, session_id, deadline)


def main() -> str | None:
    """Delete what standard input names; the return value is what is wrong."""
    session_id = sys.stdin.readline().strip()
    if not session_id:
        return "Write the session token to standard input: echo TOKEN | python -m infra.forget"
    try:
        asyncio.run(forget(session_id))
    except (CantileverError, InvalidSettings) as error:
        return str(error)
    print("Deleted.")
    return None


if __name__ == "__main__":
    sys.exit(main())
