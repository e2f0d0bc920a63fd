"""The form for OpenAI's review: why every hint is as it is, what the reviewers try, and what is left for a person."""

import re

import pytest

from functions.core.capability import Api, Capability, Catalogue, Example, Operation, Published, Scope, Web, operation
from functions.core.mcp_tools import tools
from functions.core.submission import left_to_do
from tests.catalogue import CATALOGUE, EVERYTHING
from tests.core.test_plugin_package import files, settings, with_examples


class Nothing(Published):
    """Nothing at all."""


NOTES = Api("notes", "https://notes.example/v1", google=True)
WRITE = Scope("https://notes.example/write", {"en": "Write notes"})


@operation(apis=[NOTES], scopes=[WRITE], read_only=False, open_world=True, destructive=True)
async def replace_note(web: Web) -> Nothing:
    """Replace a note of the user's."""
    return Nothing()


@operation(apis=[NOTES], scopes=[WRITE], read_only=False, open_world=False)
async def add_note(web: Web) -> Nothing:
    """Add a note."""
    return Nothing()


@operation(apis=[], scopes=[], read_only=True, open_world=False)
async def draw_card(web: Web) -> Nothing:
    """Draw a card."""
    return Nothing()


def grown(*extra: Operation) -> Catalogue:
    """Our catalogue, and a capability of these operations."""
    return Catalogue((*CATALOGUE.capabilities, Capability("notes", "Notes.", extra, ())))


@pytest.mark.parametrize("chat", ["off", "on"])
def test_the_form_has_the_shape_that_openai_imports(chat: str) -> None:
    # https://github.com/openai/plugins/blob/main/plugins/openai-developers/skills/chatgpt-app-submission/SKILL.md
    form = files(MCP_CHAT=chat)["chatgpt-app-submission.json"]
    hints = {tool["name"]: tool["annotations"] for tool in tools(settings(MCP_CHAT=chat), CATALOGUE)}

    assert set(form) == {"$schema", "schema_version", "app_info", "tools", "test_cases", "negative_test_cases"}
    assert form["$schema"] == "https://developers.openai.com/apps-sdk/schemas/chatgpt-app-submission.v1.json"
    assert form["schema_version"] == 1
    assert set(form["app_info"]) == {"display_name", "subtitle", "description", "category"}
    assert form["app_info"]["category"] == "PRODUCTIVITY"
    assert {name: told["annotations"] for name, told in form["tools"].items()} == hints
    for told in form["tools"].values():
        assert set(told) == {"annotations", "justifications"}
        assert set(told["justifications"]) == {"read_only_justification", "open_world_justification", "destructive_justification"}
        assert all(re.fullmatch(r"[A-Z].+\.", reason) and "Hint" not in reason for reason in told["justifications"].values())
    assert (len(form["test_cases"]), len(form["negative_test_cases"])) == (5, 3)
    for case in form["test_cases"] + form["negative_test_cases"]:
        assert set(case) == {
            "description", "user_prompt", "file_attachment_urls", "tools_triggered", "expected_output", "expected_output_url",
        }  # fmt: skip
        assert (case["file_attachment_urls"], case["expected_output_url"]) == (None, None)
        assert all(case[text] for text in ("description", "user_prompt", "expected_output"))
    assert all(case["tools_triggered"] in form["tools"] for case in form["test_cases"])
    assert [case["tools_triggered"] for case in form["negative_test_cases"]] == [None] * 3


def reasons(catalogue: Catalogue, tool: str, **changes: str) -> list[str]:
    """A tool's justifications: why it reads only or not, what others see of it, what it destroys."""
    return [*files(catalogue, **changes)["chatgpt-app-submission.json"]["tools"][tool]["justifications"].values()]


def test_a_reason_names_the_hosts_the_token_and_what_is_sent() -> None:
    reads, shows, destroys = reasons(CATALOGUE, "get_weather_forecast", OPEN_METEO_FORECAST_URL="https://weather.example/v1")

    hosts = "geocoding-api.open-meteo.com and weather.example"
    assert reads == f"Only reads from {hosts}, without a token of the user's, and changes nothing there or here."
    assert shows == (
        f"Publishes nothing: of what the user says, no more than place and days reaches {hosts}, and nothing is sent to others."
    )
    assert destroys == f"Deletes and overwrites nothing: it only reads from {hosts}."


def test_a_reason_follows_what_the_operation_can_do() -> None:
    catalogue = grown(replace_note, add_note, draw_card)

    assert reasons(catalogue, "replace_note") == [
        "Changes data at notes.example, with the user's own token: Replace a note of the user's.",
        "Can change what others see at notes.example: Replace a note of the user's.",
        "Can delete, overwrite or send what cannot be taken back at notes.example: Replace a note of the user's.",
    ]
    assert reasons(catalogue, "add_note") == [
        "Changes data at notes.example, with the user's own token: Add a note.",
        "What it changes at notes.example is the user's own: nothing becomes public, and nothing is sent to others.",
        "Adds to what is at notes.example: it deletes and overwrites nothing, and nothing it does is final.",
    ]
    assert reasons(catalogue, "draw_card") == [
        "Only computes its answer, without a token of the user's, and changes nothing there or here.",
        "Publishes nothing: nothing that the user says is passed on, and nothing is sent to others.",
        "Deletes and overwrites nothing: it only computes its answer.",
    ]


def test_the_tool_chat_is_justified_by_what_it_keeps_and_what_it_calls() -> None:
    keeps, shows, destroys = reasons(CATALOGUE, "chat", MCP_CHAT="on", CONVERSATION_HOURS="36")
    _, may_show, may_destroy = reasons(grown(replace_note), "chat", MCP_CHAT="on")

    assert "which ends 36 hours after its last turn." in keeps
    assert "the model at api.openai.com answers it" in shows
    assert "nothing that it calls deletes or overwrites" in destroys
    assert may_show == "May call replace_note, which can change what others see."
    assert may_destroy == "May call replace_note, which can delete or overwrite."


def test_a_tool_that_only_reads_says_so_whatever_is_behind_it() -> None:
    catalogue = Catalogue((*CATALOGUE.capabilities, *EVERYTHING.enabled((), sign_in=True).capabilities[:2]))

    search, fetch, answer = (reasons(catalogue, name, MCP_CHAT="on", PLUGIN_SUBTITLE="x") for name in ("search", "fetch", "get_answer"))

    hosts = "docs.googleapis.com and www.googleapis.com"
    assert search[0] == f"Only reads from {hosts}, with the user's own token, and changes nothing there or here."
    assert search[1] == f"Publishes nothing: of what the user says, no more than query reaches {hosts}, and nothing is sent to others."
    assert fetch[1] == f"Publishes nothing: of what the user says, no more than id reaches {hosts}, and nothing is sent to others."
    assert answer[0] == "Only computes its answer, without a token of the user's, and changes nothing there or here."


def test_the_form_takes_its_prompts_from_all_capabilities_by_turns() -> None:
    known = CATALOGUE.operations["get_weather_forecast"]

    def said(name: str, called: int, uncalled: int) -> list[Example]:
        return [Example(f"{name}{number}", "x", known, {"place": "Paris"}) for number in range(called)] + [
            Example(f"not {name}{number}", "x") for number in range(uncalled)
        ]

    form = files(with_examples(said("a", 1, 0), said("b", 3, 2), said("c", 9, 9)))["chatgpt-app-submission.json"]

    assert [case["user_prompt"] for case in form["test_cases"]] == ["a0", "b0", "c0", "b1", "c1"]
    assert [case["user_prompt"] for case in form["negative_test_cases"]] == ["not b0", "not c0", "not b1"]


def test_what_is_left_for_a_person_follows_from_the_settings() -> None:
    plain = "\n".join(left_to_do(settings(CLASSIC_MANIFEST="off", OPENAI_APPS_CHALLENGE="token"), CATALOGUE))
    much = "\n".join(left_to_do(settings(MCP_CHAT="on"), grown(replace_note, add_note)))

    for said in ("verify Example, Inc. as publisher", "https://www.example.com", "Reviewer's account: none is needed."):
        assert said in plain
    assert "Inputs of get_weather_forecast: place and days." in plain
    for said in ("OPENAI_APPS_CHALLENGE", "CLASSIC_MANIFEST=off", "MCP_CHAT=off"):
        assert said not in plain
        assert said in much
    assert "an account without a second factor, for replace_note and add_note." in much
