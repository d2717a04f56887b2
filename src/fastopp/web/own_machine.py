"""Recognise a developer's own machine: where known passwords, open operations and error pages are safe."""

from __future__ import annotations

import ipaddress

from fastapi import Request

from fastopp.settings import Settings

# What proxies add: a request that carries one only seems to come from this machine.
FORWARDED_HEADERS = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "via")


def is_local_development(request: Request, settings: Settings) -> bool:
    """Return whether this is a developer's own machine, and the request comes from it and through no proxy.

    It must ask for this machine by name as well, or a web page whose own name resolves to 127.0.0.1 ("DNS
    rebinding") could run operations from the developer's browser.
    """
    own_machine = settings.development and settings.platform.persistent_disk and settings.platform.shell
    if not own_machine or any(name in request.headers for name in FORWARDED_HEADERS):
        return False
    name = request.url.hostname or ""
    client = request.client.host if request.client else ""
    return _is_loopback(client) and (name == "localhost" or _is_loopback(name))


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
