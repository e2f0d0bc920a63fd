"""What may be published as an operation, and what is derived from it."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from functions.core.capability import Catalogue, Scope, collect
from functions.core.errors import CapabilityFault
from functions.core.openapi import openapi
from functions.core.settings import Settings
from tests.fakes import CannedWeb

HEAD = '''"""Stars over a place."""

from typing import Annotated

from pydantic import Field

from functions.core.capability import Api, Published, Scope, Web, operation

SKY = Api("sky", "https://sky.example/v1")


class Night(Published):
    """A night."""

    stars: int
    """How many are seen."""


'''

GOOD = '''@operation(apis=[SKY], scopes=[], read_only=True, open_world=False)
async def count_stars(web: Web, place: Annotated[str, Field(min_length=1, description="Where.")], faint: Annotated[bool, Field(description="Also faint ones.")] = False) -> Night:
    """Count the stars over a place.

    More that only readers of the source see.
    """
    return Night(stars=len(place))
'''


def written(folder: Path, text: str, name: str = "stars") -> ModuleType:
    """A capability file as a developer would write it, imported."""
    path = folder / f"{name}.py"
    path.write_text(text)
    spec = importlib.util.spec_from_file_location(f"functions.capabilities.{name}", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def catalogue(folder: Path, text: str) -> Catalogue:
    return collect([written(folder, text)])


def test_everything_is_derived_from_one_function(tmp_path: Path) -> None:
    found = catalogue(tmp_path, HEAD + GOOD)

    operation = found.operations["count_stars"]
    assert operation.description == "Count the stars over a place."
    assert found.capabilities[0].description == "Stars over a place."
    assert operation.tool.parameters == {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "place": {"type": "string", "minLength": 1, "description": "Where."},
            "faint": {"type": "boolean", "default": False, "description": "Also faint ones."},
        },
        "required": ["place"],
    }
    assert operation.result.model_json_schema()["properties"]["stars"]["description"] == "How many are seen."
    assert [api.name for api in found.apis] == ["sky"]


@pytest.mark.parametrize(
    ("change", "becomes", "fault"),
    [
        ('    """Count the stars over a place.\n\n    More that only readers of the source see.\n    """\n', "", "has no docstring"),
        ("Count the stars over a place.", "x" * 301, "301 characters"),
        ("async def", "def", "is not async"),
        ("-> Night:", "-> dict[str, int]:", "does not say what it returns"),
        ("-> Night:", ":", "does not say what it returns"),
        ("web: Web, ", "", "write `web: Web`"),
        ('place: Annotated[str, Field(min_length=1, description="Where.")]', "place", "place has no type"),
        ('place: Annotated[str, Field(min_length=1, description="Where.")]', "place: str", "place needs a description"),
        ('description="Where."', f'description="{"x" * 701}"', "at most 700"),
        ("faint: Annotated", "*faint: Annotated", "name every parameter"),
        ("count_stars", "CountStars", "name it in lower case"),
        ("faint: Annotated", "model_config: Annotated", "cannot be published under this name"),
        ("faint: Annotated", "_faint: Annotated", "cannot be published under this name"),
        ("] = False", '] = "perhaps"', "not one of its own values"),
        ("-> Night:", "-> Nihgt:", "names what the file does not|Nihgt"),
    ],
)
def test_what_breaks_a_rule_is_refused_at_import_by_file_and_fault(tmp_path: Path, change: str, becomes: str, fault: str) -> None:
    assert change in GOOD

    with pytest.raises((CapabilityFault, NameError), match=fault) as refused:
        written(tmp_path, HEAD + GOOD.replace(change, becomes).replace("= False) ->", ") ->" if "*faint" in becomes else "= False) ->"))

    if isinstance(refused.value, CapabilityFault):
        assert f"{tmp_path}/stars.py:" in str(refused.value)


def test_a_name_is_published_once(tmp_path: Path) -> None:
    first, second = written(tmp_path, HEAD + GOOD), written(tmp_path, HEAD + GOOD, "heavens")

    with pytest.raises(CapabilityFault, match=r"stars\.py: count_stars is already published by .*heavens\.py"):
        collect([first, second])


def test_a_file_that_says_or_publishes_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CapabilityFault, match=r"stars\.py publishes no operation"):
        catalogue(tmp_path, HEAD)
    with pytest.raises(CapabilityFault, match=r"stars\.py has no docstring"):
        catalogue(tmp_path, HEAD.replace('"""Stars over a place."""', "") + GOOD)


@pytest.mark.parametrize("name", ["chat", "get_transcript", "delete_conversation", "search", "fetch"])
def test_the_names_of_the_rest_interface_are_taken(tmp_path: Path, name: str) -> None:
    with pytest.raises(CapabilityFault, match=f"{name} is already published by the REST interface itself"):
        catalogue(tmp_path, HEAD + GOOD.replace("count_stars", name))


@pytest.mark.parametrize("mistake", ["None", "{'stars': 'many'}", "Published()", "[][0]"])
async def test_a_bug_is_a_fault_of_the_capability(tmp_path: Path, mistake: str) -> None:
    operation = catalogue(tmp_path, HEAD + GOOD.replace("Night(stars=len(place))", mistake)).operations["count_stars"]

    with pytest.raises(CapabilityFault, match="count_stars has a bug"):
        await operation.run(CannedWeb({}), '{"place": "Paris"}')


def test_two_models_of_one_name_are_refused(tmp_path: Path) -> None:
    second = (HEAD + GOOD).replace("count_stars", "see_stars").replace("stars: int", "faint: int").replace("stars=", "faint=")
    modules = [written(tmp_path, HEAD + GOOD), written(tmp_path, second, "sight")]

    with pytest.raises(CapabilityFault, match="Two models have one name"):
        openapi(Settings.read({}), collect(modules), {"500": "A fault."})


def test_an_operation_that_is_only_imported_is_not_published_again(tmp_path: Path) -> None:
    stars = written(tmp_path, HEAD + GOOD)
    other = written(tmp_path, HEAD + GOOD.replace("count_stars", "see_stars"), "sight")
    vars(other)["count_stars"] = vars(stars)["count_stars"]

    assert list(collect([stars, other]).operations) == ["see_stars", "count_stars"]


MAIL = '''READ = Scope("https://www.googleapis.com/auth/gmail.readonly", {"en": "Read your mail", "zh": "读取您的邮件"})
MAIL = Api("gmail", "https://gmail.googleapis.com/gmail/v1", google=True)


@operation(apis=[MAIL], scopes=[READ], read_only=True, open_world=False)
async def count_mails(web: Web) -> Night:
    """Count the mails."""
    return Night(stars=0)


@operation(apis=[MAIL, SKY], scopes=[READ], read_only=True, open_world=False)
async def count_more_mails(web: Web) -> Night:
    """Count more of them."""
    return Night(stars=0)
'''


def test_what_a_person_consents_to_is_told_in_their_language(tmp_path: Path) -> None:
    text = HEAD + 'TRANSLATIONS = {"zh": "某地的星星。"}\n' + MAIL

    (capability,) = catalogue(tmp_path, text).capabilities

    assert [capability.text(language) for language in ("zh", "en", "fr")] == ["某地的星星。", "Stars over a place.", "Stars over a place."]
    (scope,) = capability.scopes
    assert scope.name == "https://www.googleapis.com/auth/gmail.readonly"
    assert [scope.text(language) for language in ("zh", "en", "fr")] == ["读取您的邮件", "Read your mail", "Read your mail"]


def test_the_english_text_is_said_once(tmp_path: Path) -> None:
    with pytest.raises(CapabilityFault, match="take it out of TRANSLATIONS"):
        catalogue(tmp_path, HEAD + 'TRANSLATIONS = {"en": "Stars."}\n' + GOOD)


def test_a_scope_has_words_for_the_consent_page() -> None:
    with pytest.raises(CapabilityFault, match="no words in English"):
        Scope("https://www.googleapis.com/auth/gmail.readonly", {"zh": "读取您的邮件"})


@pytest.mark.parametrize(("change", "becomes"), [("scopes=[READ]", "scopes=[]"), ("apis=[MAIL]", "apis=[SKY]"), ("apis=[MAIL]", "apis=[]")])
def test_a_token_has_somewhere_to_go_and_something_to_be_for(tmp_path: Path, change: str, becomes: str) -> None:
    with pytest.raises(CapabilityFault, match=r"count_mails: a token goes to an API of Google's, with scopes: name both, or neither"):
        written(tmp_path, HEAD + MAIL.replace(change, becomes, 1))


FINDER = '''from functions.core.capability import Finder
from functions.core.found import Part, Sources, Words


async def search(web: Web, query: Words) -> Sources:
    """Find nothing."""
    return Sources.of([])


async def fetch(web: Web, name: Annotated[str, Field(description="Which.")]) -> Part:
    """Read nothing."""
    return Part.of("", 0, title=name, url="https://x.example")


FINDER = Finder("nothing", search=count_mails.allows(search), fetch=count_more_mails.allows(fetch))
'''


def test_what_finds_something_has_the_rights_of_the_operation_that_allows_it_and_is_not_published(tmp_path: Path) -> None:
    found = catalogue(tmp_path, HEAD + MAIL + FINDER)

    finder = found.finders["stars"]
    mails, more_mails = found.operations.values()
    assert (finder.search.apis, finder.search.scopes, finder.search.capability) == (mails.apis, mails.scopes, "stars")
    assert (finder.fetch.apis, finder.fetch.scopes) == (more_mails.apis, more_mails.scopes)
    assert list(found.operations) == ["count_mails", "count_more_mails"]
    assert found.enabled([], sign_in=False).finders == {}


@pytest.mark.parametrize(
    ("change", "becomes", "fault"),
    [
        ("read_only=True", "read_only=False", "count_mails cannot allow it: it has to read only, and to stand in the same file"),
        ("count_mails.allows", "STRANGER.allows", "send_note cannot allow it"),
        ("query: Words", "query: str", "query needs a description"),
        ("async def search", "def search", "is not async"),
    ],
)
def test_what_finds_something_keeps_the_rules_of_operations(tmp_path: Path, change: str, becomes: str, fault: str) -> None:
    text = (HEAD + MAIL + FINDER).replace(
        "FINDER =",
        "from dataclasses import replace\nfrom tests.writing import send_note\nSTRANGER = replace(send_note, read_only=True)\nFINDER =",
    )

    with pytest.raises(CapabilityFault, match=fault):
        written(tmp_path, text.replace(change, becomes, 1))


def test_a_restricted_capability_is_off_unless_it_is_named(tmp_path: Path) -> None:
    everything = collect([written(tmp_path, HEAD + GOOD), written(tmp_path, HEAD + "RESTRICTED = True\n" + MAIL, "mail")])

    assert list(everything.operations) == ["count_mails", "count_more_mails", "count_stars"]
    assert list(everything.enabled([], sign_in=True).operations) == ["count_stars"]
    assert [api.name for api in everything.enabled([], sign_in=True).apis] == ["sky"]
    assert list(everything.enabled(["mail"], sign_in=True).operations) == list(everything.operations)


@pytest.mark.parametrize("name", ["stars", "post", ""])
def test_what_is_not_restricted_cannot_be_enabled(tmp_path: Path, name: str) -> None:
    everything = collect([written(tmp_path, HEAD + GOOD), written(tmp_path, HEAD + "RESTRICTED = True\n" + MAIL, "mail")])

    with pytest.raises(CapabilityFault, match=rf"No restricted capability is called {name}; there are: mail\."):
        everything.enabled([name], sign_in=True)
