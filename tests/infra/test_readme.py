"""What the README repeats from the code is what the code says."""

import pytest

from infra import readme


def test_the_readme_is_up_to_date():
    wrong = readme.main(["--check"])

    assert wrong is None


def test_a_block_is_replaced_and_the_words_around_it_stay():
    settings = "<!-- begin: settings -->\nstale words\n<!-- end: settings -->\n"
    deploy = "<!-- begin: deploy -->\n<!-- end: deploy -->\n"
    written = f"# Ours\n{settings}words\n{deploy}the end\n"

    filled = readme.filled(written)

    assert filled.startswith("# Ours\n<!-- begin: settings -->\n| Variable | Default | Meaning |\n")
    assert "stale words" not in filled
    assert "| `CHAT_BUDGET_SECONDS` | `5` | Within this every call is answered, 1 to 40 s; ChatGPT itself gives up at 45. |\n" in filled
    assert "| `OPEN_METEO_FORECAST_URL` | `https://api.open-meteo.com/v1` | Where the API `open-meteo-forecast` is. |\n" in filled
    assert "<!-- end: settings -->\nwords\n<!-- begin: deploy -->\n" in filled
    assert "gcloud functions deploy plugin-chat --gen2" in filled
    assert filled.endswith("<!-- end: deploy -->\nthe end\n")
    assert readme.filled(filled) == filled


def test_a_readme_that_lacks_a_block_is_told_which():
    written = "<!-- begin: settings -->\n<!-- end: settings -->\n"

    with pytest.raises(ValueError, match="needs the blocks deploy, settings, each once; it has settings"):
        readme.filled(written)


def test_a_block_without_an_end_is_not_filled():
    written = "<!-- begin: settings -->\n<!-- begin: deploy -->\n<!-- end: deploy -->\n"

    with pytest.raises(ValueError, match="the block settings has no line <!-- end: settings -->"):
        readme.filled(written)
