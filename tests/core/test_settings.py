"""The configuration: what follows from what is set, and every fault in one message."""

from contextlib import nullcontext

import pytest

from functions.core.capability import Api
from functions.core.settings import InvalidSettings, Settings

DEPLOYED = {
    "K_SERVICE": "plugin-chat",
    "PUBLIC_BASE_URL": "https://plugin.example.com",
    "PUBLISHER_NAME": "Example Ltd",
    "CONTACT_EMAIL": "help@example.com",
    "PRIVACY_EMAIL": "privacy@example.com",
}


def test_nothing_set_is_the_local_world() -> None:
    settings = Settings.read({})

    assert (settings.deployed, settings.anonymous, settings.store_url) == (False, True, "sqlite:.local/cantilever.db")
    assert (settings.public_base_url, settings.openai_model, settings.chat_budget_seconds) == ("http://localhost:8080", "gpt-6-luna", 5.0)
    assert (settings.buffer_messages, settings.buffer_tokens, settings.conversation_hours) == (40, 8000, 24.0)


def test_where_google_runs_us_the_production_rules_hold() -> None:
    settings = Settings.read(DEPLOYED)

    assert (settings.deployed, settings.anonymous, settings.store_url) == (True, False, "firestore")


@pytest.mark.parametrize(
    ("given", "origin"),
    [
        ("https://Plugin.Example.com", "https://plugin.example.com"),
        ("https://plugin.example.com:443/", "https://plugin.example.com"),
        ("http://LOCALHOST:80", "http://localhost"),
        ("https://plugin.example.com:8443", "https://plugin.example.com:8443"),
    ],
)
def test_an_origin_is_spelled_as_browsers_spell_it(given: str, origin: str) -> None:
    settings = Settings.read({"PUBLIC_BASE_URL": given, "MCP_ALLOWED_ORIGINS": f"{given}, {given}"})

    assert (settings.public_base_url, settings.mcp_allowed_origins) == (origin, (origin, origin))


@pytest.mark.parametrize(
    ("environ", "local", "names"),
    [
        ({}, True, {"localhost", "127.0.0.1", "::1"}),
        ({"PUBLIC_BASE_URL": "http://127.0.0.1:9000"}, True, {"localhost", "127.0.0.1", "::1"}),
        ({"PUBLIC_BASE_URL": "https://tunnel.example"}, False, {"localhost", "127.0.0.1", "::1", "tunnel.example"}),
        (DEPLOYED, False, None),
    ],
    ids=["default", "loopback", "tunnel", "deployed"],
)
def test_a_world_is_local_while_only_this_machine_reaches_it(environ: dict[str, str], local: bool, names: set[str] | None) -> None:
    settings = Settings.read(environ)

    assert (settings.local, settings.names) == (local, names)


def test_every_fault_is_told_at_once() -> None:
    environ = {
        "K_SERVICE": "x",
        "PLUGIN_NAME": "far more than twenty characters",
        "PUBLIC_BASE_URL": "http://plugin.example.com",
        "CONTACT_EMAIL": "nobody",
        "ANONYMOUS_CHAT": "perhaps",
        "CHAT_BUDGET_SECONDS": "41",
        "STORE": "sqlite:/tmp/x.db",
        "FIRESTORE_EMULATOR_HOST": "localhost:8085",
        "PUBSUB_EMULATOR_HOST": "localhost:8085",
        "TURNS_TOPIC": "plugin-turns",
        "PUSH_AUDIENCE": "http://plugin-worker.example.com",
        "PUSH_ACCOUNT": "plugin-invoker",
        "OPENAI_API_KEY": "sk-secret",
        "OPENAI_API_KEY_SECRET": "projects/p/secrets/s/versions/latest",
        "OPENAI_BASE_URL": "http://model.example.com/v1",
        "OPENAI_FALLBACK_MODEL": "gpt-6-luna",
    }

    with pytest.raises(InvalidSettings) as refused:
        Settings.read(environ)

    told = str(refused.value)
    wrong = {*environ, "PUBLISHER_NAME", "PRIVACY_EMAIL"} - {"K_SERVICE", "OPENAI_API_KEY_SECRET"}
    assert sorted(line.split(": ")[0].removeprefix("  - ") for line in told.splitlines()[1:]) == sorted(wrong)
    assert "sk-secret" not in told


@pytest.mark.parametrize(
    ("variable", "environ"),
    [
        ("OPENAI_BASE_URL", {"OPENAI_BASE_URL": "http://vllm.internal/v1", "OPENAI_API_KEY_SECRET": "projects/p/secrets/s/versions/1"}),
        ("OPENAI_BASE_URL", {"OPENAI_BASE_URL": "http://vertex.internal/v1", "OPENAI_AUTH": "google"}),
        ("SKY_URL", {"SKY_URL": "http://sky.example/v1", "SKY_KEY": "k"}),
    ],
)
def test_deployed_no_key_or_token_travels_in_clear(variable: str, environ: dict[str, str]) -> None:
    with pytest.raises(InvalidSettings, match=f"{variable}: no key"):
        Settings.read(DEPLOYED | environ, [Api("sky", "https://sky.example/v1", "key", "SKY_KEY")])


@pytest.mark.parametrize(
    "url",
    [
        'https://a"b.example',
        "https://a<b>.example",
        "https://a b.example",
        "https://a.example:99999",
        "https://a.example:0",
        "https://é.example",
    ],
)
def test_an_address_that_could_break_a_page_or_a_header_is_refused(url: str) -> None:
    with pytest.raises(InvalidSettings, match="OPENAI_BASE_URL"):
        Settings.read({"OPENAI_BASE_URL": url})


@pytest.mark.parametrize(
    ("variable", "value"), [("ANONYMOUS_CHAT", "yes"), ("PUBLIC_BASE_URL", "https://example.com/plugin"), ("STORE", "mongo")]
)
def test_a_value_that_only_looks_right_is_refused(variable: str, value: str) -> None:
    with pytest.raises(InvalidSettings, match=variable):
        Settings.read({variable: value})


@pytest.mark.parametrize("wrong", ["nan", "inf", "0", "-5", "five"])
def test_a_budget_that_is_no_budget_is_refused(wrong: str) -> None:
    with pytest.raises(InvalidSettings):
        Settings.read({"CHAT_BUDGET_SECONDS": wrong})


def test_the_key_is_never_shown() -> None:
    settings = Settings.read({"OPENAI_API_KEY": "sk-canary"})

    assert "sk-canary" not in repr(settings) + str(settings) + settings.model_dump_json()


@pytest.mark.parametrize(
    ("url", "auth", "limit", "effort"),
    [
        ("https://api.openai.com/v1", "bearer", "max_completion_tokens", "none"),
        ("https://res.openai.azure.com/openai/v1", "api-key", "max_completion_tokens", None),
        (
            "https://us-central1-aiplatform.googleapis.com/v1/projects/p/locations/us-central1/endpoints/openapi",
            "google",
            "max_tokens",
            None,
        ),
        ("https://aiplatform.googleapis.com/v1/projects/p/locations/global/endpoints/openapi", "google", "max_tokens", None),
        ("https://generativelanguage.googleapis.com/v1beta/openai", "bearer", "max_tokens", None),
        ("http://localhost:11434/v1", "bearer", "max_tokens", None),
        ("http://gpu:8000/v1", "bearer", "max_tokens", None),
        ("https://aiplatform.googleapis.com.evil.example/v1", "bearer", "max_tokens", None),
    ],
)
def test_the_models_host_says_how_it_is_spoken_to(url: str, auth: str, limit: str, effort: str | None) -> None:
    provider = Settings.read({"OPENAI_BASE_URL": url}).provider

    assert (provider.auth, provider.token_limit_parameter, provider.reasoning_effort) == (auth, limit, effort)


def test_what_is_set_overrules_the_host() -> None:
    provider = Settings.read(
        {"OPENAI_AUTH": "api-key", "OPENAI_TOKEN_LIMIT_PARAMETER": "max_tokens", "OPENAI_REASONING_EFFORT": "omit"}
    ).provider

    assert (provider.auth, provider.token_limit_parameter, provider.reasoning_effort) == ("api-key", "max_tokens", None)


def test_a_fallback_is_another_model() -> None:
    assert Settings.read({}).openai_fallback_model is None
    assert Settings.read({"OPENAI_FALLBACK_MODEL": "gpt-6-nano"}).openai_fallback_model == "gpt-6-nano"
    with pytest.raises(InvalidSettings, match="OPENAI_FALLBACK_MODEL: must be another model than OPENAI_MODEL"):
        Settings.read({"OPENAI_MODEL": "qwen3:8b", "OPENAI_FALLBACK_MODEL": "qwen3:8b"})


def test_an_api_brings_its_own_settings() -> None:
    api = Api("open-meteo-forecast", "https://api.open-meteo.com/v1", "apikey", "OPEN_METEO_API_KEY")

    settings = Settings.read({"OPEN_METEO_FORECAST_URL": "https://customer-api.open-meteo.com/v1/", "OPEN_METEO_API_KEY": "k"}, [api])

    assert settings.api_urls == {"open-meteo-forecast": "https://customer-api.open-meteo.com/v1"}
    assert settings.api_keys["open-meteo-forecast"].get_secret_value() == "k"
    with pytest.raises(InvalidSettings, match="OPEN_METEO_FORECAST_URL"):
        Settings.read({"OPEN_METEO_FORECAST_URL": "file:///etc/passwd"}, [api])


def test_work_between_requests_is_for_instances_that_are_billed_for_it() -> None:
    unset = [Settings.read(environ).instance_billing for environ in ({}, DEPLOYED)]
    chosen = [Settings.read(environ | {"INSTANCE_BILLING": value}).instance_billing for environ, value in (({}, "off"), (DEPLOYED, "on"))]

    assert (unset, chosen) == ([True, False], [False, True])


@pytest.mark.parametrize("topic", ["plugin-turns", "projects/demo/topics/ab", "projects/demo/topics/a/b", "projects/demo/topics/a%2Fb"])
def test_a_topic_that_could_lead_elsewhere_is_refused(topic: str) -> None:
    with pytest.raises(InvalidSettings, match="TURNS_TOPIC"):
        Settings.read({"TURNS_TOPIC": topic})


def test_an_audience_keeps_its_slash() -> None:
    settings = Settings.read({"PUSH_AUDIENCE": "https://worker.example/", "PUSH_ACCOUNT": "plugin-invoker@demo.iam.gserviceaccount.com"})

    assert settings.push_audience == "https://worker.example/"


@pytest.mark.parametrize(
    ("variable", "environ"),
    [
        ("PUSH_ACCOUNT", {"PUSH_AUDIENCE": "https://worker.example"}),
        ("PUSH_AUDIENCE", {"PUSH_ACCOUNT": "plugin-invoker@demo.iam.gserviceaccount.com"}),
    ],
)
def test_half_a_check_of_the_push_is_refused(variable: str, environ: dict[str, str]) -> None:
    with pytest.raises(InvalidSettings, match=f"{variable}: goes with its pair"):
        Settings.read(environ)


def test_what_one_function_needs_is_required_of_it_alone_and_only_where_deployed() -> None:
    needs = ("PUSH_AUDIENCE", "PUSH_ACCOUNT")

    with pytest.raises(InvalidSettings) as refused:
        Settings.read(DEPLOYED, needs=needs)

    assert str(refused.value).splitlines()[1:] == [f"  - {name}: required where this function is deployed" for name in needs]
    assert Settings.read(DEPLOYED).deployed
    assert not Settings.read({}, needs=needs).deployed


@pytest.mark.parametrize(("deployed", "refused"), [(True, True), (False, False)])
def test_no_users_token_travels_over_http_where_deployed(deployed: bool, refused: bool) -> None:
    calendar = Api("calendar", "https://www.googleapis.com/calendar/v3", google=True)
    environ = {"CALENDAR_URL": "http://calendar.example/v3"} | (DEPLOYED if deployed else {})

    with pytest.raises(InvalidSettings, match="CALENDAR_URL: no key or token may travel over http") if refused else nullcontext():
        Settings.read(environ, [calendar])
