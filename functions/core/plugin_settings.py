"""What a deployment may choose about the plugin that it publishes: its address, its names, and who answers for it."""

from typing import Annotated, get_args

from pydantic import ConfigDict, Field

from functions.core.setting_kinds import Category, Email, Line, Origin, Switch, Url
from functions.core.shape import Shape


class PluginSettings(Shape):
    """A part of `Settings`. A field's alias is its environment variable; its description stands in the README's table."""

    model_config = ConfigDict(frozen=True, populate_by_name=True)

    public_base_url: Origin = Field(
        "http://localhost:8080",
        alias="PUBLIC_BASE_URL",
        description="The origin under which ChatGPT reaches this deployment; every published URL begins with it. https where deployed.",
    )
    plugin_name: Annotated[Line, Field(max_length=20)] = Field(
        "Cantilever", alias="PLUGIN_NAME", description="The plugin's name for people, at most 20 characters."
    )
    plugin_name_for_model: Annotated[str, Field(pattern=r"^[A-Za-z0-9_]{1,50}$")] = Field(
        "cantilever", alias="PLUGIN_NAME_FOR_MODEL", description="The plugin's name for models: letters, digits and _, at most 50."
    )
    plugin_description: Annotated[Line, Field(max_length=100)] | None = Field(
        None,
        alias="PLUGIN_DESCRIPTION",
        description="What the plugin does, for people, at most 100 characters. Unset: the capabilities' own words.",
    )
    plugin_description_for_model: Annotated[str, Field(min_length=1, max_length=8000)] | None = Field(
        None,
        alias="PLUGIN_DESCRIPTION_FOR_MODEL",
        description="When a model should call it, at most 8,000 characters. Unset: the operations' own words.",
    )
    plugin_subtitle: Annotated[Line, Field(max_length=30)] | None = Field(
        None,
        alias="PLUGIN_SUBTITLE",
        description="The line under the name in OpenAI's directory, at most 30 characters. Unset: the capabilities' names.",
    )
    plugin_version: Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+$")] = Field(
        "1.0.0",
        alias="PLUGIN_VERSION",
        description="The version of the plugin package and of the MCP server. OpenAI's directory wants a new one when a tool changes.",
    )
    plugin_category: Category = Field(
        "PRODUCTIVITY", alias="PLUGIN_CATEGORY", description=f"Where OpenAI's directory lists the plugin: {', '.join(get_args(Category))}."
    )
    publisher_name: Annotated[Line, Field(max_length=80)] | None = Field(
        None,
        alias="PUBLISHER_NAME",
        description="Who operates this deployment and answers for it in the legal pages. Required where deployed.",
    )
    publisher_url: Annotated[Url, Field(max_length=1024)] | None = Field(
        None,
        alias="PUBLISHER_URL",
        description="The publisher's own website; the plugin package needs it, https. Unset, MCP names `/support` here.",
    )
    contact_email: Email | None = Field(
        None, alias="CONTACT_EMAIL", description="Where users get help; in the manifest. Required where deployed."
    )
    privacy_email: Email | None = Field(
        None, alias="PRIVACY_EMAIL", description="Who answers privacy requests; on /privacy. Required where deployed."
    )
    classic_manifest: Switch = Field(
        True,
        alias="CLASSIC_MANIFEST",
        description="`off` withholds `/.well-known/ai-plugin.json`: OpenAI's directory scan has been reported to fail on its presence.",
    )
    openai_apps_challenge: Annotated[str, Field(pattern=r"^[\x21-\x7e]{1,1000}$")] | None = Field(
        None,
        alias="OPENAI_APPS_CHALLENGE",
        description="The token that proves the domain to OpenAI, served at `/.well-known/openai-apps-challenge`.",
    )
