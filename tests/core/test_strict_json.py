"""What is read as JSON, and what is refused."""

import json

import pytest
from pydantic import BaseModel

from functions.core.errors import Invalid, Malformed
from functions.core.strict_json import loads, read


class Person(BaseModel, extra="forbid"):
    name: str
    age: int = 0


def test_json_is_read_as_it_stands() -> None:
    assert loads('{"a": [1, -2.5, true, null, "北京 👨‍👩‍👧 \\n"], "b": {}}'.encode()) == {
        "a": [1, -2.5, True, None, "北京 👨‍👩‍👧 \n"],
        "b": {},
    }
    assert loads(b"9223372036854775807") == 9223372036854775807
    assert loads(b'"\\ud83d\\ude00"') == "😀"
    assert loads(b'"\\\\u0000 \\\\ud800 [[[[ \\" ]]"') == '\\u0000 \\ud800 [[[[ " ]]'
    assert loads(b"[" + b"0," * 99_998 + b"0]") == [0] * 99_999
    commas = ",[{" * 100_000 + '"\\' * 3
    assert loads(json.dumps([commas, {"a": commas}]).encode()) == [commas, {"a": commas}], "what stands in a text is one text"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"   ",
        b"{",
        b'{"a": 1} x',
        b"NaN",
        b'{"a": Infinity}',
        b"-Infinity",
        b"1e999",
        b"1" * 5000,
        b"9223372036854775808",
        b"-9223372036854775809",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"[" * 33 + b"]" * 33,
        b"[" + b"[]," * 20 + b"[" * 32 + b"]" * 32 + b"]",
        b"[" + b"0," * 100_000 + b"0]",
        b"[" + b"[]," * 50_000 + b"[]]",
        b"{" + b",".join(b'"%d":0' % number for number in range(1001)) + b"}",
        b'"\\\\\\u0000"',
        b'{"a": 1, "a": 2}',
        b'{"a": {"b": 1, "b": 1}}',
        b'"\\u0000"',
        b'{"\\u0000": 1}',
        b'"\\ud800"',
        b'["\\udfff"]',
        b'"\x00"',
        b'"\xff"',
        b'"\xc0\xaf"',
        b'"\xed\xa0\x80"',
        b'\xef\xbb\xbf{"a": 1}',
        '{"a": 1}'.encode("utf-16"),
        b"{'a': 1}",
        b'{"a": 1,}',
        b'"\n"',
        b"undefined",
    ],
)
def test_what_readers_disagree_about_is_refused(raw: bytes) -> None:
    with pytest.raises(Malformed) as refused:
        loads(raw)

    assert refused.value.message.endswith(".")


def test_thirty_two_levels_are_read() -> None:
    assert loads(b"[" * 32 + b"]" * 32) == json.loads("[" * 32 + "]" * 32)


def test_a_model_is_read_without_guessing() -> None:
    assert read(Person, b'{"name": "Ada", "age": 36}') == Person(name="Ada", age=36)
    for wrong in (b'{"name": "Ada", "age": "36"}', b'{"name": 1}', b"[]", b'{"name": "Ada", "shoe": 39}', b"{}", b'{"name": null}'):
        with pytest.raises(Invalid):
            read(Person, wrong)


def test_a_refusal_names_every_fault_and_quotes_no_value() -> None:
    with pytest.raises(Invalid) as refused:
        read(Person, b'{"age": "SECRET", "shoe": "SECRET"}')

    assert refused.value.message == ("name: Field required. age: Input should be a valid integer. shoe: Extra inputs are not permitted.")


def test_a_refusal_is_short_whatever_was_sent() -> None:
    with pytest.raises(Invalid) as refused:
        read(Person, json.dumps({f"{number}" * 100: 0 for number in range(1000)}).encode())

    assert len(refused.value.message) < 1000
