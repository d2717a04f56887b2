"""Post a message to a webhook: bounded in time and size, without redirects, and with errors that hide the URL."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from fastopp.certificates import trusted_certificates
from fastopp.errors import FastOppError, Unavailable
from fastopp.features.alerts.messages import Message, write
from fastopp.settings import Settings
from fastopp.settings.alerting import Webhook

DELAYED: Final = frozenset({408, 425, 429})  # of 4xx, those that another attempt may avoid


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of one request."""

    seconds: float = 10.0
    """For all of it, name look-up included."""


LIMITS: Final = Limits()


class WebhookDelayed(Unavailable):
    """A webhook does not take a message at the moment."""


class WebhookRefused(FastOppError):
    """A webhook refuses a message."""

    hint = "Check ALERT_WEBHOOKS, then run `oppman.py alerts test`."


async def deliver(
    message: Message, webhook: Webhook, settings: Settings, now: float, limits: Limits = LIMITS
) -> None:  # fmt: skip
    """Post a message. Raises WebhookDelayed, WebhookRefused.

    Parameters
    ----------
    now: seconds since 1970.
    """
    if not webhook.is_protected and not settings.development:
        raise WebhookRefused(f"The webhook at {webhook.host} is not https.")
    body, headers = write(message, webhook.format, settings.alert_webhook_secret.get_secret_value(), now)
    try:
        status = await request("POST", webhook.url, body, headers, limits.seconds)
    except CallFailed as error:
        raise WebhookDelayed(f"The webhook at {webhook.host} cannot be reached: {error.message}.") from None
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in DELAYED:
        raise WebhookDelayed(f"The webhook at {webhook.host} answers {status}.")
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        raise WebhookRefused(f"The webhook at {webhook.host} redirects elsewhere, which is not followed.")
    if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        raise WebhookRefused(f"The webhook at {webhook.host} answers {status}.")


class CallFailed(FastOppError):
    """A service does not answer."""


async def request(method: str, url: str, body: bytes, headers: Mapping[str, bytes], seconds: float) -> int:
    """Return the status of the answer, whose body is not read. Raises CallFailed, which names no URL."""
    import httpx  # noqa: PLC0415 - 100 ms, where something is sent

    # All of it, name look-up included; httpx limits each step alone.
    try:
        async with (
            asyncio.timeout(seconds),
            httpx.AsyncClient(verify=await trusted_certificates(), trust_env=False, timeout=None) as client,  # noqa: S113 - see above
            client.stream(
                method, url, content=body, headers=[(name.encode(), value) for name, value in headers.items()]
            ) as answer,
        ):
            return answer.status_code
    except TimeoutError:
        raise CallFailed(f"no answer within {seconds:g} seconds") from None
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        raise CallFailed(type(error).__name__) from None
