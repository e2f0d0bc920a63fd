"""What OpenAI's review is told of the plugin: the form chatgpt-app-submission.json, and what is left for a person to do.

The form's shape, its counts and the meaning of the hints are those of
https://github.com/openai/plugins/blob/main/plugins/openai-developers/skills/chatgpt-app-submission/SKILL.md
"""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from functions.core.ai_plugin import description_for_people
from functions.core.capability import FETCH, SEARCH, Catalogue, Example, Operation
from functions.core.excerpt import by_turns
from functions.core.mcp_tools import NO_SIGN_IN, tools
from functions.core.settings import Settings

Json = dict[str, Any]

SCHEMA = "https://developers.openai.com/apps-sdk/schemas/chatgpt-app-submission.v1.json"

POSITIVE, NEGATIVE = 5, 3
"""Test cases: exactly so many in which a tool is called, and in which none is."""

ASKED = "None may ask for health, payment or identity data, or for credentials."

HINTS = ("readOnlyHint", "openWorldHint", "destructiveHint")


def submission(settings: Settings, catalogue: Catalogue) -> Json:
    """The form as a JSON object."""
    called, uncalled = examples(catalogue)
    return {
        "$schema": SCHEMA,
        "schema_version": 1,
        "app_info": {
            "display_name": settings.plugin_name,
            "subtitle": subtitle(settings, catalogue),
            "description": long_description(settings, catalogue),
            "category": settings.plugin_category,
        },
        "tools": {tool["name"]: _justified(tool, settings, catalogue) for tool in tools(settings, catalogue)},
        "test_cases": [_test_case(example, settings) for example in called],
        "negative_test_cases": [_test_case(example, settings) for example in uncalled],
    }


def examples(catalogue: Catalogue) -> tuple[Sequence[Example], Sequence[Example]]:
    """At most POSITIVE examples that call a tool and NEGATIVE that call none, taken from the capabilities in turn."""
    called = [[example for example in capability.examples if example.operation] for capability in catalogue.capabilities]
    uncalled = [[example for example in capability.examples if not example.operation] for capability in catalogue.capabilities]
    return by_turns(called)[:POSITIVE], by_turns(uncalled)[:NEGATIVE]


def subtitle(settings: Settings, catalogue: Catalogue) -> str:
    """The line under the plugin's name."""
    return settings.plugin_subtitle or _listed([capability.name.replace("_", " ") for capability in catalogue.capabilities]).capitalize()


def long_description(settings: Settings, catalogue: Catalogue) -> str:
    """What the plugin does, each tool on a line, and whom its data is owed to."""
    told = [f"- {tool['title']}: {tool['description']}" for tool in tools(settings, catalogue)]
    credited = dict.fromkeys(f"{api.attribution}." for api in catalogue.apis if api.attribution)
    return "\n\n".join([description_for_people(settings, catalogue), "\n".join(told), *credited])


def left_to_do(settings: Settings, catalogue: Catalogue) -> Sequence[str]:
    """What only a person can do before the plugin is submitted, a line each (https://developers.openai.com/plugins/deploy/submission)."""
    offered = tools(settings, catalogue)
    signing_in = [tool["name"] for tool in offered if NO_SIGN_IN not in tool["securitySchemes"]]
    base = settings.public_base_url
    told = [
        f"Identity: let OpenAI verify {settings.publisher_name} as publisher; the website {settings.publisher_url} and {base}/privacy, "
        "/terms and /support have to be that publisher's own.",
        f"Address: deploy to {base} first. Its origin can never change once the plugin is published.",
    ]
    if not settings.openai_apps_challenge:
        told.append("Domain: set OPENAI_APPS_CHALLENGE to the token that the submission form shows, and deploy again.")
    if settings.classic_manifest:
        told.append(
            "Scan: OpenAI's scan of the domain has been reported to fail on the classic manifest; CLASSIC_MANIFEST=off withholds it."
        )
    if settings.mcp_chat:
        told.append("Tool chat: the review frowns on a tool that takes free text; MCP_CHAT=off leaves it out.")
    account = f"give the reviewers an account without a second factor, for {_listed(signing_in)}" if signing_in else "none is needed"
    told += [
        f"Reviewer's account: {account}.",
        *(f"Inputs of {tool['name']}: {_listed([*tool['inputSchema']['properties']]) or 'none'}. {ASKED}" for tool in offered),
        "Form: read every justification and try every test case in ChatGPT; then add release notes, countries and a recording of the plugin.",
    ]
    return told


def _justified(tool: Json, settings: Settings, catalogue: Catalogue) -> Json:
    hints = {name: tool["annotations"][name] for name in HINTS}
    operation = catalogue.operations.get(tool["name"])
    if operation and not operation.read_only:
        sentences = _of_writing(hints, operation, settings)
    elif hints["readOnlyHint"]:
        behind = [operation] if operation else _found_by(tool["name"], catalogue)
        sentences = _of_reading(behind, [*tool["inputSchema"]["properties"]], settings)
    else:
        sentences = _of_chat(hints, settings, catalogue)
    names = ("read_only_justification", "open_world_justification", "destructive_justification")
    return {"annotations": hints, "justifications": dict(zip(names, sentences, strict=True))}


def _found_by(name: str, catalogue: Catalogue) -> Sequence[Operation]:
    """What the tools `search` and `fetch` do; nothing behind a tool that is neither."""
    finders = catalogue.finders.values()
    return {SEARCH: [finder.search for finder in finders], FETCH: [finder.fetch for finder in finders]}.get(name, [])


def _of_reading(operations: Sequence[Operation], taken: Sequence[str], settings: Settings) -> Sequence[str]:
    """Why each of HINTS is as it is, a sentence each, of a tool that does no more than these operations do."""
    hosts, told = _listed(settings.hosts(api for operation in operations for api in operation.apis)), _listed(taken)
    does = f"reads from {hosts}" if hosts else "computes its answer"
    passed_on = (
        f"of what the user says, no more than {told} reaches {hosts}" if hosts and told else "nothing that the user says is passed on"
    )
    return [
        f"Only {does}, {_token(operations)}, and changes nothing there or here.",
        f"Publishes nothing: {passed_on}, and nothing is sent to others.",
        f"Deletes and overwrites nothing: it only {does}.",
    ]


def _of_writing(hints: Json, operation: Operation, settings: Settings) -> Sequence[str]:
    """The same of an operation that changes something."""
    hosts = _listed(settings.hosts(operation.apis))
    there = f" at {hosts}" if hosts else ""
    return [
        f"Changes data{there}, {_token([operation])}: {operation.description}",
        f"Can change what others see{there}: {operation.description}"
        if hints["openWorldHint"]
        else f"What it changes{there} is the user's own: nothing becomes public, and nothing is sent to others.",
        f"Can delete, overwrite or send what cannot be taken back{there}: {operation.description}"
        if hints["destructiveHint"]
        else f"Adds to what is{there or ' there'}: it deletes and overwrites nothing, and nothing it does is final.",
    ]


def _token(operations: Sequence[Operation]) -> str:
    return "with the user's own token" if any(operation.scopes for operation in operations) else "without a token of the user's"


def _of_chat(hints: Json, settings: Settings, catalogue: Catalogue) -> Sequence[str]:
    operations = catalogue.operations.values()
    public = _listed([operation.name for operation in operations if operation.open_world])
    final = _listed([operation.name for operation in operations if operation.destructive])
    model = urlsplit(settings.openai_base_url).hostname
    return [
        f"Stores the question and its answer in the caller's own conversation, which ends {settings.conversation_hours:g} hours after its "
        "last turn.",
        f"May call {public}, which can change what others see."
        if hints["openWorldHint"]
        else f"The conversation is the caller's own: the model at {model} answers it, and nothing becomes public.",
        f"May call {final}, which can delete or overwrite."
        if hints["destructiveHint"]
        else "Adds a turn to the conversation, and nothing that it calls deletes or overwrites.",
    ]


def _test_case(example: Example, settings: Settings) -> Json:
    if example.operation:
        given = _listed([f"{name} {value}" for name, value in example.arguments.items()])
        description = f"{example.operation.title}{f', with {given}' if given else ''}."
    else:
        description = f"Close to what {settings.plugin_name} does, but outside of it."
    return {
        "description": description,
        "user_prompt": example.prompt,
        "file_attachment_urls": None,
        "tools_triggered": example.operation.name if example.operation else None,
        "expected_output": example.expected,
        "expected_output_url": None,
    }


def _listed(words: Sequence[str]) -> str:
    """The words as a sentence lists them: "a, b and c"."""
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))
