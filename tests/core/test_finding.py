"""The tools `search` and `fetch`: what of what a user has is found, by whose leave, and what becomes of a capability that fails."""

import asyncio
import json
import unicodedata
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from functions.adapters.sqlite import SqliteDocuments
from functions.capabilities import CATALOGUE
from functions.core.access import Access
from functions.core.asking import Toolbox
from functions.core.capability import Api, Catalogue, collect
from functions.core.documents import Documents
from functions.core.errors import CantileverError, CapabilityFault, DeadlinePassed, InsufficientScope, Invalid, Unauthenticated, Upstream
from functions.core.excerpt import MOST
from functions.core.finding import Finding, Searched
from functions.core.found import MAX_EACH
from functions.core.mcp_tools import MAX_TOOL_RESULT
from tests.core.test_access import access, stored
from tests.core.test_capability import written
from tests.deadlines import soon
from tests.fakes import CannedWeb, Everything
from tests.poisoned import CANARY, POISONED, Poison

FILE = '''"""What is in the {name}."""

from typing import Annotated

from pydantic import Field

from functions.core.capability import Api, Finder, Published, Scope, Web, operation
from functions.core.excerpt import Start
from functions.core.found import Part, Source, Sources, Words

API = Api("{name}", "https://{name}.googleapis.com/v1", google=True)
READ = Scope("https://www.googleapis.com/auth/{name}", {{"en": "Read the {name}"}})


class Nothing(Published):
    """Nothing."""


@operation(apis=[API], scopes=[READ], read_only=True, open_world=False)
async def read_{name}(web: Web) -> Nothing:
    """Read the {name}."""
    return Nothing()


async def search(web: Web, query: Words) -> Sources:
    """Find pages."""
    return Sources.of([Source(id=one, title=one, url=f"https://x.example/{{one}}") for one in await web.get(API, "{name}", q=query)])


async def fetch(web: Web, name: Annotated[str, Field(pattern="^[a-z0-9]+$", description="Which.")], start: Start = 0) -> Part:
    """Read a page."""
    return Part.of(await web.get(API, name), start, title=name, url=f"https://x.example/{{name}}", author="Ada", place=None)


FINDER = Finder("pages of the {name}", search=read_{name}.allows(search), fetch=read_{name}.allows(fetch))
'''
SCOPES = ("https://www.googleapis.com/auth/almanac", "https://www.googleapis.com/auth/moon")
BOTH = ("almanac", "moon")
QUERY = '{"query": "tides"}'


class Slow(CannedWeb):
    """Never answers where it is to answer with an event that nobody sets."""

    async def get(self, api: Api, path: str, **query: Any) -> Any:
        answer = await super().get(api, path, **query)
        return await answer.wait() if isinstance(answer, asyncio.Event) else answer


@pytest.fixture
async def documents(tmp_path: Path) -> AsyncIterator[Documents]:
    store = SqliteDocuments(tmp_path / "grants.db")
    yield store
    await store.close()


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    """Two capabilities in which something is found."""
    folder = tmp_path_factory.mktemp("capabilities")
    return collect([written(folder, FILE.format(name=name), name) for name in BOTH])


def toolbox(web: CannedWeb, of: Access | None = None) -> Toolbox:
    """The outside world of a caller; without `of`, of one who allowed everything."""
    return Toolbox({}, lambda operation, deadline, access: web, of or Everything(), MAX_TOOL_RESULT)  # type: ignore[arg-type]


async def searched(catalogue: Catalogue, web: CannedWeb, of: Access | None = None, seconds: float = 5) -> Searched:
    return await Finding(catalogue.finders).search(toolbox(web, of), QUERY, soon(seconds))


async def fetched(catalogue: Catalogue, web: CannedWeb, name: str, of: Access | None = None) -> Any:
    return json.loads(await Finding(catalogue.finders).fetch(toolbox(web, of), json.dumps({"id": name}), soon()))


def ids(found: Searched) -> Sequence[str]:
    return [result["id"] for result in json.loads(found.text)["results"]]


async def test_a_result_is_what_chatgpt_cites(catalogue: Catalogue) -> None:
    found = await searched(catalogue, CannedWeb({"almanac": ["a1"], "moon": []}))

    assert json.loads(found.text) == {"results": [{"id": "almanac:a1", "title": "a1", "url": "https://x.example/a1"}]}
    assert found.failed == {}


async def test_results_come_by_turns_so_that_none_crowds_out_another(catalogue: Catalogue) -> None:
    web = CannedWeb({"almanac": ["a1", "a2", "a3"], "moon": ["m1"]})

    assert ids(await searched(catalogue, web)) == ["almanac:a1", "moon:m1", "almanac:a2", "almanac:a3"]
    assert [query for _, _, query in web.asked] == [{"q": "tides"}] * 2


async def test_results_are_bounded_in_number_and_in_bytes(catalogue: Catalogue) -> None:
    many = await searched(catalogue, CannedWeb({"almanac": [f"a{number}" for number in range(50)], "moon": ["m1"]}))
    wordy = await searched(catalogue, CannedWeb({name: ["😀" * 700] * MAX_EACH for name in BOTH}))

    assert len(ids(many)) == MAX_EACH + 1
    assert 10_000 < len(wordy.text.encode()) <= MOST + 100
    assert {name.partition(":")[0] for name in ids(wordy)} == set(BOTH)


@pytest.mark.parametrize(
    ("granted", "found"),
    [
        ({"allowed": ("moon",), "scopes": SCOPES}, ["moon:m1"]),
        ({"allowed": BOTH, "scopes": SCOPES[:1]}, ["almanac:a1"]),
        ({"allowed": BOTH, "scopes": SCOPES}, ["almanac:a1", "moon:m1"]),
    ],
)
async def test_only_what_the_user_and_google_allow_is_asked(
    catalogue: Catalogue, documents: Documents, granted: Mapping[str, Any], found: Sequence[str]
) -> None:
    await stored(documents, **granted)
    web = CannedWeb({"almanac": ["a1"], "moon": ["m1"]})

    told = await searched(catalogue, web, access(documents))

    assert (ids(told), told.failed) == (found, {})
    assert [f"{path}:{path[0]}1" for _, path, _ in web.asked] == found


async def test_who_has_allowed_nothing_is_told_what_would_do(catalogue: Catalogue, documents: Documents) -> None:
    await stored(documents, allowed=(), scopes=())
    web = CannedWeb({})

    with pytest.raises(Unauthenticated, match="search needs a signed-in user; connect, and allow almanac or moon") as stranger:
        await searched(catalogue, web, access(documents, bearer=None))
    with pytest.raises(InsufficientScope, match=r"search needs almanac or moon\. This client was not allowed") as refused:
        await searched(catalogue, web, access(documents))

    assert stranger.value.scope == refused.value.scope == "almanac moon"
    assert all(f"/oauth/allow?client_id=c-1&capability={name}" in refused.value.message for name in BOTH)
    assert web.asked == []


async def test_one_that_fails_does_not_lose_the_others_results(catalogue: Catalogue) -> None:
    found = await searched(catalogue, CannedWeb({"almanac": Upstream("almanac is busy."), "moon": ["m1"]}))

    assert (ids(found), found.failed) == (["moon:m1"], {"almanac": "upstream_failed"})


async def test_one_that_is_slow_is_waited_for_until_just_before_the_deadline(catalogue: Catalogue) -> None:
    began = asyncio.get_running_loop().time()

    found = await searched(catalogue, Slow({"almanac": asyncio.Event(), "moon": ["m1"]}), seconds=0.5)

    assert (ids(found), found.failed) == (["moon:m1"], {"almanac": "out_of_time"})
    assert asyncio.get_running_loop().time() - began < 0.5


@pytest.mark.parametrize(
    ("answers", "error"),
    [
        ({"almanac": Upstream("almanac is busy."), "moon": Upstream("moon is busy.")}, Upstream),
        ({"almanac": [], "moon": Upstream("moon is busy.")}, Upstream),
        ({"almanac": asyncio.Event(), "moon": []}, DeadlinePassed),
        ({"almanac": ["a1"], "moon": [7]}, CapabilityFault),
    ],
    ids=["all failed", "one failed and the other found nothing", "one was slow and the other found nothing", "one has a bug"],
)
async def test_what_is_not_known_to_be_nothing_is_not_told_as_nothing(
    catalogue: Catalogue, answers: Mapping[str, Any], error: type[CantileverError]
) -> None:
    with pytest.raises(error):
        await searched(catalogue, Slow(answers), seconds=0.3)


@pytest.mark.parametrize("arguments", ['{"query": ""}', '{"query": " \\n"}', '{"query": 7}', "{}", '{"query": "x", "more": 1}'])
async def test_what_is_no_question_is_refused_before_anybody_is_asked(catalogue: Catalogue, arguments: str) -> None:
    web = CannedWeb({})

    with pytest.raises(Invalid):
        await Finding(catalogue.finders).search(toolbox(web), arguments, soon())

    assert web.asked == []


async def test_what_is_fetched_is_what_chatgpt_reads(catalogue: Catalogue) -> None:
    assert await fetched(catalogue, CannedWeb({"m1": "High at noon."}), "moon:m1") == {
        "id": "moon:m1",
        "title": "m1",
        "text": "High at noon.",
        "url": "https://x.example/m1",
        "metadata": {"author": "Ada"},
    }


async def test_a_long_text_is_fetched_in_parts_each_of_which_names_the_next(catalogue: Catalogue) -> None:
    whole = "\n".join(f"{number}: 一行“文字” and some words." for number in range(1500))
    parts: list[str] = []
    names = ["moon:m1"]

    while names and len(parts) < 9:
        told = await fetched(catalogue, CannedWeb({"m1": whole}), names[0])
        assert told["id"] == names[0]
        assert len(json.dumps(told, ensure_ascii=False).encode()) < MAX_TOOL_RESULT
        text, _, more = told["text"].partition("\n[… it goes on: fetch ")
        parts.append(text)
        names = [more.removesuffix("]")] if more else []

    assert len(parts) > 2
    assert "".join(parts) == whole


@pytest.mark.parametrize(
    "name", [*"m1 moon moon: :m1 sun:m1 MOON:m1 moon:../m1 moon:m1# moon:m1#x moon:m1#-1 moon:m1#99999999".split(), " moon:m1"]
)
async def test_an_id_that_search_never_gave_is_refused_with_what_to_do(catalogue: Catalogue, name: str) -> None:
    web = CannedWeb({})

    with pytest.raises(Invalid, match=r"those begin with almanac: or moon:\. Search first, and fetch the id"):
        await fetched(catalogue, web, name)

    assert web.asked == []


async def test_a_beginning_beyond_the_end_is_told(catalogue: Catalogue) -> None:
    with pytest.raises(Invalid, match="beyond the end of the text, which has 5 characters"):
        await fetched(catalogue, CannedWeb({"m1": "short"}), "moon:m1#5")


async def test_fetching_what_is_not_allowed_names_that_capability_alone(catalogue: Catalogue, documents: Documents) -> None:
    await stored(documents, allowed=("almanac",), scopes=SCOPES)
    web = CannedWeb({})

    with pytest.raises(InsufficientScope) as refused:
        await fetched(catalogue, web, "moon:m1", access(documents))
    with pytest.raises(Unauthenticated) as stranger:
        await fetched(catalogue, web, "moon:m1", access(documents, bearer=None))

    assert refused.value.scope == stranger.value.scope == "moon"
    assert "almanac" not in refused.value.message + stranger.value.message
    assert web.asked == []


# What others wrote (tests/poisoned.py)

AT = {"list_calendar_events": "calendar:1", "read_document": "docs:1AbC", "read_mail": "gmail:18c1"}
"""The operation by which a poison is read -> the id by which it is fetched."""


def hidden(text: str) -> list[str]:
    return [character for character in text if unicodedata.category(character) in ("Cf", "Cc", "Co", "Cn") and character not in "\n\t"]


@pytest.mark.parametrize("poison", POISONED, ids=lambda poison: poison.id)
async def test_what_others_wrote_is_fetched_as_a_text_and_does_nothing(poison: Poison) -> None:
    ((path, answer),) = poison.answers.items()
    web = CannedWeb({f"{path}/1": answer["items"][0]} if "items" in answer else {path: answer})

    told = await fetched(CATALOGUE, web, AT[poison.operation])

    assert set(told) == {"id", "title", "text", "url", "metadata"}
    assert len(web.asked) == 1
    assert hidden(json.dumps(told, ensure_ascii=False)) == []
    assert "[[" in told["title"] + told["text"] or poison.order == "in tags that nobody sees"


@pytest.mark.parametrize("poison", [one for one in POISONED if one.id.endswith("an event's title")], ids=lambda poison: poison.order)
async def test_what_others_wrote_is_a_title_among_the_results(poison: Poison) -> None:
    finders = {"calendar": CATALOGUE.finders["calendar"]}

    found = await Finding(finders).search(toolbox(CannedWeb(poison.answers)), QUERY, soon())

    results = json.loads(found.text)["results"]
    assert sorted(result["id"] for result in results) == ["calendar:1", "calendar:2"]
    assert all(set(result) == {"id", "title", "url"} and result["url"] for result in results)
    assert CANARY in found.text
    assert hidden(found.text) == []
