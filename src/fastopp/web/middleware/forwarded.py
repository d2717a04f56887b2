"""The caller's scheme and address, as the platform's proxies report them.

A proxy appends to `X-Forwarded-For` or adds another line, so the entry that can be trusted is counted from the
right over all lines: as many back as the platform has proxies. Everything before it was written by the client.
"""

from __future__ import annotations

import ipaddress

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

MAX_ADDRESS = 45  # characters of an IPv6 address that ends in an IPv4 one (RFC 4291, 2.2)


class ForwardedMiddleware:
    """Set the scheme and the client's address from the headers of the platform's proxies.

    `X-Forwarded-Proto` is believed from anyone: on a hosting platform the proxy is the only way in and sets it,
    and a wrong one gains a caller only links with another scheme. `FORCE_HTTPS` is for a proxy that does not send it.
    The address is taken only from `address_header`, which the platform's own proxy writes.
    """

    def __init__(
        self, app: ASGIApp, *, force_https: bool = False, address_header: str | None = None, proxies: int = 1
    ) -> None:
        self.app = app
        self.force_https = force_https
        self.address_header = address_header
        self.proxies = proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one ASGI connection."""
        if scope["type"] in ("http", "websocket"):
            headers = Headers(scope=scope)
            scheme = headers.get("x-forwarded-proto", "").split(",")[0].strip().lower()
            if self.force_https or scheme in ("https", "wss"):
                scope["scheme"] = "https" if scope["type"] == "http" else "wss"
            if self.address_header and (entry := trusted_entry(headers.getlist(self.address_header), self.proxies)):
                scope["client"] = (parse_address(entry), 0)
        await self.app(scope, receive, send)


def trusted_entry(lines: list[str], proxies: int) -> str:
    """Return the entry that the outermost of `proxies` trusted proxies wrote, or an empty text.

    With fewer entries than proxies, a proxy was bypassed or wrote none: the first entry is the best there is.
    """
    entries = [entry.strip() for entry in ",".join(lines).split(",")]
    return entries[-proxies] if len(entries) >= proxies else entries[0]


def parse_address(text: str) -> str:
    """Return the address without its port and brackets; text that is no address is kept, cut to MAX_ADDRESS."""
    host = text.strip()
    if host.startswith("["):
        host = host[1:].partition("]")[0]
    elif host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return text[:MAX_ADDRESS]


def network_of(address: str) -> str:
    """Return what failures from an address are counted for: an IPv4 address, or an IPv6 network of 64 bits.

    A subscriber gets a whole /64 at least (RFC 6177), so its single addresses are free to an attacker.
    """
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address) or parsed.is_loopback:
        return str(parsed)
    if parsed.ipv4_mapped:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((int(parsed), 64), strict=False))
