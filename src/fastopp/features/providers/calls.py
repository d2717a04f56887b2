"""Requests to a provider: bounded in time and size, without redirects, and with errors that say nothing secret."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastopp.certificates import trusted_certificates
from fastopp.features.providers.errors import ProviderFailed
from fastopp.features.providers.provider import Provider, is_protected
from fastopp.web.languages import Message

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CallLimits:
    """The limits of one request."""

    seconds: float = 10.0
    """For all of it, name look-up included."""
    size: int = 256 * 1024
    """Bytes of the answer. Discovery documents and key sets have a few thousand."""


LIMITS = CallLimits()
REFUSALS = (400, 401)  # of a code, or of this site's own secret (RFC 6749, 5.2)


async def call(
    provider: Provider,
    method: str,
    address: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: str | None = None,
    limits: CallLimits | None = None,
    refused: bool = False,
) -> Any:  # noqa: ANN401 - JSON
    """Return the JSON of an answer. Raises ProviderFailed; the log says why, and the caller nothing.

    Parameters
    ----------
    refused: return the answer of a refusal, status 400 or 401, too.
    """
    import httpx  # noqa: PLC0415 - 100 ms, for sign-ins with a provider only

    limits = limits or LIMITS
    if not is_protected(address):
        raise failed(provider, "an address is not https")
    # An encoded answer could be a thousand times as large as what arrives.
    sent = {"Accept": "application/json", "Accept-Encoding": "identity"} | dict(headers or {})
    received = bytearray()
    try:
        async with (
            asyncio.timeout(limits.seconds),
            httpx.AsyncClient(verify=await trusted_certificates(), trust_env=False, timeout=limits.seconds) as client,
            client.stream(method, address, headers=sent, content=body) as answer,
        ):
            if answer.headers.get("content-encoding", "identity") != "identity":
                raise failed(provider, "the answer is encoded")
            async for part in answer.aiter_raw():
                received += part
                if len(received) > limits.size:
                    raise failed(provider, "the answer is too large")
    except (httpx.HTTPError, httpx.InvalidURL, OSError, TimeoutError) as error:
        raise failed(provider, type(error).__name__) from None  # its words may quote the request
    if not answer.is_success and not (refused and answer.status_code in REFUSALS):
        raise failed(provider, f"status {answer.status_code}")
    try:
        return json.loads(received)
    except (ValueError, RecursionError):
        raise failed(provider, "the answer is not JSON") from None


def failed(provider: Provider, reason: str) -> ProviderFailed:
    """Log the reason, and return the error to raise."""
    log.warning(
        "A provider failed: %s",
        reason,
        extra={"action": "provider_failed", "provider": provider.name, "reason": reason},
    )
    return ProviderFailed(Message("%(provider)s does not answer as it should.", provider=provider.title), reason=reason)
