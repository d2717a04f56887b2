"""Recognise a developer's own machine: where known passwords, open operations and error pages are safe."""

from __future__ import annotations

import ipaddress

from fastapi import Request

from fastopp.settings import Settings

# Headers that proxies and tunnels add: a request that carries one only seems to come from this machine.
FORWARDED_HEADERS = frozenset({"forwarded", "via", "true-client-ip", "tailscale-user-login"})
FORWARDED_PREFIXES = ("x-forwarded", "x-real-", "x-client-", "x-cluster-client-", "x-original-", "cf-")


def is_local_development(request: Request, settings: Settings) -> bool:
    """Return whether this is a developer's own machine, and the request comes from it and through no proxy.

    It must ask for this machine by name as well, or a web page whose own name resolves to 127.0.0.1 ("DNS
    rebinding") could run operations from the developer's browser.
    """
    own_machine = settings.development and settings.platform.persistent_disk and settings.platform.shell
    if not own_machine or any(_is_added(name) for name in request.headers):
        return False
    name = request.url.hostname or ""
    client = request.client.host if request.client else ""
    return _is_loopback(client) and (name == "localhost" or _is_loopback(name))


def _is_added(name: str) -> bool:
    return name in FORWARDED_HEADERS or name.startswith(FORWARDED_PREFIXES)


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
