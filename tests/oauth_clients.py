"""Independent clients of our sign-in: each says where it sends the browser, and a person goes there, at the product and at Google."""

import html
import json
import re
from pathlib import Path
from typing import Any

from tests.programs import running
from tests.signin import Browser, said

EVENTS = "list_calendar_events"
"""An operation that needs a signed-in user."""
MEETING = "Q4 budget review"
"""What it finds, in the calendar of the person who signs in."""


def went(browser: Browser, address: str, decision: str = "allow") -> str:
    """Where the browser ends up that a client sends to `address`, when the person allows everything, at Google too; or when they "deny"."""
    decided = browser.decide(browser.open(address), decision=decision)
    if decided.status_code == 200:  # Anybody may be this client: a page shows where the way back leads, before anybody goes there.
        return html.unescape(re.findall(r'href="([^"]*error=access_denied[^"]*)"', decided.text)[0])
    back = decided if decision == "deny" else browser.over_google(decided)
    assert back.status_code == 303, said(back)
    return back.headers["location"]


def told(browser: Browser, folder: Path, *command: str | Path) -> dict[str, Any]:
    """What a client tells in its last line. With every line before, {"visit": address}, it sends the browser somewhere, and waits for a line
    that says where that ended up; with a "decision" it says what the person decides."""
    last: dict[str, Any] = {}
    with running(folder, *command) as client:
        assert client.stdin
        assert client.stdout
        for line in client.stdout:
            last = json.loads(line)
            if "visit" in last:
                client.stdin.write(went(browser, last["visit"], last["decision"]) + "\n")
    return last
