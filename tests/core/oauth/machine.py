"""The authorization server against a model of it, by Hypothesis: what is dead is never accepted, and what lives is never refused.

In full, 500 runs of 50 steps: `python -m tests.core.oauth.machine 500`.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Coroutine, Sequence
from contextlib import ExitStack
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test

from functions.core.access import Access
from functions.core.capability import Operation
from functions.core.deadline import Deadline
from functions.core.errors import CantileverError, Disconnected, InsufficientScope, Unauthenticated
from functions.core.oauth.authorize import SentBack
from functions.core.oauth.linking import Consenting, Tab
from functions.core.oauth.records import family_key, family_of, user_of
from functions.core.oauth.signin import GoogleAnswer, scopes
from functions.core.oauth.tokens import challenge_of
from functions.core.oauth.wire import OAuthError, Turned
from functions.core.stored import Bearer
from tests import authorization
from tests.authorization import (
    CALLBACK,
    CATALOGUE,
    CHATGPT_CALLBACK,
    CHATGPT_ID,
    CHATGPT_SECRET,
    DOCUMENT,
    ISSUER,
    AuthorizationServer,
    SaidByGoogle,
)
from tests.core.oauth.modelled import MINUTES, AClient, ACode, ARefresh, Model, Page, Way

BROWSERS, PEOPLE = ("browser-1", "browser-2"), ("person-1", "person-2")
TAB = "tab"
RESOURCES = (None, f"{ISSUER}/mcp")
STEPS = (1, 5, 9, 10, 11, 49, 59, 60, 61, 599, 600, 1799, 1800, 1860, 86_399, 86_400, 89 * 86_400, 91 * 86_400, 366 * 86_400)
"""By how many seconds time goes on: just to each end that something has, and just beyond."""
CAPABILITIES = ("calendar", "docs", "gmail")
SCOPES = st.sets(st.sampled_from(CAPABILITIES))

Told = dict[str, Any] | str
"""What the token endpoint answers: tokens, or the name of a refusal."""


class Machine(RuleBasedStateMachine):
    """Two people in two browsers, some clients, thieves among them, and time."""

    def __init__(self) -> None:
        super().__init__()
        self._open = ExitStack()
        self.loop = asyncio.new_event_loop()
        self.store = self._open.enter_context(authorization.on_sqlite())
        self.place = AuthorizationServer(self.store)
        self.model = Model()

    def teardown(self) -> None:
        try:
            self._whatever_was_given_is_worth_what_the_model_says()
        finally:
            self.run(self.store.close())
            self.loop.run_until_complete(self.loop.shutdown_default_executor())
            self.loop.close()
            self._open.close()

    # What happens

    @initialize()
    def begins_with_clients(self) -> None:
        self.model.clients += [AClient(CHATGPT_ID, CHATGPT_CALLBACK, secret=CHATGPT_SECRET), AClient(DOCUMENT, CALLBACK)]
        self.registers()

    @rule()
    def registers(self) -> None:
        body = json.dumps({"redirect_uris": [CALLBACK], "client_name": "App"}).encode()
        told = self.run(self.place.directory.register(body, self.deadline))
        self.model.clients.append(AClient(told["client_id"], CALLBACK, self.now))

    @rule(data=st.data(), browser=st.sampled_from(BROWSERS), resource=st.sampled_from(RESOURCES), pkce=st.booleans())
    def authorizes(self, data: st.DataObject, browser: str, resource: str | None, pkce: bool) -> None:
        self._authorizes(data.draw(st.sampled_from(self.model.clients)), browser, resource, data.draw(SCOPES), pkce=pkce)

    def _authorizes(self, client: AClient, browser: str, resource: str | None, scope: set[str], *, pkce: bool) -> Page | None:
        verifier = "v" * 43 if pkce or client.secret is None else None
        challenge = {"code_challenge": challenge_of(verifier), "code_challenge_method": "S256"} if verifier else {}
        asked = {"response_type": "code", "client_id": client.id, "redirect_uri": client.callback, "scope": " ".join(scope), **challenge}
        if resource:
            asked["resource"] = resource
        found = self.tried(
            self.place.linking.authorize({name: value for name, value in asked.items() if value}, Tab(TAB, browser), self.deadline)
        )
        assert isinstance(found, Consenting) is client.lives(self.now), found
        if not isinstance(found, Consenting):
            return None
        named = tuple(name for name in CAPABILITIES if name in scope or not scope)
        page = Page(found.sealed, browser, client, named, "client", verifier, resource or ISSUER, self.now + 10 * MINUTES)
        self.model.pages.append(page)
        return page

    @rule(data=st.data(), browser=st.sampled_from(BROWSERS), capability=st.sampled_from(CAPABILITIES))
    def allows_one_more(self, data: st.DataObject, browser: str, capability: str) -> None:
        client = data.draw(st.sampled_from(self.model.clients))
        asked = {"client_id": client.id, "capability": capability}
        found = self.tried(self.place.linking.allow(asked, Tab(TAB, browser), self.deadline))
        assert isinstance(found, Consenting) is client.lives(self.now), found
        if isinstance(found, Consenting):
            self.model.pages.append(Page(found.sealed, browser, client, (capability,), "link", None, ISSUER, self.now + 10 * MINUTES))

    @precondition(lambda self: self.model.pages)
    @rule(data=st.data(), browser=st.sampled_from(BROWSERS), lost=st.booleans())
    def consents(self, data: st.DataObject, browser: str, lost: bool) -> None:
        page = data.draw(st.sampled_from(self.model.pages))
        allowed = data.draw(st.sets(st.sampled_from(page.asked), min_size=1))
        self._consents(page, browser, tuple(name for name in page.asked if name in allowed), lost=lost)

    def _consents(self, page: Page, browser: str, allowed: tuple[str, ...], *, lost: bool) -> Way | None:
        found = self.tried(self.place.linking.consented(page.sealed, Tab(TAB, browser), sorted(allowed), self.deadline), lost=lost)
        assert isinstance(found, str) is (browser == page.browser and self.now < page.until), found
        return self._way(found, browser, page, allowed) if isinstance(found, str) else None

    def _way(self, url: str, browser: str, page: Page | None, allowed: tuple[str, ...], *, again: bool = False) -> Way:
        asked = dict(parse_qsl(urlsplit(url).query))
        assert set(asked["scope"].split()) == {"openid", "email", "profile", *scopes(CATALOGUE, allowed)}
        assert ("prompt" in asked) is again
        way = Way(asked["state"], asked["nonce"], asked["code_challenge"], browser, page, allowed, again, self.now + 10 * MINUTES)
        self.model.ways.append(way)
        return way

    @precondition(lambda self: self.model.pages)
    @rule(data=st.data(), browser=st.sampled_from(BROWSERS))
    def denies(self, data: st.DataObject, browser: str) -> None:
        page = data.draw(st.sampled_from(self.model.pages))
        try:
            found: object = self.place.linking.denied(page.sealed, Tab(TAB, browser))
        except Turned as error:
            found = error
        assert isinstance(found, SentBack) is (browser == page.browser and self.now < page.until)
        if isinstance(found, SentBack):
            assert found.error.error == "access_denied"
            assert found.at_once is (page.purpose == "client" and page.client.id == CHATGPT_ID)

    @rule(browser=st.sampled_from(BROWSERS))
    def looks_at_the_account(self, browser: str) -> None:
        self._way(self.run(self.place.linking.to_account(Tab(TAB, browser), self.deadline)), browser, None, ())

    @precondition(lambda self: self.model.ways)
    @rule(
        data=st.data(),
        browser=st.sampled_from(BROWSERS),
        person=st.sampled_from(PEOPLE),
        says=st.sampled_from(["yes", "yes", "yes", "no", "another's code"]),
        partly=st.booleans(),
        refreshable=st.booleans(),
    )
    def comes_back(self, data: st.DataObject, browser: str, person: str, says: str, partly: bool, refreshable: bool) -> None:
        self._comes_back(data.draw(st.sampled_from(self.model.ways)), browser, person, says, partly=partly, refreshable=refreshable)

    def _comes_back(self, way: Way, browser: str, person: str, says: str, *, partly: bool, refreshable: bool) -> ACode | Way | None:
        known = self.model.google.get(user_of(person))
        granted = () if partly else scopes(CATALOGUE, way.allowed)
        everything = frozenset({"openid", "email", "profile", *granted, *(known[0] if known else ())})
        nonce = way.nonce if says == "yes" else "another's"
        answer = GoogleAnswer(person, f"{person}@example.com", "", tuple(sorted(everything)), "1//refresh" if refreshable else None)
        self.place.google.codes["from-google"] = SaidByGoogle(answer, nonce, way.challenge)
        sent = {"state": way.state, **({"error": "access_denied"} if says == "no" else {"code": "from-google"})}
        good = browser == way.browser and not way.used and self.now < way.until

        found = self.tried(self.place.linking.came_back(sent, Tab(TAB, browser), self.deadline))

        way.used |= good
        if not good or says != "yes":
            denied = good and says == "no" and way.page is not None
            assert isinstance(found, SentBack if denied else Turned), found
            return None
        return self._arrived(way, person, answer, found)

    def _arrived(self, way: Way, person: str, answer: GoogleAnswer, found: Any) -> ACode | Way | None:
        model, user, granted = self.model, user_of(person), frozenset(answer.scopes)
        known = model.google.get(user)
        if way.page and way.page.purpose == "link" and (user, way.page.client.id) not in model.consents:
            assert isinstance(found, Turned), "a link connects nobody"
            return None
        assert found.user == user
        if way.page is None:
            assert found.url is None
            model.google.setdefault(user, (frozenset(), False))
            return None
        fits = known is not None and known[1] and granted <= known[0]
        if not (answer.refresh_token or fits or way.again):
            return self._way(found.url, way.browser, way.page, way.allowed, again=True)
        model.google[user] = (granted, bool(answer.refresh_token or fits))
        model.consent(user, way.page, way.allowed)
        if way.page.purpose == "link":
            assert found.url is None
            return None
        assert found.url.startswith(f"{way.page.client.callback}?code=")
        code = ACode(dict(parse_qsl(urlsplit(found.url).query))["code"], way.page, user, way.allowed, self.now + MINUTES)
        model.codes.append(code)
        return code

    @rule(data=st.data(), person=st.sampled_from(PEOPLE), browser=st.sampled_from(BROWSERS))
    def connects(self, data: st.DataObject, person: str, browser: str) -> None:
        page = self._authorizes(data.draw(st.sampled_from(self.model.clients)), browser, None, data.draw(SCOPES), pkce=True)
        way = self._consents(page, browser, page.asked, lost=False) if page else None
        code = self._comes_back(way, browser, person, "yes", partly=False, refreshable=True) if way else None
        if isinstance(code, ACode) and data.draw(st.booleans()):
            self._redeems(code, lost=False)

    # Codes

    @precondition(lambda self: self.model.codes)
    @rule(
        data=st.data(),
        wrong=st.sampled_from(["", "", "", "client", "code_verifier", "redirect_uri", "resource", "client_secret"]),
        lost=st.booleans(),
    )
    def redeems(self, data: st.DataObject, wrong: str, lost: bool) -> None:
        code = data.draw(st.sampled_from(self.model.codes))
        if wrong == "client":
            other = data.draw(st.sampled_from([client for client in self.model.clients if client is not code.page.client]))
            expected = "invalid_grant" if other.lives(self.now) else "invalid_client"
            assert self.token(other, **self._form(code), lost=lost) == expected
            return
        self._redeems(code, lost=lost, wrong=wrong)

    def _form(self, code: ACode) -> dict[str, str]:
        verifier = {"code_verifier": code.page.verifier} if code.page.verifier else {}
        return {"grant_type": "authorization_code", "code": code.text, "redirect_uri": code.page.client.callback, **verifier}

    def _redeems(self, code: ACode, *, lost: bool, wrong: str = "") -> None:
        client, form = code.page.client, self._form(code)
        other = {"resource": ISSUER if code.page.resource != ISSUER else f"{ISSUER}/mcp", "client_secret": "wrong"}
        if wrong:
            form[wrong] = other.get(wrong, "w" * 43)
        told = self.token(client, **form, lost=lost)
        if not client.lives(self.now) or wrong == "client_secret":
            assert told == "invalid_client"
        elif code.withdrawn:
            assert told == "invalid_grant", "whoever took it back is not connected again by a code that was still on its way"
        elif code.family is not None:
            assert told == "invalid_grant", "no code is redeemed twice"
            code.family.ended = True
        elif self.now >= code.until or wrong in ("code_verifier", "redirect_uri"):
            assert told == "invalid_grant"
        elif wrong == "resource":
            assert told == "invalid_target"
        else:
            assert isinstance(told, dict), f"a code that lives is refused: {told}"
            assert told["scope"] == " ".join(code.allowed)
            self.model.issue(told, code, self.now)

    @precondition(lambda self: self.model.codes)
    @rule(data=st.data())
    def redeems_at_once(self, data: st.DataObject) -> None:
        code = data.draw(st.sampled_from(self.model.codes))
        fresh = code.page.client.lives(self.now) and not code.withdrawn and code.family is None and self.now < code.until
        form = self._form(code)
        told = self.tokens_at_once(code.page.client, **form)
        good = [tokens for tokens in told if isinstance(tokens, dict)]
        assert len(good) == fresh, told
        if good:
            self.model.issue(good[0], code, self.now)
        if code.family and code.page.client.lives(self.now) and not code.withdrawn:
            code.family.ended = True

    # Refresh tokens

    @precondition(lambda self: self.model.refreshes)
    @rule(data=st.data(), lost=st.booleans(), at_once=st.booleans(), wrong=st.sampled_from(["", "", "", "", "client", "scope", "resource"]))
    def refreshes(self, data: st.DataObject, lost: bool, at_once: bool, wrong: str) -> None:
        token = data.draw(st.sampled_from(self.model.refreshes))
        if wrong == "client":
            other = data.draw(st.sampled_from([client for client in self.model.clients if client is not token.family.client]))
            assert isinstance(self.token(other, grant_type="refresh_token", refresh_token=token.text), str)
            return
        self._refreshes(token, lost=lost, at_once=at_once, wrong=wrong)

    @precondition(lambda self: self.model.refreshes)
    @rule()
    def refreshes_with_the_newest(self) -> None:
        self._refreshes(self.model.refreshes[-1])

    def _refreshes(self, token: ARefresh, *, lost: bool = False, at_once: bool = False, wrong: str = "") -> None:
        family, client = token.family, token.family.client
        form = {"grant_type": "refresh_token", "refresh_token": token.text}
        others = {"scope": "nothing", "resource": ISSUER if family.resource != ISSUER else f"{ISSUER}/mcp"}
        if wrong:
            form[wrong] = others[wrong]
        answers = self.tokens_at_once(client, **form) if at_once else [self.token(client, **form, lost=lost)]
        assert len({told if isinstance(told, str) else told["refresh_token"] for told in answers}) == 1, answers
        told = answers[0]
        if not client.lives(self.now):
            assert told == "invalid_client"
        elif not family.lives(self.now) or self.now >= token.until:
            assert told == "invalid_grant", "a dead token is refused"
        elif wrong:
            assert told == {"scope": "invalid_scope", "resource": "invalid_target"}[wrong]
        elif token.successor and token.successor.used_at and (self.now - token.successor.used_at).total_seconds() > 10:
            assert told == "invalid_grant", "a token that has led on to one that was used is refused"
            family.ended = True
        else:
            assert isinstance(told, dict), f"a token that lives is refused: {told}"
            if token.successor is None:
                self.model.follow(token, told["refresh_token"], self.now)
            assert token.successor is not None
            assert told["refresh_token"] == token.successor.text != token.text
            self.model.access(told, family, self.now)

    @precondition(lambda self: self.model.refreshes)
    @rule(data=st.data(), which=st.sampled_from(["refresh", "access"]), right=st.booleans())
    def revokes(self, data: st.DataObject, which: str, right: bool) -> None:
        token = data.draw(st.sampled_from(self.model.refreshes if which == "refresh" else self.model.accesses))
        client = token.family.client if right else data.draw(st.sampled_from(self.model.clients))
        told = self.tried(self.place.issuing.revoke(None, {**_named(client), "token": token.text}, self.deadline))
        assert isinstance(told, OAuthError) is not client.lives(self.now)
        known = token.kept if isinstance(token, ARefresh) else self.now < token.until + MINUTES
        if client.lives(self.now) and client is token.family.client and known:
            token.family.ended = True

    # What people take back

    @rule(data=st.data(), person=st.sampled_from(PEOPLE))
    def removes_a_client(self, data: st.DataObject, person: str) -> None:
        client, user = data.draw(st.sampled_from(self.model.clients)), user_of(person)
        self.run(self.place.accounts.remove_client(user, client.id, self.deadline))
        self.model.withdraw(user, client.id)
        self.model.consents.pop((user, client.id), None)

    @rule(data=st.data(), person=st.sampled_from(PEOPLE), capability=st.sampled_from(CAPABILITIES))
    def removes_a_capability(self, data: st.DataObject, person: str, capability: str) -> None:
        client, user = data.draw(st.sampled_from(self.model.clients)), user_of(person)
        self.run(self.place.accounts.remove_capability(user, client.id, capability, self.deadline))
        self.model.consents.get((user, client.id), set()).discard(capability)

    @rule(person=st.sampled_from(PEOPLE), everything=st.booleans())
    def disconnects(self, person: str, everything: bool) -> None:
        user, before = user_of(person), len(self.place.google.revoked)
        accounts = self.place.accounts
        self.run(accounts.remove(user, self.deadline) if everything else accounts.disconnect_google(user, self.deadline))
        kept = self.model.google.pop(user, None)
        assert len(self.place.google.revoked) - before == (kept is not None and kept[1])
        self.model.withdraw(user)
        if everything:
            self.model.consents = {key: kept for key, kept in self.model.consents.items() if key[0] != user}

    # Time

    @rule(seconds=st.sampled_from(STEPS))
    def time_passes(self, seconds: int) -> None:
        self.place.turn(seconds)

    @rule(seconds=st.integers(1, 20))
    def a_moment_passes(self, seconds: int) -> None:
        self.place.turn(seconds)

    @rule()
    def the_store_forgets_what_has_ended(self) -> None:
        self.run(self.place.timed.forget(self.deadline))
        self.model.forget(self.now)

    @precondition(lambda self: len(self.place.keys) < 3)
    @rule()
    def keys_are_rotated(self) -> None:
        self.place.rotate()

    # What holds

    @precondition(lambda self: self.model.accesses)
    @rule(data=st.data(), operation=st.sampled_from(sorted(CATALOGUE.operations.values(), key=lambda one: one.name)))
    def uses(self, data: st.DataObject, operation: Operation) -> None:
        token = data.draw(st.sampled_from(self.model.accesses))
        family, model = token.family, self.model
        allowed = model.consents.get((family.user, family.client.id), set())
        granted, connected = model.google.get(family.user, (frozenset(), False))
        expected: type[CantileverError] | None = None
        if self.now >= token.until + MINUTES or not family.lives(self.now):
            expected = Unauthenticated
        elif operation.scopes and not connected:
            expected = Disconnected
        elif operation.scopes and not (operation.capability in allowed and {scope.name for scope in operation.scopes} <= granted):
            expected = InsufficientScope
        assert self._refusal(token.text, operation) is expected

    def _refusal(self, token: str, operation: Operation) -> type[CantileverError] | None:
        """Why an operation may not run for the bearer of a token; None: it may."""

        async def required() -> None:
            claims = self.place.verifier.verify(token, {ISSUER, f"{ISSUER}/mcp"}, self.now.timestamp())
            access = Access(self.place.grants, Bearer(user=claims.sub, client_id=claims.client_id, family=claims.grant))
            await access.require_alive(self.deadline)
            await access.require(operation, self.deadline)

        found = self.tried(required())
        return type(found) if isinstance(found, CantileverError) else None

    @invariant()
    def families_live_as_the_model_has_it(self) -> None:
        families = {family_of(token.text): token.family for token in self.model.refreshes}
        keys = {family_key(name): family for name, family in families.items()}
        found = self.run(self.place.documents.get(list(keys), self.deadline)).documents if keys else {}
        for key, family in keys.items():
            assert key in found or not family.lives(self.now), "a family that lives is gone"
            assert key not in found or not family.ended, "a family that has ended is there"

    def _whatever_was_given_is_worth_what_the_model_says(self) -> None:
        plain = next(operation for operation in CATALOGUE.operations.values() if not operation.scopes)
        for token in self.model.accesses:
            lives = self.now < token.until + MINUTES and token.family.lives(self.now)
            assert self._refusal(token.text, plain) is (None if lives else Unauthenticated)
        for refresh in list(self.model.refreshes):
            self._refreshes(refresh)
        for code in self.model.codes:
            self._redeems(code, lost=False)

    # How it is done

    @property
    def now(self) -> Any:
        return self.place.clock.now

    @property
    def deadline(self) -> Deadline:
        return Deadline.after(60, self.loop.time)

    def run(self, work: Awaitable[Any]) -> Any:
        return self.loop.run_until_complete(work)

    def tried(self, work: Coroutine[Any, Any, Any], *, lost: bool = False) -> Any:
        """What comes of it; the refusal where it is refused. `lost`: the store writes, and its first acknowledgement is lost."""
        self.place.documents.lose_acknowledgements = int(lost)
        try:
            return self.run(work)
        except CantileverError as error:
            return error
        finally:
            self.place.documents.lose_acknowledgements = 0

    def token(self, client: AClient, *, lost: bool = False, **form: str) -> Told:
        return _told(self.tried(self.place.issuing.token(None, {**_named(client), **form}, self.deadline), lost=lost))

    def tokens_at_once(self, client: AClient, **form: str) -> Sequence[Told]:
        """What three equal requests are told that arrive together."""
        sent = {**_named(client), **form}

        async def together() -> list[Any]:
            asked = [self.place.issuing.token(None, sent, self.deadline) for _ in range(3)]
            return await asyncio.gather(*asked, return_exceptions=True)

        return [_told(found) for found in self.run(together())]


def _named(client: AClient) -> dict[str, str]:
    return {"client_id": client.id, **({"client_secret": client.secret} if client.secret else {})}


def _told(found: Any) -> Told:
    if isinstance(found, OAuthError):
        return found.error
    assert isinstance(found, dict), repr(found)
    return found


def run(examples: int, steps: int = 50) -> None:
    """So many runs of so many steps, each drawn anew; the first that is wrong is made small and raised."""
    chosen = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink),
        print_blob=True,
    )
    run_state_machine_as_test(Machine, settings=chosen)  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    run(int(sys.argv[1]) if len(sys.argv) > 1 else 500)
    print("Nothing that is dead was accepted, and nothing that lives was refused.")
