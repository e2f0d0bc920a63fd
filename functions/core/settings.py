"""What a deployment may choose: environment variables, read once, every fault told at once."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr

from functions.core.capability import Api
from functions.core.providers import COMPATIBLE, PROVIDERS, Provider
from functions.core.setting_kinds import LOOPBACK, Audience, Email, Line, Origins, Store, Switch, Topic, Url
from functions.core.setting_reading import Reading, present
from functions.core.signin_settings import SigninSettings


class InvalidSettings(Exception):
    """The configuration is wrong; the message lists every fault, a line each."""


class Settings(SigninSettings):
    """The whole configuration, frozen."""

    openai_api_key: SecretStr | None = Field(
        None, alias="OPENAI_API_KEY", description="The model's API key itself: for local use. Deployed, name a secret instead."
    )
    openai_api_key_secret: Annotated[str, Field(pattern=r"^projects/[^/]+/secrets/[^/]+/versions/[^/]+$")] | None = Field(
        None,
        alias="OPENAI_API_KEY_SECRET",
        description="The model's API key in Secret Manager: `projects/…/secrets/…/versions/latest`. Read again once when the model refuses it.",
    )
    openai_base_url: Url = Field(
        "https://api.openai.com/v1",
        alias="OPENAI_BASE_URL",
        description="Where Chat Completions are: OpenAI, Azure, Vertex AI, Gemini, Ollama, vLLM.",
    )
    openai_model: Line = Field(
        "gpt-6-luna", alias="OPENAI_MODEL", description="The model, or Azure's deployment, or Vertex AI's `google/…`."
    )
    openai_fallback_model: Line | None = Field(
        None, alias="OPENAI_FALLBACK_MODEL", description="Another model at the same server, asked when the first fails or is gone."
    )
    openai_auth: Literal["bearer", "api-key", "google"] | None = Field(
        None,
        alias="OPENAI_AUTH",
        description="`bearer`, `api-key` (Azure) or `google` (the service account's own token). Unset: told from the host.",
    )
    openai_token_limit_parameter: Literal["max_completion_tokens", "max_tokens"] | None = Field(
        None, alias="OPENAI_TOKEN_LIMIT_PARAMETER", description="How the server calls its output limit. Unset: told from the host."
    )
    openai_reasoning_effort: Line | None = Field(
        None,
        alias="OPENAI_REASONING_EFFORT",
        description="Sent as `reasoning_effort`; `omit` sends none. Unset: `none` on api.openai.com, else omitted.",
    )
    openai_max_output_tokens: Annotated[int, Field(ge=16, le=100_000)] = Field(
        1000, alias="OPENAI_MAX_OUTPUT_TOKENS", description="The most tokens that one reply of the model may have."
    )

    google_cloud_project: Annotated[str, Field(pattern=r"^[a-z][a-z0-9:.-]{4,62}$")] | None = Field(
        None,
        alias="GOOGLE_CLOUD_PROJECT",
        description="The project of Firestore and of traces. Unset: Google's libraries find it where deployed.",
    )
    firestore_database: Annotated[str, Field(pattern=r"^(\(default\)|[a-z][a-z0-9-]{3,62})$")] = Field(
        "(default)", alias="FIRESTORE_DATABASE", description="The Firestore database."
    )
    firestore_emulator_host: Annotated[str, Field(pattern=r"^[^\s/]+:\d+$")] | None = Field(
        None, alias="FIRESTORE_EMULATOR_HOST", description="`host:port` of Google's emulator. Local only."
    )
    store: Store | None = Field(
        None,
        alias="STORE",
        description="`sqlite:PATH` or `firestore`. Unset: Firestore where deployed, `sqlite:.local/cantilever.db` elsewhere.",
    )

    chat_budget_seconds: Annotated[float, Field(ge=1, le=40, allow_inf_nan=False)] = Field(
        5.0, alias="CHAT_BUDGET_SECONDS", description="Within this every call is answered, 1 to 40 s; ChatGPT itself gives up at 45."
    )
    turn_seconds: Annotated[float, Field(ge=5, le=150, allow_inf_nan=False)] = Field(
        120.0,
        alias="TURN_SECONDS",
        description="Within this a turn is answered that goes on behind its request, 5 to 150 s; then it has failed.",
    )
    max_turns_per_instance: Annotated[int, Field(ge=1, le=10_000)] = Field(
        1000, alias="MAX_TURNS_PER_INSTANCE", description="The most turns that are open in one instance; beyond them 503."
    )
    max_turns_per_owner: Annotated[int, Field(ge=1, le=1000)] = Field(
        8,
        alias="MAX_TURNS_PER_OWNER",
        description="The most turns that one owner has open in one instance; beyond them 429. A stranger's owner is the session.",
    )
    unknown_sessions_per_minute: Annotated[int, Field(ge=1, le=100_000)] = Field(
        10,
        alias="UNKNOWN_SESSIONS_PER_MINUTE",
        description="How many sessions that are not there one caller may name in a minute; beyond them 429 in place of 404, by instance.",
    )
    daily_tokens_per_owner: Annotated[int, Field(ge=1)] | None = Field(
        None,
        alias="DAILY_TOKENS_PER_OWNER",
        description="The model's tokens that one owner may use in a day (UTC); beyond them 429. Unset: no limit.",
    )
    daily_tokens: Annotated[int, Field(ge=1)] | None = Field(
        None,
        alias="DAILY_TOKENS",
        description="The model's tokens that all together may use in a day (UTC); beyond them 503. Unset: no limit.",
    )
    anonymous_chat: Switch | None = Field(
        None,
        alias="ANONYMOUS_CHAT",
        description="Whether callers without a token may use `/chat`, `/tools` and the tool `chat`. Unset: `off` where deployed, `on` elsewhere.",
    )
    mcp_chat: Switch = Field(
        False,
        alias="MCP_CHAT",
        description="`on` adds the tool `chat` to `/mcp`: a conversation that this deployment's model answers and keeps. OpenAI's review frowns on it.",
    )
    mcp_allowed_origins: Origins = Field(
        (),
        alias="MCP_ALLOWED_ORIGINS",
        description="More origins whose web pages may call `/mcp` from a browser, comma-separated. ChatGPT's own and PUBLIC_BASE_URL always may.",
    )
    conversation_hours: Annotated[float, Field(gt=0, le=8760, allow_inf_nan=False)] = Field(
        24.0, alias="CONVERSATION_HOURS", description="A conversation ends this long after its last turn."
    )
    buffer_messages: Annotated[int, Field(ge=0, le=200)] = Field(
        40, alias="BUFFER_MESSAGES", description="The most earlier messages that the model sees."
    )
    buffer_tokens: Annotated[int, Field(ge=0, le=140_000)] = Field(
        8000,
        alias="BUFFER_TOKENS",
        description="The most tokens of earlier messages that the model sees, counted as UTF-8 bytes: never too few.",
    )

    turns_topic: Topic | None = Field(
        None,
        alias="TURNS_TOPIC",
        description="The Pub/Sub topic, `projects/…/topics/…`, to which turns go that this instance cannot finish. Unset: none.",
    )
    push_audience: Audience | None = Field(
        None, alias="PUSH_AUDIENCE", description="Whom the push subscription's token must be meant for. `worker` needs it where deployed."
    )
    push_account: Email | None = Field(
        None, alias="PUSH_ACCOUNT", description="The service account that Pub/Sub pushes as. `worker` needs it where deployed."
    )
    pubsub_emulator_host: Annotated[str, Field(pattern=r"^[^\s/]+:\d+$")] | None = Field(
        None, alias="PUBSUB_EMULATOR_HOST", description="`host:port` of Google's emulator. Local only."
    )
    instance_billing_set: Switch | None = Field(
        None,
        alias="INSTANCE_BILLING",
        description="Whether the instance has a processor between requests, as Cloud Run's instance-based billing gives it; without, a "
        "slow turn goes to TURNS_TOPIC. Unset: `off` where deployed, `on` elsewhere.",
    )

    k_service: str | None = Field(
        None, alias="K_SERVICE", description="Set by Google where deployed; switches every local convenience off."
    )

    api_urls: Mapping[str, str] = Field(default_factory=dict, exclude=True)
    """The address of each API whose own setting replaces it, by the API's name."""
    api_keys: Mapping[str, SecretStr] = Field(default_factory=dict, exclude=True)
    """The key of each API that has one, by the API's name."""

    @property
    def deployed(self) -> bool:
        """Whether Google runs us: the production rules hold."""
        return self.k_service is not None

    @property
    def local(self) -> bool:
        """Whether only this machine reaches us, so that whoever calls is the person who sits at it. Behind a tunnel that is not so."""
        return not self.deployed and urlsplit(self.public_base_url).hostname in LOOPBACK

    @property
    def names(self) -> frozenset[str] | None:
        """The names under which we may be called. None where deployed: there Google's front end chooses by name."""
        return None if self.deployed else LOOPBACK | {urlsplit(self.public_base_url).hostname or ""}

    @property
    def anonymous(self) -> bool:
        """Whether callers without a token are served."""
        return self.anonymous_chat if self.anonymous_chat is not None else not self.deployed

    @property
    def instance_billing(self) -> bool:
        """Whether work may go on when no request is open."""
        return self.instance_billing_set if self.instance_billing_set is not None else not self.deployed

    @property
    def hops(self) -> int:
        """How many proxies in front of us add to X-Forwarded-For."""
        return self.forwarded_hops if self.forwarded_hops is not None else int(self.deployed)

    @property
    def website(self) -> str:
        """Where people read about the plugin."""
        return self.publisher_url or f"{self.public_base_url}/support"

    @property
    def store_url(self) -> str:
        """The store that was chosen, or follows from where we run."""
        return self.store or ("firestore" if self.deployed else "sqlite:.local/cantilever.db")

    @property
    def provider(self) -> Provider:
        """How the model's host wants to be spoken to: by its name, then by what the settings overrule."""
        host = urlsplit(self.openai_base_url).hostname or ""
        found = next((provider for ending, provider in PROVIDERS if host.endswith(ending)), COMPATIBLE)
        effort = found.reasoning_effort if self.openai_reasoning_effort is None else self.openai_reasoning_effort
        return Provider(
            auth=self.openai_auth or found.auth,
            token_limit_parameter=self.openai_token_limit_parameter or found.token_limit_parameter,
            reasoning_effort=None if effort == "omit" else effort,
        )

    def hosts(self, apis: Iterable[Api]) -> Sequence[str]:
        """The hosts that stand behind these APIs, sorted; each receives what it is asked."""
        return sorted({urlsplit(self.api_urls.get(api.name, api.base_url)).hostname or "" for api in apis})

    @classmethod
    def read(cls, environ: Mapping[str, str], apis: Sequence[Api] = (), needs: Collection[str] = ()) -> "Settings":
        """The settings in `environ`; an empty variable counts as unset, and each of `apis` adds its own.

        `needs` are variables that the reading function cannot do without where deployed.

        Raises:
            InvalidSettings: with every fault, not only the first.
        """
        reading = Reading(environ)
        fields = {name: (field.alias, field.annotation, field.metadata) for name, field in cls.model_fields.items() if field.alias}
        values = {name: reading.value(alias, Annotated[kind, *more] if more else kind) for name, (alias, kind, more) in fields.items()}
        values["api_urls"] = present({api.name: reading.value(api.url_setting, Url) for api in apis})
        values["api_keys"] = present({api.name: reading.value(api.key_setting, SecretStr) for api in apis if api.key_setting})
        settings = cls.model_construct(**present(values))
        lacking = [variable for variable in needs if settings.deployed and not environ.get(variable)]
        # A value that was refused is a fault once, and not missing as well.
        faults = {**settings.contradictions(), **dict.fromkeys(lacking, "required where this function is deployed"), **reading.faults}
        trusted = (api for api in apis if settings.deployed and (api.google or api.name in settings.api_keys))
        faults |= {
            api.url_setting: "no key or token may travel over http"
            for api in trusted
            if settings.api_urls.get(api.name, "").startswith("http:")
        }
        if faults:
            raise InvalidSettings("The configuration is wrong:\n" + "\n".join(f"  - {name}: {fault}" for name, fault in faults.items()))
        return settings

    def contradictions(self) -> Mapping[str, str]:
        """What is wrong between settings that are each right, and what a deployment still lacks; by the variable to change."""
        faults = {}
        if self.openai_api_key and self.openai_api_key_secret:
            faults["OPENAI_API_KEY"] = "set it or OPENAI_API_KEY_SECRET, not both"
        if self.openai_fallback_model == self.openai_model:
            faults["OPENAI_FALLBACK_MODEL"] = "must be another model than OPENAI_MODEL; leave it unset for none"
        if self.mcp_chat and not self.anonymous and not self.signs_in:
            faults["MCP_CHAT"] = "needs ANONYMOUS_CHAT=on or sign-in (GOOGLE_CLIENT_ID); else nobody could call the tool"
        if self.chatgpt_client_secret and not self.chatgpt_client_id:
            faults["CHATGPT_CLIENT_ID"] = "goes with CHATGPT_CLIENT_SECRET; set it, or neither"
        push = {"PUSH_AUDIENCE": self.push_audience, "PUSH_ACCOUNT": self.push_account}
        if any(push.values()):
            faults |= {
                name: "goes with its pair; set PUSH_AUDIENCE and PUSH_ACCOUNT, or neither" for name, value in push.items() if not value
            }
        if not self.deployed:
            return faults
        if not self.public_base_url.startswith("https://"):
            faults["PUBLIC_BASE_URL"] = "must be https where deployed; it is the origin under which ChatGPT reaches you"
        secret = self.openai_api_key or self.openai_api_key_secret or self.provider.auth == "google"
        if secret and self.openai_base_url.startswith("http:"):
            faults["OPENAI_BASE_URL"] = "no key or token may travel over http"
        named = {"PUBLISHER_NAME": self.publisher_name, "CONTACT_EMAIL": self.contact_email, "PRIVACY_EMAIL": self.privacy_email}
        faults |= {name: "required where deployed; the published pages name it" for name, value in named.items() if not value}
        google = {
            "GOOGLE_ACCOUNTS_URL": self.google_accounts_url,
            "GOOGLE_OAUTH_URL": self.google_oauth_url,
            "GOOGLE_CERTS_URL": self.google_certs_url,
        }
        faults |= {name: "no sign-in may travel over http" for name, url in google.items() if not url.startswith("https://")}
        if self.store_url != "firestore":
            faults["STORE"] = "a deployed function's disk is its memory and dies with it; use firestore"
        emulators = {"FIRESTORE_EMULATOR_HOST": self.firestore_emulator_host, "PUBSUB_EMULATOR_HOST": self.pubsub_emulator_host}
        faults |= {name: "an emulator is for local use; unset it" for name, host in emulators.items() if host}
        return faults
