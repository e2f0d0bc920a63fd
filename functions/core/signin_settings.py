"""What a deployment may choose about sign-in: Google's client, ChatGPT's client, and the keys."""

from typing import Annotated

from pydantic import Field, SecretStr

from functions.core.plugin_settings import PluginSettings
from functions.core.setting_kinds import Line, Names, Url


class SigninSettings(PluginSettings):
    """A part of `Settings`."""

    google_client_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,200}$")] | None = Field(
        None,
        alias="GOOGLE_CLIENT_ID",
        description="The OAuth client at Google whose users sign in here; its redirect URI is `PUBLIC_BASE_URL/oauth/callback`. Unset: no sign-in.",
    )
    google_client_secret: SecretStr | None = Field(
        None, alias="GOOGLE_CLIENT_SECRET", description="That client's secret. `auth`, `chat`, `mcp` and `worker` need it for sign-in."
    )
    token_signing_keys: SecretStr | None = Field(
        None,
        alias="TOKEN_SIGNING_KEYS",
        description="Private keys (JWKS, ES256) that sign our access tokens, the first of them new ones. `auth` alone needs it: `python -m infra.keys`.",
    )
    token_public_keys: Line | None = Field(
        None, alias="TOKEN_PUBLIC_KEYS", description="The public halves, for `chat` and `mcp`. Unset: taken from TOKEN_SIGNING_KEYS."
    )
    sealing_keys: SecretStr | None = Field(
        None,
        alias="SEALING_KEYS",
        description="Keys that encrypt Google's tokens at rest, `id:key,id:key`: the first encrypts, all decrypt. `python -m infra.keys`.",
    )
    chatgpt_client_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9._~-]{1,100}$")] | None = Field(
        None, alias="CHATGPT_CLIENT_ID", description="The client id that you enter in a GPT's action. Unset: only MCP clients connect."
    )
    chatgpt_client_secret: Annotated[SecretStr, Field(min_length=22)] | None = Field(
        None, alias="CHATGPT_CLIENT_SECRET", description="The secret that goes with it, at least 22 random characters."
    )
    chatgpt_verification_token: Annotated[str, Field(pattern=r"^[\x21-\x7e]{1,200}$")] | None = Field(
        None, alias="CHATGPT_VERIFICATION_TOKEN", description="What the classic plugin's manifest repeats to OpenAI."
    )
    enabled_capabilities: Names = Field(
        (),
        alias="ENABLED_CAPABILITIES",
        description="Restricted capabilities to switch on, comma-separated: `gmail`. Google asks more of whoever has their scopes (below, Sign-in).",
    )
    google_accounts_url: Url = Field(
        "https://accounts.google.com", alias="GOOGLE_ACCOUNTS_URL", description="Where people sign in with Google. For the local world."
    )
    google_oauth_url: Url = Field(
        "https://oauth2.googleapis.com", alias="GOOGLE_OAUTH_URL", description="Where Google gives and revokes tokens. For the local world."
    )
    google_certs_url: Url = Field(
        "https://www.googleapis.com/oauth2/v3/certs",
        alias="GOOGLE_CERTS_URL",
        description="Google's public keys. For the local world.",
    )
    forwarded_hops: Annotated[int, Field(ge=0, le=5)] | None = Field(
        None,
        alias="FORWARDED_HOPS",
        description="How many proxies of Google's stand in front, each of which adds an address to X-Forwarded-For: 1 for a function's own URL, "
        "2 behind a load balancer. Unset: 1 where deployed, 0 elsewhere. Rate limits count by the address that the outermost of them saw.",
    )

    @property
    def signs_in(self) -> bool:
        """Whether people can sign in."""
        return self.google_client_id is not None
