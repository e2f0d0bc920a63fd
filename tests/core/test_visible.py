"""What a model is shown of foreign text."""

import json
import unicodedata

import pytest

from functions.core.visible import visible, visible_json


@pytest.mark.parametrize(
    "text",
    [
        "北京明天天气怎么样?",
        'Zoë said: "it\'s <b>5 < 6</b> \\ & more"\n\tnext line',
        "می‌خواهم",  # Persian, a zero-width non-joiner inside a word
        "क्‍ष",  # Devanagari, a zero-width joiner behind a virama
        "👨‍👩‍👧 🏳️‍🌈 ❤️ 👍🏽 1️⃣ ☂︎ ©️",
        "e\u0301te\u0301",
        "مرحبا بالعالم",
        "שלום עולם",
        "",
    ],
)
def test_words_stay_as_they_are(text: str) -> None:
    assert visible(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\u202eb\u202cc", "abc"),
        ("a\u2066b\u2069c", "abc"),
        ("pay\u200bload", "payload"),
        ("\ufeffstart", "start"),
        ("hi\U000e0001\U000e0041\U000e0042\U000e007f", "hi"),
        ("x\U000e0101\U000e0150y", "xy"),
        ("a\u200d b", "a b"),
        ("1\u200c2", "12"),
        ("a\u200d\u200d\u200db", "ab"),
        ("\u200dalone\u200c", "alone"),
        ("a\x00b\x1b[31mc\x7f\x85", "ab[31mc"),
        ("a\r\nb", "a\nb"),
        ("so\u00adft", "soft"),
        ("\u3164\u115f\u1160\uffa0", ""),
        ("\u2062\u2063\u2064", ""),
        ("hi\u200dthere", "hithere"),
        ("a\ufe00\ufe01\ufe02\ufe0e b", "a b"),
        ("a\ufe0f\ufe0e\ufe0f", "a"),
        ("❤\ufe0f\ufe0e\ufe0f", "❤\ufe0f"),
    ],
)
def test_what_no_reader_sees_is_gone(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_every_format_and_control_character_of_unicode_is_gone() -> None:
    breaks = {"\n", "\t"}
    hidden = [character for character in map(chr, range(0x110000)) if unicodedata.category(character) in ("Cf", "Cc")]

    left = [character for character in hidden if visible(f"a{character}b") != "ab"]

    assert len(hidden) > 200
    assert set(left) == breaks


def test_every_selector_of_variants_is_gone_from_letters() -> None:
    selectors = [*map(chr, range(0xFE00, 0xFE10)), *map(chr, range(0xE0100, 0xE01F0)), *map(chr, range(0x180B, 0x1810))]

    assert [selector for selector in selectors if visible(f"a{selector}b") not in ("ab", f"a{selector}b" * (selector == "\u180e"))] == []


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (r'{"text":"a\u0001b\u001b[31mc\f\b\rd\u202ee"}', {"text": "ab[31mcde"}),
        (r'{"a\u0002":[{"b":"c\u0003"},1.5,true,null]}', {"a": [{"b": "c"}, 1.5, True, None]}),
        (r'{"text":"1\u0001\ufe0f"}', {"text": "1\ufe0f"}),
        ('{"text":"pay\u200bload"}', {"text": "payload"}),
        (r'{"text":"\"quoted\", C:\\u0001 and\n\tnext line"}', {"text": '"quoted", C:\\u0001 and\n\tnext line'}),
    ],
)
def test_what_no_reader_sees_is_gone_from_json_however_it_is_spelled(text: str, shown: object) -> None:
    assert json.loads(visible_json(text)) == shown


def test_json_without_hidden_characters_stays_as_it_is() -> None:
    for text in ('{"place":"北京","celsius":-0.5,"said":"\\"5\\"\\n\\\\"}', "[]", '{"a":1e16}'):
        assert visible_json(text) == text
