"""The gate before what changes something: a person's confirmation of one call, good once, in one turn, and for ten minutes."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from functions.core.asking import Toolbox
from functions.core.confirmation import LIFETIME, Gate, Write, confirms, issue
from functions.core.errors import CantileverError, Invalid, Malformed, Unauthenticated, Unconfirmed
from tests import writing
from tests.deadlines import soon
from tests.fakes import CannedWeb, Everything
from tests.writing import send_note

SECRET = b"0123456789abcdef0123456789abcdef"
NOW = datetime(2026, 11, 27, 9, 0, tzinfo=UTC)
UNTIL = NOW + LIFETIME

CALL = '{"to": "anna@example.com", "text": "Hi"}'


@pytest.fixture(autouse=True)
def _nothing_sent() -> None:
    writing.sent.clear()


def write(arguments: str = CALL) -> Write:
    return Write.of(send_note, arguments)


def token() -> str:
    return issue(SECRET, "mei", "turn-1", write(), UNTIL)


def test_a_token_confirms_what_it_was_issued_for() -> None:
    assert confirms(token(), SECRET, "mei", "turn-1", write(), NOW)
    assert confirms(token(), SECRET, "mei", "turn-1", write(), UNTIL - timedelta(seconds=1))


@pytest.mark.parametrize(
    ("secret", "user", "turn", "arguments", "now"),
    [
        (b"another secret of thirty-two octets", "mei", "turn-1", CALL, NOW),
        (SECRET, "jonas", "turn-1", CALL, NOW),
        (SECRET, "", "turn-1", CALL, NOW),
        (SECRET, "mei", "turn-2", CALL, NOW),
        (SECRET, "mei", "turn-1", '{"to": "evil@example.com", "text": "Hi"}', NOW),
        (SECRET, "mei", "turn-1", '{"to": "anna@example.com"}', NOW),
        (SECRET, "mei", "turn-1", CALL, UNTIL),
        (SECRET, "mei", "turn-1", CALL, NOW + timedelta(days=1)),
    ],
)
def test_a_token_confirms_nothing_else(secret: bytes, user: str, turn: str, arguments: str, now: datetime) -> None:
    assert not confirms(token(), secret, user, turn, write(arguments), now)


def test_a_token_is_issued_to_somebody() -> None:
    assert not confirms(issue(SECRET, "", "turn-1", write(), UNTIL), SECRET, "", "turn-1", write(), NOW)


def test_names_do_not_run_into_one_another() -> None:
    one = issue(SECRET, "me", "i-turn", write(), UNTIL)

    assert not confirms(one, SECRET, "mei", "-turn", write(), NOW)


@pytest.mark.parametrize(
    "odd",
    [
        "",
        ".",
        "x",
        "1795771800",
        "1795771800.",
        ".abc",
        "-1.abc",
        "1e9.abc",
        "١٢٣.abc",
        "²³.abc",
        "9" * 12 + ".x",
        "9" * 5000 + ".x",
        "1795771800.é",
        "\ud800.x",
    ],
)
def test_what_is_no_token_confirms_nothing(odd: str) -> None:
    assert not confirms(odd, SECRET, "mei", "turn-1", write(), NOW)


@pytest.mark.parametrize("place", range(0, 54, 3))
def test_a_token_that_was_changed_confirms_nothing(place: int) -> None:
    whole = token()
    changed = whole[:place] + ("1" if whole[place] != "1" else "2") + whole[place + 1 :]

    assert changed != whole
    assert not confirms(changed, SECRET, "mei", "turn-1", write(), NOW)


def test_the_same_call_is_the_same_write_however_it_is_spelled() -> None:
    assert write('{ "text":"Hello","to":"anna@example.com" }') == write('{"to": "\\u0061nna@example.com"}')


def test_a_person_is_asked_in_words_that_no_model_chose() -> None:
    told = write('{"to": "anna@example.com", "text": "Hi\\u202e, \\u200bthere"}').told

    assert told == "Send note: Send a note to somebody.\nto: anna@example.com\ntext: Hi, there"
    assert write(json.dumps({"to": "a", "text": "x" * 500})).told.endswith("text: " + "x" * 200 + "… (500 characters)")


@pytest.mark.parametrize(("arguments", "kind"), [("{", Malformed), ('{"to": 7}', Invalid), ('{"to": "a", "confirmation": "x"}', Invalid)])
def test_what_the_operation_does_not_take_is_no_write(arguments: str, kind: type[CantileverError]) -> None:
    with pytest.raises(kind):
        Gate(SECRET, "mei", "turn-1", NOW).require(send_note, arguments)


def test_a_gate_opens_once_for_each_confirmation() -> None:
    gate = Gate(SECRET, "mei", "turn-1", NOW, tokens=[token()])

    gate.require(send_note, CALL)
    with pytest.raises(Unconfirmed):
        gate.require(send_note, CALL)


def test_what_was_refused_is_asked_for_once_with_a_token_that_opens_the_gate() -> None:
    gate = Gate(SECRET, "mei", "turn-1", NOW)
    for _ in range(3):
        with pytest.raises(Unconfirmed, match="Nothing was done"):
            gate.require(send_note, CALL)

    (asked,) = gate.asked
    Gate(SECRET, "mei", "turn-1", NOW + timedelta(minutes=9), tokens=["odd", gate.token(asked)]).require(send_note, CALL)
    with pytest.raises(Unconfirmed):
        Gate(SECRET, "mei", "turn-1", NOW + timedelta(minutes=11), tokens=[gate.token(asked)]).require(send_note, CALL)


def test_neither_the_secret_nor_a_token_is_in_what_is_printed() -> None:
    gate = Gate(SECRET, "mei", "turn-1", NOW, tokens=[token()])
    gate.require(send_note, CALL)

    assert SECRET.decode() not in repr(gate)
    assert token() not in repr(gate)


# In the toolbox


def toolbox(gate: Gate | None) -> Toolbox:
    return Toolbox({"send_note": send_note}, lambda operation, deadline, access: CannedWeb({}), Everything(), gate=gate)  # type: ignore[arg-type]


async def test_without_a_gate_nothing_that_changes_something_runs() -> None:
    with pytest.raises(Unconfirmed, match="They cannot be asked here"):
        await toolbox(None).call("send_note", CALL, soon())

    assert writing.sent == []


async def test_what_is_confirmed_runs() -> None:
    result = await toolbox(Gate(SECRET, "mei", "turn-1", NOW, tokens=[token()])).call("send_note", CALL, soon())

    assert json.loads(result) == {"to": "anna@example.com"}
    assert writing.sent == [("anna@example.com", "Hi")]


async def test_who_is_not_signed_in_is_told_that_first_and_keeps_the_confirmation() -> None:
    class Nobody(Everything):
        async def require(self, operation: object, deadline: object) -> None:
            raise Unauthenticated("Sign in.")

    gate = Gate(SECRET, "mei", "turn-1", NOW, tokens=[token()])
    with pytest.raises(Unauthenticated):
        await replace(toolbox(gate), access=Nobody()).call("send_note", CALL, soon())

    await toolbox(gate).call("send_note", CALL, soon())
    assert writing.sent == [("anna@example.com", "Hi")]
