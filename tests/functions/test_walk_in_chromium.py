"""A person walks the local world in Chromium: from ChatGPT to our consent page, to Google, back to ChatGPT's callback; and takes it back."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest

from infra.local.google_emulator.people import MEI
from tests import signin
from tests.chromium import driven, launch
from tests.signin import CHATGPT_CALLBACK, SignedIn


@pytest.fixture(scope="module")
def product() -> Iterator[SignedIn]:
    launch()
    with signin.started() as started:
        yield started


def test_a_person_connects_with_one_switch_off_and_takes_it_back(product: SignedIn, tmp_path: Path) -> None:
    chatgpt, url = product.chatgpt(), product.world.url
    who = {"google": product.google.url, "person": MEI.email, "callback": "https://chatgpt.com/aip/", "account": f"{url}/account"}

    walked = driven("walk.mjs", tmp_path, scene="connect", authorize=url + chatgpt.authorize_url(), allow=["calendar"], **who)

    assert walked["errors"] == []
    assert "ChatGPT" in walked["seen"]
    assert "chatgpt.com" in walked["seen"]
    assert walked["answered"].startswith(CHATGPT_CALLBACK)
    told = dict(parse_qsl(urlsplit(walked["answered"]).query))
    assert (told["state"], told["iss"]) == ("state-of-the-client", url)
    tokens = chatgpt.redeem(told["code"]).json()
    assert product.call("list_calendar_events", tokens["access_token"]).status_code == 200
    refused = product.call("read_document", tokens["access_token"])
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "insufficient_scope")
    assert 'scope="docs"' in refused.headers["www-authenticate"]

    account = driven("walk.mjs", tmp_path, scene="account", **who)

    assert account["errors"] == []
    assert MEI.email in account["seen"]["before"]
    assert "ChatGPT" in account["seen"]["before"]
    assert "ChatGPT" not in account["seen"]["after"]
    assert product.call("list_calendar_events", tokens["access_token"]).status_code == 401
