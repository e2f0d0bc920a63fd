"""What a person takes back stays taken back, also what was still on its way to a client."""

import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest

from functions.adapters.sealing import new_key
from functions.adapters.sqlite import SqliteDocuments
from functions.core.deadline import Deadline
from functions.core.documents import ANY, Documents, Place, Put
from functions.core.errors import CantileverError
from functions.core.oauth.account import Account, Accounts
from functions.core.oauth.linking import Arrived, Consenting, Tab
from functions.core.oauth.records import Consent, GoogleGrant, user_of
from functions.core.oauth.signin import GoogleAnswer
from functions.core.oauth.views import Views
from functions.core.oauth.wire import OAuthError
from functions.core.records import Records
from functions.core.stored import Head, Tokens, Turn, conversation_key, owned_by, owned_key, turn_key
from tests import authorization
from tests.authorization import CATALOGUE, CHATGPT_CALLBACK, CHATGPT_ID, CHATGPT_SECRET, AuthorizationServer, Clock, SaidByGoogle
from tests.deadlines import soon
from tests.fakes import Distant

USER = user_of("person")


@pytest.fixture
async def place() -> AsyncIterator[AuthorizationServer]:
    with authorization.on_sqlite() as store:
        yield AuthorizationServer(store)
        await store.close()


async def handed_out(place: AuthorizationServer) -> str:
    """A code, on its way to ChatGPT."""
    asked = {"response_type": "code", "client_id": CHATGPT_ID, "redirect_uri": CHATGPT_CALLBACK}
    page = await place.linking.authorize(asked, Tab("tab", "browser"), soon())
    assert isinstance(page, Consenting)
    to_google = dict(parse_qsl(urlsplit(await place.linking.consented(page.sealed, Tab("tab", "browser"), ["calendar"], soon())).query))
    answer = GoogleAnswer("person", "", "", tuple(to_google["scope"].split()), "1//refresh")
    place.google.codes["code"] = SaidByGoogle(answer, to_google["nonce"], to_google["code_challenge"])
    back = await place.linking.came_back({"state": to_google["state"], "code": "code"}, Tab("tab", "browser"), soon())
    assert isinstance(back, Arrived)
    return dict(parse_qsl(urlsplit(back.url or "").query))["code"]


async def redeemed(place: AuthorizationServer, code: str) -> bool:
    """Whether ChatGPT gets tokens for it."""
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": CHATGPT_CALLBACK}
    try:
        await place.issuing.token(None, {**form, "client_id": CHATGPT_ID, "client_secret": CHATGPT_SECRET}, soon())
    except OAuthError as error:
        return error.error != "invalid_grant"
    return True


TAKEN_BACK: list[Callable[[Accounts, Deadline], Awaitable[object]]] = [
    lambda accounts, deadline: accounts.remove_client(USER, CHATGPT_ID, deadline),
    lambda accounts, deadline: accounts.disconnect_google(USER, deadline),
    lambda accounts, deadline: accounts.remove(USER, deadline),
]


@pytest.mark.parametrize("taken_back", TAKEN_BACK, ids=["a client", "Google", "everything"])
async def test_a_code_that_was_on_its_way_connects_nobody_again(
    place: AuthorizationServer, taken_back: Callable[[Accounts, Deadline], Awaitable[object]]
) -> None:
    code = await handed_out(place)

    await taken_back(place.accounts, soon())

    assert not await redeemed(place, code)


async def test_nothing_that_is_left_in_the_store_names_a_person_who_was_removed(tmp_path: Path) -> None:
    store = SqliteDocuments(tmp_path / "documents.db")
    place = AuthorizationServer(store)
    assert await redeemed(place, await handed_out(place))
    assert await redeemed(place, await handed_out(place))

    await place.accounts.remove(USER, soon())

    await store.close()
    with closing(sqlite3.connect(tmp_path / "documents.db")) as left:
        assert [row for row in left.execute("SELECT * FROM documents") if USER in str(row)] == []


@pytest.mark.parametrize("end", [Accounts.disconnect_google, Accounts.remove])
@pytest.mark.parametrize("key_is_there", [True, False])
async def test_google_is_told_where_the_key_is_there_and_else_it_is_said_that_it_was_not(
    place: AuthorizationServer, end: Callable[[Accounts, str, Deadline], Awaitable[bool]], key_is_there: bool
) -> None:
    code = await handed_out(place)
    if not key_is_there:
        place.keys = [new_key("k2")]

    taken_back = await end(place.accounts, USER, soon())

    assert (taken_back, place.google.revoked) == (key_is_there, ["1//refresh"] if key_is_there else [])
    assert (await place.accounts.read(USER, soon())).google is None
    assert not await redeemed(place, code)


async def test_of_whom_nothing_is_kept_google_has_nothing_to_be_told(place: AuthorizationServer) -> None:
    assert await place.accounts.disconnect_google(user_of("nobody"), soon())


async def test_a_code_outlives_what_others_take_back(place: AuthorizationServer) -> None:
    code = await handed_out(place)

    await place.accounts.remove_client(USER, "c-another", soon())
    await place.accounts.remove_client(USER, "", soon())
    await place.accounts.remove(user_of("another"), soon())

    assert await redeemed(place, code)


async def conversed(store: Documents, conversations: int) -> None:
    """So many conversations of the person, one turn in each."""
    for number in range(conversations):
        key = conversation_key(USER, f"session-{number}")
        head = Head(thread=f"thread-{number}", turns=1, buffer=(), expires_at=datetime.now(UTC) + timedelta(days=1))
        turn = Turn(turn_id="t", status="done", query=f"{number}?", answer="!", usage=Tokens(), asked_at=Clock().now, milliseconds=0)
        await store.commit(
            [
                Put(key, head.model_dump_json(), ANY),
                Put(turn_key(key, "t"), turn.model_dump_json(), ANY, Place(head.thread, "1")),
                Put(owned_key(key), "{}", ANY, Place(owned_by(USER), key.id)),
            ],
            soon(),
        )


async def test_whoever_has_many_conversations_gets_and_deletes_all_of_them_in_the_time_of_a_request(tmp_path: Path) -> None:
    store = SqliteDocuments(tmp_path / "documents.db")
    await conversed(store, 60)
    place = AuthorizationServer(store)
    accounts = Accounts(Records(Distant(store, 0.02), below=lambda most: 0), place.google, place.sealer)

    exported = await accounts.export(USER, soon(2))
    await accounts.remove(USER, soon(2))

    assert sorted(turn["query"] for turns in exported["conversations"] for turn in turns) == sorted(f"{number}?" for number in range(60))
    assert (await place.accounts.export(USER, soon()))["conversations"] == []
    await store.close()


async def test_whose_data_could_not_all_be_deleted_finds_the_button_still_there(tmp_path: Path) -> None:
    store = SqliteDocuments(tmp_path / "documents.db")
    place = AuthorizationServer(store)
    await handed_out(place)
    await conversed(store, 60)
    distant = Accounts(Records(Distant(store, 0.02), below=lambda most: 0), place.google, place.sealer)

    with pytest.raises(CantileverError):
        await distant.remove(USER, soon(0.3))

    assert (await place.accounts.read(USER, soon())).google, "by which the page knows them"
    await place.accounts.remove(USER, soon())
    assert await place.accounts.export(USER, soon()) == {"user": USER, "google": None, "clients": [], "conversations": []}
    await store.close()


@pytest.mark.parametrize(
    ("origin", "shown"),
    [("https://app.example.com", "app.example.com"), ("http://127.0.0.1:80", "127.0.0.1"), ("http://[::1]:33418", "[::1]:33418")],
)
def test_the_page_shows_a_client_wherever_it_is(origin: str, shown: str) -> None:
    consent = Consent(user=USER, client_id="c-1", client_name="App", origin=origin, since=Clock().now, capabilities={})
    grant = GoogleGrant(user=USER, email="mei@example.com", scopes=(), refresh_token=None, since=Clock().now)

    view = Views(CATALOGUE).account(Account(grant, [consent]), "", "en")

    assert [connected.client.destination.shown for connected in view.clients] == [shown]


@pytest.mark.parametrize(
    ("email", "name", "shown"),
    [("mei@example.com", "Mei", "mei@example.com"), ("", "Mei", "Mei"), ("", "", USER)],
)
def test_whoever_signed_in_is_shown_also_where_google_has_verified_no_address(email: str, name: str, shown: str) -> None:
    grant = GoogleGrant(user=USER, email=email, name=name, scopes=(), refresh_token="sealed", since=Clock().now)

    view = Views(CATALOGUE).account(Account(grant, []), "", "en")

    assert (view.person, view.google) == (shown, True)
