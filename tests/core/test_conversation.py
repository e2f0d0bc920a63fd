"""What is kept of a conversation, and what the model sees of it."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.core.conversation import Conversation, Limits, opened, within
from functions.core.documents import Document, Key, Version
from functions.core.stored import Head, Said, conversation_key, turn_key

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
WIDE = Limits(messages=40, tokens=8000, lifetime=timedelta(hours=24))


def exchange(number: int, text: str = "") -> list[Said]:
    return [Said(role="user", text=f"question {number}{text}"), Said(role="assistant", text=f"answer {number}{text}")]


def test_the_last_messages_are_kept_within_their_number() -> None:
    messages = [said for number in range(1, 31) for said in exchange(number)]

    kept = within(WIDE, messages)

    assert len(kept) == 40
    assert (kept[0].text, kept[-1].text) == ("question 11", "answer 30")


def test_the_last_messages_are_kept_within_their_tokens() -> None:
    messages = [said for number in range(1, 5) for said in exchange(number, " 天" * 10)]

    kept = within(Limits(messages=40, tokens=240, lifetime=timedelta(hours=1)), messages)

    assert [said.text[:10] for said in kept] == ["question 3", "answer 3 天", "question 4", "answer 4 天"]
    assert sum(len(said.text.encode()) + 8 for said in kept) <= 240


def test_a_buffer_begins_with_the_user() -> None:
    messages = [*exchange(1), *exchange(2)]

    assert [said.text for said in within(Limits(3, 8000, timedelta(hours=1)), messages)] == ["question 2", "answer 2"]
    assert within(Limits(1, 8000, timedelta(hours=1)), messages) == ()
    assert within(Limits(0, 8000, timedelta(hours=1)), messages) == ()


def test_an_exchange_that_is_too_long_is_kept_by_its_beginning() -> None:
    messages = [*exchange(1), Said(role="user", text="天" * 5000), Said(role="assistant", text="short")]

    kept = within(Limits(40, 8000, timedelta(hours=1)), messages)

    assert [(said.role, len(said.text)) for said in kept] == [("user", 1330), ("assistant", 5)]


@given(st.lists(st.text(max_size=200), max_size=30), st.integers(0, 40), st.integers(0, 2000))
def test_a_buffer_never_exceeds_a_limit_and_is_the_end_of_what_was_said(texts: list[str], messages: int, tokens: int) -> None:
    said = [Said(role="user" if index % 2 == 0 else "assistant", text=text) for index, text in enumerate(texts)]

    kept = within(Limits(messages, tokens, timedelta(hours=1)), said)

    assert len(kept) <= messages
    assert sum(item.tokens for item in kept) <= tokens
    assert all(
        shown.role == whole.role and whole.text.startswith(shown.text)
        for shown, whole in zip(kept, said[len(said) - len(kept) :], strict=True)
    )


@pytest.mark.parametrize("text", ["hello", "北京明天天气怎么样", "👨‍👩‍👧", "", "a" * 1000])
def test_tokens_are_never_counted_too_few(text: str) -> None:
    assert Said(role="user", text=text).tokens >= len(text.encode())


def test_a_key_needs_owner_and_token_both() -> None:
    keys = {conversation_key(owner, session) for owner, session in [("", "ab"), ("a", "b"), ("ab", ""), ("", "b"), ("a", "ab")]}

    assert len(keys) == 5
    assert turn_key(conversation_key("", "a"), "t") != turn_key(conversation_key("", "b"), "t")


def head(**changes: object) -> Document:
    stored = Head(thread="t", turns=1, buffer=tuple(exchange(1)), expires_at=NOW)
    return Document(Key("conversations", "x"), stored.model_copy(update=changes).model_dump_json(), Version("7"), NOW, None)


def test_an_ended_conversation_is_not_opened_although_the_store_still_has_it() -> None:
    document = head()

    before = opened(document.key, document, NOW - timedelta(seconds=1))
    after = opened(document.key, document, NOW)

    assert isinstance(before, Conversation)
    assert after is None


def test_a_head_of_a_later_revision_is_read_tolerantly() -> None:
    document = head()
    newer = Document(document.key, document.body.replace("{", '{"summary": "new", ', 1), document.version, NOW, None)

    found = opened(newer.key, newer, NOW - timedelta(hours=1))

    assert found
    assert [said.text for said in found.head.buffer] == ["question 1", "answer 1"]
    assert '"summary":"new"' in found.head.model_dump_json(), "what a newer revision added is not lost when this one writes"
