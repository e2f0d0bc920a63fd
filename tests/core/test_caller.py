"""Who calls, and which conversation their question belongs to."""

import re

import pytest

from functions.core.access import Accesses
from functions.core.caller import Caller, Callers
from functions.core.errors import Unauthenticated
from functions.core.guesses import Guesses
from functions.core.question import Question
from functions.core.settings import Settings
from functions.core.stored import conversation_key
from tests.deployed import DEPLOYED

ALICE, BOB = Caller("alice", known=True), Caller("bob", known=True)
STRANGER = Caller("", known=False)


def asked(caller: Caller, *, session_id: str | None = None, hint: str | None = None) -> Question:
    """A question of theirs; what would be minted is "minted"."""
    return caller.question("hello", session_id, hint, lambda: "minted")


def test_two_owners_with_one_hint_never_meet() -> None:
    keys = {conversation_key(question.owner, question.session_id) for question in (asked(ALICE, hint="v1/abc"), asked(BOB, hint="v1/abc"))}

    assert len(keys) == 2


def test_two_owners_with_one_token_never_meet() -> None:
    alice = asked(ALICE, hint="v1/abc")

    bob = asked(BOB, session_id=alice.session_id)

    assert conversation_key(alice.owner, alice.session_id) != conversation_key(bob.owner, bob.session_id)


def test_an_owners_hint_leads_to_one_conversation_and_may_begin_it() -> None:
    questions = [asked(ALICE, hint="v1/abc"), asked(ALICE, hint="v1/abc"), asked(ALICE, hint="v1/abcd")]

    assert questions[0] == questions[1]
    assert questions[0].session == "any"
    assert len({question.session_id for question in questions}) == 2


@pytest.mark.parametrize("hint", ["x", "x" * 10_000, "v1/é 北京\r\n\x00", "../../../etc", "from-abc"])
def test_a_hint_of_any_characters_becomes_a_token(hint: str) -> None:
    assert re.fullmatch(r"from-[A-Za-z0-9_-]{43}", asked(ALICE, hint=hint).session_id)


def test_a_token_goes_before_a_hint() -> None:
    assert asked(ALICE, session_id="token", hint="v1/abc").session_id == "token"


@pytest.mark.parametrize("hint", [None, ""])
def test_without_token_and_hint_a_conversation_begins(hint: str | None) -> None:
    question = asked(ALICE, hint=hint)

    assert (question.session_id, question.session) == ("minted", "new")


def test_a_strangers_hint_is_not_heard() -> None:
    assert asked(STRANGER, hint="v1/abc") == asked(STRANGER)
    assert asked(STRANGER, hint="v1/abc").session == "new"


def test_a_stranger_may_only_go_on_with_what_we_minted() -> None:
    assert (asked(STRANGER, session_id="token").session, asked(ALICE, session_id="token").session) == ("known", "any")


def callers(**environ: str) -> Callers:
    return Callers(Settings.read(environ), None, (), lambda: 0.0, Accesses(None), Guesses(10))


def test_the_one_person_of_a_local_world_is_known() -> None:
    assert callers().identified(None).known
    assert callers().admitted(None).known
    assert not callers(**DEPLOYED).identified(None).known


def test_where_deployed_nobody_is_admitted_without_the_owners_word() -> None:
    with pytest.raises(Unauthenticated, match="not served"):
        callers(**DEPLOYED).admitted(None)

    assert callers(**DEPLOYED, ANONYMOUS_CHAT="on").admitted(None) == STRANGER


@pytest.mark.parametrize("token", ["", "Bearer", "Bearer x", "Basic YTpi"])
@pytest.mark.parametrize("environ", [{}, DEPLOYED, DEPLOYED | {"ANONYMOUS_CHAT": "on"}], ids=["local", "deployed", "opened"])
def test_without_sign_in_no_token_is_valid(environ: dict[str, str], token: str) -> None:
    who = callers(**environ)

    for let_in in (who.identified, who.admitted):
        with pytest.raises(Unauthenticated, match="no sign-in"):
            let_in(token)
