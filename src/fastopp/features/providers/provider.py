"""The providers of a site, as its settings name them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal
from urllib.parse import urlsplit

from fastopp.features.providers.errors import ProviderUnknown, ProviderUnusable
from fastopp.features.providers.settings import ProviderSettings
from fastopp.settings import Settings

Name = Literal["github", "google", "oidc"]

GITHUB: Final = "https://github.com"
GOOGLE_ISSUER: Final = "https://accounts.google.com"
LIBRARIES: Final = ("authlib", "joserfc")
"""The extra `providers`."""


@dataclass(frozen=True, slots=True)
class Provider:
    """A site whose accounts may sign in here."""

    name: Name
    title: str
    client_id: str
    client_secret: str = field(repr=False)
    issuer: str
    """Of GitHub, which has no OpenID Connect, the address."""

    @property
    def key(self) -> str:
        """The provider of identities in the database."""
        return f"oidc:{self.issuer}" if self.name == "oidc" else self.name


def find_providers(settings: Settings) -> list[Provider]:
    """Return the providers whose settings are complete."""
    own = settings.of(ProviderSettings)
    secrets = own.github_client_secret, own.google_client_secret, own.oidc_client_secret
    github, google, oidc = (secret.get_secret_value() for secret in secrets)
    title = own.oidc_name or urlsplit(own.oidc_issuer).hostname or "OpenID Connect"
    every = (
        Provider("github", "GitHub", own.github_client_id, github, own.github_url.rstrip("/")),
        Provider("google", "Google", own.google_client_id, google, GOOGLE_ISSUER),
        Provider("oidc", title, own.oidc_client_id, oidc, own.oidc_issuer),
    )
    return [each for each in every if each.client_id and each.client_secret and each.issuer]


def get_provider(settings: Settings, name: str) -> Provider:
    """Return a provider by its name. Raises ProviderUnknown, and ProviderUnusable while the site's URL is unknown."""
    found = next((each for each in find_providers(settings) if each.name == name), None)
    if found is None:
        raise ProviderUnknown
    if not settings.site:
        raise ProviderUnusable("Signing in with a provider needs the URL of this site, which is unknown.")
    return found


def title_of(settings: Settings, key: str) -> str:
    """Return the name of an identity's provider for people, also of one that is not offered any more."""
    found = next((each.title for each in find_providers(settings) if each.key == key), None)
    return found or {"github": "GitHub", "google": "Google"}.get(key) or urlsplit(key.partition(":")[2]).hostname or key


def callback_address(settings: Settings, provider: Provider) -> str:
    """Return the redirect URI to register at the provider. It begins with SITE_URL, never with a request's host."""
    return f"{settings.site}/login/with/{provider.name}/callback"


def is_protected(address: str) -> bool:
    """Return whether requests to an address are encrypted, or stay on this machine."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    if parts.scheme == "https":
        return bool(parts.hostname)
    return parts.scheme == "http" and parts.hostname in ("localhost", "127.0.0.1", "::1")
