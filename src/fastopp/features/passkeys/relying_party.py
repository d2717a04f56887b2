"""The site as browsers know it: a passkey is bound to its host name."""

from __future__ import annotations

from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import urlsplit

from fastapi import Request

from fastopp.errors import Conflict
from fastopp.settings import Settings


class PasskeysNeedName(Conflict):
    """Passkeys need the host name of the site."""

    hint = "Set SITE_URL to the address that visitors type. On your own machine open http://localhost instead of an IP."


class RelyingParty(NamedTuple):
    """The host name that passkeys are bound to, and the origin of the pages that use them (WebAuthn, 5.1.3)."""

    id: str
    origin: str


def relying_party(request: Request, settings: Settings) -> RelyingParty:
    """Return the site of SITE_URL; in development the request's, if that is localhost. Raises PasskeysNeedName."""
    host = request.url.hostname or ""
    if settings.development and (host == "localhost" or host.endswith(".localhost")):
        return RelyingParty(host, f"{request.url.scheme}://{request.url.netloc}")
    return site_party(settings)


def site_party(settings: Settings) -> RelyingParty:
    """Return the site of SITE_URL. Raises PasskeysNeedName."""
    parts = urlsplit(settings.site_url)
    if not parts.hostname or _is_address(parts.hostname):
        raise PasskeysNeedName
    standard = {"http": 80, "https": 443}.get(parts.scheme)
    port = "" if parts.port in (None, standard) else f":{parts.port}"
    return RelyingParty(parts.hostname, f"{parts.scheme}://{parts.hostname}{port}")


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
