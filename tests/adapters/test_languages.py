"""Chinese for those who like it better, English for everybody else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from functions.adapters.http.languages import LANGUAGES, language_of


def asked(*headers: str) -> Request:
    return Request({"type": "http", "headers": [(b"accept-language", header.encode("latin-1")) for header in headers]})


@pytest.mark.parametrize(
    ("headers", "language"),
    [
        (["zh"], "zh"),
        (["zh-CN,zh;q=0.9,en;q=0.8"], "zh"),
        (["zh-TW"], "zh"),
        (["zh-Hans-CN"], "zh"),
        (["ZH-cn"], "zh"),
        (["fr-FR,fr;q=0.9,zh;q=0.2,en;q=0.1"], "zh"),
        (["en;q=0.3, zh;q=0.31"], "zh"),
        (["en;q=0.8", "zh"], "zh"),
        (["en-US,en;q=0.9,zh-CN;q=0.8"], "en"),
        (["en,zh"], "en"),
        (["zh;q=0"], "en"),
        (["zh;q=0,en;q=0"], "en"),
        (["fr"], "en"),
        (["*"], "en"),
        ([""], "en"),
        ([], "en"),
        (["zhuang"], "en"),
        (["zh;q=2,fr"], "en"),
        (["zh;q=-1"], "en"),
        (["zh;q=nan"], "en"),
        (["zh;level=1"], "en"),
        (["\xff\xfe,zh"], "zh"),
        (["," * 5000 + "zh"], "en"),
    ],
)
def test_the_language_is_the_one_that_is_liked_best(headers: list[str], language: str) -> None:
    assert language_of(asked(*headers)) == language


@given(st.text(st.characters(max_codepoint=255), max_size=100))
def test_any_header_gives_a_language(header: str) -> None:
    assert language_of(asked(header)) in LANGUAGES
