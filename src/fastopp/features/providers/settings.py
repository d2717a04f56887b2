"""The settings of providers."""

from __future__ import annotations

from pydantic import Field, SecretStr

from fastopp.settings.app_settings import AppSettings


class ProviderSettings(AppSettings):
    """Whose accounts may sign in here. Each provider needs all of its variables."""

    github_client_id: str = Field("", description="Client ID of an OAuth app at GitHub: offers signing in with it.")
    github_client_secret: SecretStr = Field(SecretStr(""), description="Its client secret.")
    github_url: str = Field(
        "https://github.com", description="Address of GitHub, for one of your own (GitHub Enterprise Server)."
    )
    google_client_id: str = Field(
        "", description="Client ID of a web application at Google: offers signing in with it."
    )
    google_client_secret: SecretStr = Field(SecretStr(""), description="Its client secret.")
    oidc_issuer: str = Field(
        "",
        description="Issuer of another OpenID Connect provider, like `https://login.example.com`: the address that its "
        "`/.well-known/openid-configuration` is below.",
    )
    oidc_client_id: str = Field("", description="Client ID at this provider.")
    oidc_client_secret: SecretStr = Field(SecretStr(""), description="Client secret at this provider.")
    oidc_name: str = Field("", max_length=60, description="Name of this provider on pages. Default: its host name.")
