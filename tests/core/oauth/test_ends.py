"""The very moment at which each thing ends, on a clock that stands still."""

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from functions.adapters.sealing import new_key
from functions.core.oauth.linking import Arrived, Consenting, Tab
from functions.core.oauth.records import CODES, Consent, GoogleGrant, consent_key, families_of, google_grant_key, user_of
from functions.core.oauth.signin import REFRESH_PURPOSE, GoogleAnswer
from functions.core.oauth.views import Views
from functions.core.oauth.wire import OAuthError, Turned
from tests import authorization
from tests.authorization import CATALOGUE, CHATGPT_CALLBACK, CHATGPT_ID, CHATGPT_SECRET, AuthorizationServer, SaidByGoogle
from tests.deadlines import soon

CLIENT = {"client_id": CHATGPT_ID, "client_secret": CHATGPT_SECRET}
USER = user_of("person")
DAY = 86_400

TAB = Tab("tab", "browser")


class Place(AuthorizationServer):
    """The server, and the steps of one client with one person."""

    async def page(self, scope: str = "calendar") -> Consenting:
        asked = {"response_type": "code", "client_id": CHATGPT_ID, "redirect_uri": CHATGPT_CALLBACK, "scope": scope}
        found = await self.linking.authorize(asked, TAB, soon())
        assert isinstance(found, Consenting)
        return found

    async def way(self, scope: str = "calendar") -> Mapping[str, str]:
        return await self.asked((await self.page(scope)).sealed, scope.split())

    async def asked(self, sealed: str, allowed: list[str]) -> Mapping[str, str]:
        """What Google is asked."""
        return dict(parse_qsl(urlsplit(await self.linking.consented(sealed, TAB, allowed, soon())).query))

    async def back(self, way: Mapping[str, str], scopes: str | None = None, refresh_token: str | None = "1//refresh") -> str:
        """Where the browser goes that comes back from Google."""
        granted = way["scope"] if scopes is None else scopes
        answer = GoogleAnswer("person", "", "", tuple(granted.split()), refresh_token)
        self.google.codes["code"] = SaidByGoogle(answer, way["nonce"], way["code_challenge"])
        found = await self.linking.came_back({"state": way["state"], "code": "code"}, TAB, soon())
        assert isinstance(found, Arrived)
        return found.url or ""

    async def code(self, scope: str = "calendar") -> str:
        return dict(parse_qsl(urlsplit(await self.back(await self.way(scope))).query))["code"]

    async def token(self, **form: str) -> Mapping[str, Any]:
        return await self.issuing.token(None, {**CLIENT, **form}, soon())

    async def redeem(self, code: str) -> Mapping[str, Any]:
        return await self.token(grant_type="authorization_code", code=code, redirect_uri=CHATGPT_CALLBACK)

    async def refresh(self, token: str) -> Mapping[str, Any]:
        return await self.token(grant_type="refresh_token", refresh_token=token)

    async def grant(self) -> GoogleGrant:
        key = google_grant_key(USER)
        return GoogleGrant.model_validate_json((await self.documents.get([key], soon())).documents[key].body)

    async def consent(self) -> Consent:
        key = consent_key(USER, CHATGPT_ID)
        return Consent.model_validate_json((await self.documents.get([key], soon())).documents[key].body)


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    with authorization.on_sqlite() as store:
        yield Place(store)
        await store.close()


async def test_a_page_may_be_open_for_less_than_ten_minutes(place: Place) -> None:
    first, second = await place.page(), await place.page()

    place.turn(599)
    await place.asked(first.sealed, ["calendar"])
    place.turn(1)
    with pytest.raises(Turned):
        await place.asked(second.sealed, ["calendar"])


async def test_a_browser_has_to_come_back_within_ten_minutes(place: Place) -> None:
    first, second = await place.way(), await place.way()

    place.turn(599)
    assert await place.back(first)
    place.turn(1)
    with pytest.raises(Turned):
        await place.back(second)


async def test_a_way_is_gone_once(place: Place) -> None:
    way = await place.way()
    await place.back(way)

    with pytest.raises(Turned):
        await place.back(way)


async def test_a_code_lives_for_less_than_sixty_seconds(place: Place) -> None:
    first, second = await place.code(), await place.code()

    place.turn(59)
    await place.redeem(first)
    place.turn(1)
    with pytest.raises(OAuthError, match="has expired"):
        await place.redeem(second)


async def test_an_old_refresh_token_leads_on_for_ten_seconds_and_not_for_eleven(place: Place) -> None:
    first = (await place.redeem(await place.code()))["refresh_token"]
    place.turn(60)
    second = (await place.refresh(first))["refresh_token"]
    place.turn(3600)  # Since the first was used an hour has gone, and the second was not used yet.
    assert (await place.refresh(first))["refresh_token"] == second
    third = (await place.refresh(second))["refresh_token"]

    place.turn(10)
    assert (await place.refresh(first))["refresh_token"] == second
    place.turn(1)
    with pytest.raises(OAuthError, match="has been used before"):
        await place.refresh(first)
    with pytest.raises(OAuthError, match="withdrawn"):
        await place.refresh(third)


async def test_a_refresh_token_lives_for_less_than_ninety_days(place: Place) -> None:
    first, second = [(await place.redeem(await place.code()))["refresh_token"] for _ in range(2)]

    place.turn(90 * DAY - 1)
    await place.refresh(first)
    place.turn(1)
    with pytest.raises(OAuthError, match="has expired"):
        await place.refresh(second)


async def test_nothing_outlives_the_year_of_its_family(place: Place) -> None:
    newest = (await place.redeem(await place.code()))["refresh_token"]
    for _ in range(4):
        place.turn(80 * DAY)
        newest = (await place.refresh(newest))["refresh_token"]
    place.turn(45 * DAY - 60)

    told = await place.refresh(newest)

    assert told["expires_in"] == 60, "nor does an access token"
    claims = place.verifier.verify(told["access_token"], {authorization.ISSUER}, place.clock().timestamp())
    assert claims.exp == int(place.clock().timestamp()) + 60
    place.turn(60)
    for token in (newest, told["refresh_token"]):
        with pytest.raises(OAuthError, match="has expired"):
            await place.refresh(token)


async def test_a_client_that_nobody_used_lives_for_less_than_a_day(place: Place) -> None:
    client_id = (await place.directory.register(b'{"redirect_uris": ["https://app.example.com/cb"]}', soon()))["client_id"]

    place.turn(DAY - 1)
    await place.directory.named(client_id, soon())
    place.turn(1)
    with pytest.raises(OAuthError, match="not known"):
        await place.directory.named(client_id, soon())


# What is kept of what was allowed


async def test_a_refresh_token_of_googles_stands_for_the_scopes_of_its_day(place: Place) -> None:
    first = await place.way()
    await place.back(first)
    more = await place.way("calendar docs")

    again = await place.back(more, refresh_token=None)

    assert "prompt=consent" in again, "what was granted since, only a new one opens"
    assert set((await place.grant()).scopes) == set(first["scope"].split()), "and nothing is written before it is there"
    second = dict(parse_qsl(urlsplit(again).query))
    assert second["nonce"] != more["nonce"]
    assert (await place.back(second)).startswith(CHATGPT_CALLBACK)
    assert set((await place.grant()).scopes) == set(more["scope"].split())


async def test_who_comes_back_from_the_second_hop_is_who_is_connected(place: Place) -> None:
    second = dict(parse_qsl(urlsplit(await place.back(await place.way(), refresh_token=None)).query))
    answer = GoogleAnswer("another", "", "", tuple(second["scope"].split()), "1//anothers")
    place.google.codes["code"] = SaidByGoogle(answer, second["nonce"], second["code_challenge"])

    await place.linking.came_back({"state": second["state"], "code": "code"}, TAB, soon())

    keys = {subject: google_grant_key(user_of(subject)) for subject in ("person", "another")}
    found = (await place.documents.get(list(keys.values()), soon())).documents
    assert [subject for subject, key in keys.items() if key in found] == ["another"]
    assert consent_key(USER, CHATGPT_ID) not in (await place.documents.get([consent_key(USER, CHATGPT_ID)], soon())).documents


async def test_a_second_hop_is_the_last(place: Place) -> None:
    again = await place.back(await place.way(), refresh_token=None)

    assert (await place.back(dict(parse_qsl(urlsplit(again).query)), refresh_token=None)).startswith(CHATGPT_CALLBACK)
    assert (await place.grant()).refresh_token is None


async def test_a_refresh_token_whose_key_is_gone_is_asked_for_anew(place: Place) -> None:
    await place.back(await place.way())
    place.keys = [new_key("k2")]

    again = await place.back(await place.way(), refresh_token=None)

    assert "prompt=consent" in again, "Google gives another only where it asks for consent"
    await place.back(dict(parse_qsl(urlsplit(again).query)), refresh_token="1//another")
    sealed = (await place.grant()).refresh_token or ""
    assert place.sealer.open(sealed, user=USER, purpose=REFRESH_PURPOSE) == "1//another"


async def test_what_google_granted_is_kept_and_not_what_was_granted_once(place: Place) -> None:
    await place.back(await place.way("calendar docs"))
    await place.back(await place.way(), scopes="openid email")

    assert (await place.grant()).scopes == ("openid", "email")


async def test_a_page_withdraws_what_it_asks_for_and_is_switched_off_and_nothing_else(place: Place) -> None:
    await place.back(await place.way("calendar docs gmail"))
    since = (await place.consent()).since
    place.turn(3600)
    page = await place.page("calendar docs")

    await place.back(await place.asked(page.sealed, ["docs", "gmail"]))

    kept = await place.consent()
    assert sorted(kept.capabilities) == ["docs", "gmail"]
    assert {allowed.since for allowed in kept.capabilities.values()} == {since} == {kept.since}
    assert (await place.grant()).since == since


async def test_nothing_that_was_not_asked_for_can_be_allowed(place: Place) -> None:
    page = await place.page("calendar")

    asked = await place.asked(page.sealed, ["calendar", "gmail"])

    assert "gmail" not in asked["scope"]
    told = await place.redeem(dict(parse_qsl(urlsplit(await place.back(asked)).query))["code"])
    assert told["scope"] == "calendar"
    assert list((await place.consent()).capabilities) == ["calendar"]


async def test_one_capability_more_ends_at_the_account_page_and_changes_no_address(place: Place) -> None:
    await place.back(await place.way())
    found = await place.linking.allow({"client_id": CHATGPT_ID, "capability": "docs"}, TAB, soon())

    assert await place.back(await place.asked(found.sealed, ["docs"])) == ""

    kept = await place.consent()
    assert sorted(kept.capabilities) == ["calendar", "docs"]
    assert kept.origin == "https://chatgpt.com"
    codes = await place.documents.list(CODES, families_of(USER), limit=10, deadline=soon())
    assert len(codes) == 1, "nobody waits for a second code"


async def test_a_link_connects_nobody_who_has_not_connected_that_client(place: Place) -> None:
    found = await place.linking.allow({"client_id": CHATGPT_ID, "capability": "docs"}, TAB, soon())

    with pytest.raises(Turned, match="not connected"):
        await place.back(await place.asked(found.sealed, ["docs"]))

    assert (await place.accounts.read(USER, soon())).consents == []


async def test_a_link_shows_where_the_clients_answers_go_and_not_where_it_ends(place: Place) -> None:
    uris = ["https://chatgpt.com.evil.example/cb", "http://127.0.0.1:9/cb", "https://xn--hatgpt-k4e.com/cb"]
    body = json.dumps({"client_name": "ChatGPT", "redirect_uris": uris}).encode()
    client_id = (await place.directory.register(body, soon()))["client_id"]
    shown = {}
    for name in (client_id, CHATGPT_ID):
        found = await place.linking.allow({"client_id": name, "capability": "docs"}, TAB, soon())
        shown[name] = Views(CATALOGUE).consent(found, "token", "en").client

    assert shown[client_id].destination.shown == "chatgpt.com.evil.example, xn--hatgpt-k4e.com, 127.0.0.1:9"
    assert (shown[client_id].destination.place, shown[client_id].destination.foreign_letters) == ("web", True)
    assert shown[CHATGPT_ID].destination.shown == "chatgpt.com"


async def test_who_only_looks_at_the_account_is_asked_for_no_grant(place: Place) -> None:
    asked = dict(parse_qsl(urlsplit(await place.linking.to_account(TAB, soon())).query))

    assert asked["scope"] == "openid email profile"
    assert not {"access_type", "include_granted_scopes", "prompt"} & set(asked)


async def test_a_token_of_nobodys_revokes_nothing(place: Place) -> None:
    token = (await place.redeem(await place.code()))["refresh_token"]
    family = token.partition(".")[0]

    for wrong in (f"{family}.guessed", family, f"{family}."):
        await place.issuing.revoke(None, {**CLIENT, "token": wrong}, soon())

    await place.refresh(token)


async def test_disconnecting_gives_back_what_google_granted(place: Place) -> None:
    await place.code()

    await place.accounts.disconnect_google(USER, soon())

    assert place.google.revoked == ["1//refresh"]
