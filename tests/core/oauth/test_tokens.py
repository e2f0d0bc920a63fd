"""Codes and refresh tokens: each leads on once, and who uses one again ends what it led to (T5-T7, T17; C1, C7, C8)."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from functions.adapters.sqlite import SqliteDocuments
from functions.core.documents import ABSENT, Conflict, Documents, Put, Snapshot, Write
from functions.core.oauth import tokens
from functions.core.oauth.authorize import Server
from functions.core.oauth.clients import Client
from functions.core.oauth.records import Asked, Code, code_key, family_key, refresh_key
from functions.core.oauth.tokens import Issued, challenge_of
from functions.core.oauth.wire import OAuthError
from functions.core.stored import digest
from tests.deadlines import soon

SERVER = Server("https://plugin.example.com", ("calendar", "docs"))
APP = Client(client_id="c-1", kind="registered", name="App", redirect_uris=("https://app.example.com/cb",))
OTHER = APP.model_copy(update={"client_id": "c-2"})
VERIFIER = "v" * 43
REDEEMING = {"grant_type": "authorization_code", "code": "the-code", "redirect_uri": APP.redirect_uris[0], "code_verifier": VERIFIER}
ASKED = Asked(
    client_id="c-1",
    redirect_uri=APP.redirect_uris[0],
    state=None,
    capabilities=("calendar", "docs"),
    challenge=challenge_of(VERIFIER),
    resource=SERVER.mcp,
)


def successors(token: str) -> Sequence[str]:
    """By a new key and by an old one, as a ring of keys derives them."""
    family = token.partition(".")[0]
    return [f"{family}.{digest(key, token)}" for key in ("new", "old")]


@pytest.fixture
async def documents(tmp_path: Path) -> AsyncIterator[Documents]:
    store = SqliteDocuments(tmp_path / "tokens.db")
    yield store
    await store.close()


async def coded(documents: Documents, asked: Asked = ASKED) -> None:
    """A code that was just handed out."""
    now = (await documents.get([code_key("the-code")], soon())).read_at
    code = Code(asked=asked, capabilities=("calendar",), user="u-1", family="f1", expires_at=now + timedelta(seconds=60))
    await documents.commit([Put(code_key("the-code"), code.model_dump_json(), ABSENT)], soon())


class Desk:
    """The token endpoint, as whoever calls it commits."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents
        self.later = timedelta(0)
        """By how much the store's clock has moved on."""

    async def redeem(self, client: Client = APP, attempt: str = "", **changed: str | None) -> Issued | OAuthError:
        parameters = _changed(REDEEMING, changed)
        found = await self._found([code_key(parameters["code"])])
        return await self._written(tokens.redeem(SERVER, client, parameters, found, attempt or secrets.token_hex(8), "r1"))

    async def refresh(self, token: str, client: Client = APP, **changed: str | None) -> Issued | OAuthError:
        parameters = _changed({"grant_type": "refresh_token", "refresh_token": token}, changed)
        found = await self._found(tokens.refresh_keys(parameters, successors))
        return await self._written(tokens.refresh(client, parameters, found, successors))

    async def lives(self) -> bool:
        return family_key("f1") in (await self._found([family_key("f1")])).documents

    async def _found(self, keys: Sequence[object]) -> Snapshot:
        found = await self._documents.get(keys, soon())  # type: ignore[arg-type]
        return replace(found, read_at=found.read_at + self.later)

    async def _written(self, decided: tuple[Issued | OAuthError, Sequence[Write]]) -> Issued | OAuthError:
        outcome, writes = decided
        if writes:
            await self._documents.commit(writes, soon())
        return outcome


def _changed(usual: Mapping[str, str], changed: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in {**usual, **changed}.items() if value is not None}


@pytest.fixture
async def desk(documents: Documents) -> Desk:
    await coded(documents)
    return Desk(documents)


def issued(outcome: Issued | OAuthError) -> Issued:
    assert isinstance(outcome, Issued), outcome
    return outcome


def refused(outcome: Issued | OAuthError) -> str:
    assert isinstance(outcome, OAuthError), outcome
    return outcome.error


async def test_a_code_is_worth_what_was_consented_to(desk: Desk) -> None:
    got = issued(await desk.redeem())

    assert got.capabilities == ("calendar",), "what was allowed, not what was asked for"
    assert (got.family.user, got.family.client_id, got.family.resource) == ("u-1", "c-1", SERVER.mcp)
    assert got.refresh_token.startswith("f1.")


async def test_a_code_that_comes_twice_ends_what_it_was_worth(desk: Desk) -> None:
    got = issued(await desk.redeem())

    assert refused(await desk.redeem()) == "invalid_grant"
    assert not await desk.lives()
    assert refused(await desk.refresh(got.refresh_token)) == "invalid_grant"


async def test_an_attempt_whose_acknowledgement_was_lost_is_no_thief(desk: Desk) -> None:
    first = issued(await desk.redeem(attempt="mine"))

    assert issued(await desk.redeem(attempt="mine")).refresh_token == first.refresh_token
    assert await desk.lives()


@pytest.mark.parametrize(
    ("client", "changed", "error"),
    [
        (OTHER, {}, "invalid_grant"),
        (APP, {"redirect_uri": "https://app.example.com/cb/"}, "invalid_grant"),
        (APP, {"resource": "https://plugin.example.com"}, "invalid_target"),
        (APP, {"resource": "https://evil.test"}, "invalid_target"),
        (APP, {"code_verifier": None}, "invalid_grant"),
        (APP, {"code_verifier": "w" * 43}, "invalid_grant"),
        (APP, {"code_verifier": "v" * 42}, "invalid_grant"),
        (APP, {"code_verifier": "v" * 129}, "invalid_grant"),
        (APP, {"code_verifier": VERIFIER + "="}, "invalid_grant"),
        (APP, {"code_verifier": VERIFIER + "\n"}, "invalid_grant"),
        (APP, {"code_verifier": challenge_of(VERIFIER)}, "invalid_grant"),
        (APP, {"code": "another"}, "invalid_grant"),
    ],
)
async def test_a_code_is_bound_to_its_request_and_a_wrong_guess_does_not_use_it_up(
    desk: Desk, client: Client, changed: dict[str, str | None], error: str
) -> None:
    assert refused(await desk.redeem(client, **changed)) == error

    issued(await desk.redeem())


@pytest.mark.parametrize("verifier", ["", "v" * 42, "v" * 129, "v" * 42 + "=", "v" * 42 + "+", "v" * 42 + " "])
async def test_a_verifier_that_is_none_proves_nothing_even_where_its_digest_fits(documents: Documents, verifier: str) -> None:
    await coded(documents, ASKED.model_copy(update={"challenge": challenge_of(verifier)}))

    assert refused(await Desk(documents).redeem(code_verifier=verifier)) == "invalid_grant"


async def test_where_pkce_binds_it_redirect_uri_may_be_left_out(desk: Desk) -> None:
    issued(await desk.redeem(redirect_uri=None))


async def test_without_pkce_redirect_uri_is_needed_and_a_verifier_is_refused(documents: Documents) -> None:
    await coded(documents, ASKED.model_copy(update={"challenge": None}))
    desk = Desk(documents)

    assert refused(await desk.redeem()) == "invalid_grant", "a verifier without a challenge: the challenge was taken off"
    assert refused(await desk.redeem(code_verifier=None, redirect_uri=None)) == "invalid_grant"
    issued(await desk.redeem(code_verifier=None))


async def test_a_code_lives_for_a_minute(desk: Desk) -> None:
    desk.later = timedelta(seconds=60)

    assert refused(await desk.redeem()) == "invalid_grant"


async def test_a_refresh_token_leads_on_and_its_answer_can_be_asked_for_again(desk: Desk) -> None:
    first = issued(await desk.redeem())

    second = issued(await desk.refresh(first.refresh_token))
    desk.later = timedelta(days=30)
    again = issued(await desk.refresh(first.refresh_token))

    assert second.refresh_token == again.refresh_token != first.refresh_token
    assert await desk.lives()


async def test_an_old_refresh_token_leads_on_until_ten_seconds_after_its_successor_was_used(desk: Desk) -> None:
    first = issued(await desk.redeem())
    second = issued(await desk.refresh(first.refresh_token))
    third = issued(await desk.refresh(second.refresh_token))

    desk.later = timedelta(seconds=9)
    assert issued(await desk.refresh(first.refresh_token)).refresh_token == second.refresh_token
    desk.later = timedelta(seconds=12)
    assert refused(await desk.refresh(first.refresh_token)) == "invalid_grant"
    assert not await desk.lives()
    assert refused(await desk.refresh(third.refresh_token)) == "invalid_grant"


async def test_who_is_shown_the_token_and_not_yet_its_successor_is_no_thief(documents: Documents, desk: Desk) -> None:
    first = issued(await desk.redeem())
    second = issued(await desk.refresh(first.refresh_token))
    parameters = {"refresh_token": first.refresh_token}
    found = await documents.get(tokens.refresh_keys(parameters, successors), soon())
    torn = {key: document for key, document in found.documents.items() if key != refresh_key(second.refresh_token)}

    _, writes = tokens.refresh(APP, parameters, replace(found, documents=torn), successors)
    with pytest.raises(Conflict):
        await documents.commit(writes, soon())

    assert issued(await desk.refresh(first.refresh_token)).refresh_token == second.refresh_token
    assert await desk.lives()


async def test_a_successor_by_an_older_key_of_the_ring_is_found_again(documents: Documents, desk: Desk) -> None:
    first = issued(await desk.redeem())
    parameters = {"refresh_token": first.refresh_token}

    def older(token: str) -> Sequence[str]:
        return successors(token)[1:]

    outcome, writes = tokens.refresh(APP, parameters, await documents.get(tokens.refresh_keys(parameters, older), soon()), older)
    await documents.commit(writes, soon())

    assert issued(await desk.refresh(first.refresh_token)).refresh_token == issued(outcome).refresh_token


async def test_another_client_cannot_use_a_refresh_token_and_does_not_harm_it(desk: Desk) -> None:
    first = issued(await desk.redeem())
    second = issued(await desk.refresh(first.refresh_token))
    issued(await desk.refresh(second.refresh_token))
    desk.later = timedelta(minutes=1)

    assert refused(await desk.refresh(first.refresh_token, OTHER)) == "invalid_grant"
    assert await desk.lives()


async def test_a_refresh_narrows_and_never_widens(desk: Desk) -> None:
    first = issued(await desk.redeem())

    with pytest.raises(OAuthError) as widened:
        await desk.refresh(first.refresh_token, scope="calendar docs")
    assert widened.value.error == "invalid_scope"
    assert refused(await desk.refresh(first.refresh_token, resource="https://plugin.example.com")) == "invalid_target"
    assert issued(await desk.refresh(first.refresh_token, scope="calendar", resource=SERVER.mcp)).capabilities == ("calendar",)


@pytest.mark.parametrize(("days", "lives"), [(89, True), (90, False), (365, False)])
async def test_a_refresh_token_that_nobody_uses_ends(desk: Desk, days: int, lives: bool) -> None:
    first = issued(await desk.redeem())
    desk.later = timedelta(days=days)

    assert isinstance(await desk.refresh(first.refresh_token), Issued) is lives


async def test_a_family_ends_after_a_year_however_much_it_is_used(desk: Desk) -> None:
    token = issued(await desk.redeem()).refresh_token
    for days in (80, 160, 240, 320):
        desk.later = timedelta(days=days)
        token = issued(await desk.refresh(token)).refresh_token
    desk.later = timedelta(days=366)

    assert refused(await desk.refresh(token)) == "invalid_grant"


@pytest.mark.parametrize("token", ["", "f1", "f1.", ".r1", "f1.r2", "f2.r1", "x" * 4000, "f1.r1.r1"])
async def test_what_is_no_refresh_token_of_ours_is_refused(desk: Desk, token: str) -> None:
    issued(await desk.redeem())

    assert refused(await desk.refresh(token)) == "invalid_grant"
    assert await desk.lives()


async def test_only_its_own_client_revokes_a_family(documents: Documents, desk: Desk) -> None:
    issued(await desk.redeem())
    found = await documents.get([family_key("f1")], soon())

    assert tokens.revoked(OTHER, "f1", found) == ()
    await documents.commit(tokens.revoked(APP, "f1", found), soon())
    assert not await desk.lives()


async def test_nothing_that_opens_anything_lies_in_the_store(documents: Documents, desk: Desk, tmp_path: Path) -> None:
    first = issued(await desk.redeem())
    second = issued(await desk.refresh(first.refresh_token))

    stored = await asyncio.to_thread(lambda: b"".join(path.read_bytes() for path in tmp_path.iterdir()))

    assert b"u-1" in stored
    assert b"the-code" not in stored
    assert second.refresh_token.partition(".")[2].encode() not in stored
    assert first.refresh_token.encode() not in stored


async def test_grants_that_are_not_offered_are_refused() -> None:
    for parameters, error in (
        ({}, "invalid_request"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": "client_credentials"}, "unsupported_grant_type"),
        ({"grant_type": "authorization_code"}, "invalid_request"),
        ({"grant_type": "refresh_token", "code": "x"}, "invalid_request"),
    ):
        with pytest.raises(OAuthError) as told:
            tokens.grant_type(parameters)
        assert told.value.error == error
