"""As much as fits: of a text, in parts that make the whole; of a list, from its beginning."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.core.capability import Published
from functions.core.errors import Invalid
from functions.core.excerpt import as_many_as_fit, by_turns, cut, excerpt, size


class Word(Published):
    """A word."""

    word: str


@pytest.mark.parametrize(
    ("text", "most", "part", "rest"),
    [
        ("short", 10, "short", None),
        ("exactly 10", 10, "exactly 10", None),
        ("", 10, "", None),
        ("one two three four five", 20, "one two three four ", 19),
        ("a line\nof some words and so on", 22, "a line\nof some words ", 21),
        ("aaaaaaaaaaaaaaaaaa\nbb cc", 20, "aaaaaaaaaaaaaaaaaa\n", 19),
        ("x" * 30, 10, "x" * 10, 10),
        ("字" * 30, 10, "字" * 3, 3),
        ('"' * 30, 10, '"' * 5, 5),
        ("😀" * 5, 2, "😀", 1),
    ],
)
def test_a_part_ends_where_a_reader_would_end_it(text: str, most: int, part: str, rest: int | None) -> None:
    assert excerpt(text, 0, most) == (part, rest)


@given(st.text(max_size=300), st.integers(8, 60))
def test_the_parts_make_the_whole_and_none_is_too_long(text: str, most: int) -> None:
    parts, start = [], 0
    while start is not None:
        part, start = excerpt(text, start, most)
        parts.append(part)

    assert "".join(parts) == text
    assert all(size(part) <= most for part in parts)


def test_as_many_as_fit_are_the_first_and_one_at_least() -> None:
    words = [Word(word=word) for word in ("one", "two", "three")]  # 14, 14 and 16 bytes

    assert [word.word for word in as_many_as_fit(words, 28)] == ["one", "two"]
    assert [word.word for word in as_many_as_fit(words, 5)] == ["one"]
    assert as_many_as_fit([], 5) == []


def test_a_part_behind_the_end_is_none() -> None:
    with pytest.raises(Invalid, match="beyond the end of the text, which has 5 characters"):
        excerpt("short", 5)


def test_by_turns_none_crowds_out_another() -> None:
    assert by_turns([[1, 2, 3], [], [0]]) == [1, 0, 2, 3]


def test_what_is_cut_says_so() -> None:
    assert (cut("four", 4), cut("three", 4), cut("two w", 4)) == ("four", "thre…", "two…")
