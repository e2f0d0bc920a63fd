"""The tools `search` and `fetch` over all that a user has allowed. ChatGPT's company knowledge and deep research call these two, and no others.

What can be found, and how, the capabilities say (`Finder`, core/capability.py). Each is asked by leave of one of its own operations, behind
that operation's own gate: nothing here knows a scope. Why: infra/decisions/0015.
"""

import asyncio
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from functions.core import strict_json
from functions.core.asking import Toolbox
from functions.core.capability import Finder
from functions.core.deadline import Deadline
from functions.core.errors import CantileverError, CapabilityFault, Invalid
from functions.core.excerpt import as_many_as_fit, by_turns
from functions.core.found import Fetched, FetchRequest, Part, SearchRequest, Source, Sources

KEPT_BACK = 0.1
"""Of the time that is left when a search begins: whoever has not answered by then does not keep the others' results from being told."""

_ID = re.compile(r"(?P<capability>[a-z][a-z0-9_]*):(?P<name>[^#]+)(?:#(?P<start>[0-9]{1,8}))?")
"""A capability's name, the capability's own name of the thing, and where in its text to begin."""


@dataclass(frozen=True, slots=True)
class Searched:
    """What came of a search."""

    text: str
    """The results as JSON."""
    failed: Mapping[str, str]
    """Capabilities that could not be searched -> the code of the error."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What can be found in a deployment."""

    finders: Mapping[str, Finder]
    """By the capability's name, in the catalogue's order."""

    async def search(self, toolbox: Toolbox, arguments: str, deadline: Deadline) -> Searched:
        """Search, side by side, what the caller has allowed: what each capability gives in its own order, by turns.

        Where one fails, or is not done in time, the others' results are given; but where there are none, "nothing" might be untrue.

        Raises:
            Malformed, Invalid: the arguments are not a `SearchRequest`.
            Unauthenticated, InsufficientScope, Disconnected: the caller has allowed none of it.
            CapabilityFault: a capability has a bug.
            CantileverError: nothing was found, and a capability failed with this.
        """
        wanted = strict_json.read(SearchRequest, arguments).model_dump_json()
        allowed = await toolbox.access.allowed([finder.search for finder in self.finders.values()], deadline)
        searches = {operation.capability: operation for operation in allowed}
        toolbox, until = replace(toolbox, operations=searches), deadline.earlier(deadline.left() * KEPT_BACK)
        outcomes = await asyncio.gather(*(toolbox.call(name, wanted, until) for name in searches), return_exceptions=True)
        found: list[list[Source]] = []
        failed: dict[str, CantileverError] = {}
        for name, outcome in zip(searches, outcomes, strict=True):
            if isinstance(outcome, str):
                found.append([_published(name, source) for source in Sources.model_validate_json(outcome).results])
            elif isinstance(outcome, CantileverError) and not isinstance(outcome, CapabilityFault):
                failed[name] = outcome
            else:
                raise outcome
        if failed and not any(found):
            raise next(iter(failed.values()))
        results = Sources(results=tuple(as_many_as_fit(by_turns(found))))
        return Searched(results.model_dump_json(), {name: error.code for name, error in failed.items()})

    async def fetch(self, toolbox: Toolbox, arguments: str, deadline: Deadline) -> str:
        """The text of what was found, as JSON; of a long one a part, which says how to fetch the next.

        Raises:
            Malformed, Invalid: the arguments are not a `FetchRequest`, or no id of ours is in them.
            Unauthenticated, InsufficientScope, Disconnected: the caller has not allowed the capability of this id.
            CantileverError: whatever the capability raises.
        """
        wanted = strict_json.read(FetchRequest, arguments)
        capability, given = self._named(wanted.id)
        toolbox = replace(toolbox, operations={capability: self.finders[capability].fetch})
        part = Part.model_validate_json(await toolbox.call(capability, json.dumps(given), deadline))
        more = f"\n[… it goes on: fetch {capability}:{given['name']}#{part.next_start}]" if part.next_start else ""
        return Fetched(id=wanted.id, title=part.title, text=part.text + more, url=part.url, metadata=part.metadata).model_dump_json()

    def _named(self, published: str) -> tuple[str, Mapping[str, str | int]]:
        """The capability that an id names, and what to fetch of it.

        Raises:
            Invalid: `search` gives no such id.
        """
        parts = _ID.fullmatch(published)
        finder = self.finders.get(parts["capability"]) if parts else None
        if parts is None or finder is None:
            raise self._no_id()
        given: Mapping[str, str | int] = {"name": parts["name"], **({"start": int(parts["start"])} if parts["start"] else {})}
        try:
            strict_json.model_of(finder.fetch.arguments, given)
        except Invalid as error:
            raise self._no_id() from error
        return parts["capability"], given

    def _no_id(self) -> Invalid:
        beginnings = " or ".join(f"{name}:" for name in self.finders)
        return Invalid(f"This is no id that search gives; those begin with {beginnings}. Search first, and fetch the id of a result.")


def _published(capability: str, source: Source) -> Source:
    return source.model_copy(update={"id": f"{capability}:{source.id}"})
