"""The certificates of the authorities that this machine trusts, for HTTPS requests."""

from __future__ import annotations

import asyncio
import ssl
from functools import cache


async def trusted_certificates() -> ssl.SSLContext:
    """Return httpx's default, which takes 20 ms to read: read once, and off the event loop."""
    return await asyncio.to_thread(_read)


@cache
def _read() -> ssl.SSLContext:
    import httpx  # noqa: PLC0415 - 100 ms that most processes do not need

    return httpx.create_ssl_context()
