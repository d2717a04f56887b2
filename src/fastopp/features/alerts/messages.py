"""Messages about incidents, as each receiver understands them."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

from fastopp.features.alerts.models import AlertIncident
from fastopp.features.alerts.names import Event
from fastopp.settings import Settings
from fastopp.settings.alerting import Format
from fastopp.tasks.failure import mask

MAX_DISCORD: Final = 2000  # characters; https://discord.com/developers/docs/resources/webhook#execute-webhook
MAX_SLACK: Final = 3000  # characters; more is shown folded
MAX_NTFY: Final = 4000  # bytes are 4,096; https://docs.ntfy.sh/publish/#limitations
PREFIX: Final = "whsec_"
PAGE: Final = "/oppman/alerts"


class Message(NamedTuple):
    """A message for people, with secrets masked."""

    id: str
    """The same for each attempt to deliver it."""
    event: Event
    headline: str
    lines: tuple[str, ...]
    link: str
    """Empty where the URL of the site is unknown."""
    data: Mapping[str, Any]
    """For programs."""

    @property
    def text(self) -> str:
        """The whole text."""
        return "\n".join(filter(None, (self.headline, *self.lines, self.link)))


def message_of(event: Event, incident: AlertIncident | None, settings: Settings, site: str, test_id: str) -> Message:
    """Write the message about an incident; without one, a test.

    Parameters
    ----------
    site: the name of the site.
    test_id: the id of a test.
    """
    link = f"{settings.site}{PAGE}" if settings.site else ""
    if incident is None:
        text = "It was sent to test the settings. They work."
        return Message(test_id, "test", f"{site}: a test message", (text,), link, {"site": site, "url": link})
    over = event == "resolved"
    headline = mask(f"{site}: {'it is over: ' if over else ''}{incident.title}", settings)
    lasted = f"It lasted {_length(incident.opened_at, incident.resolved_at)}." if incident.resolved_at else ""
    about = (incident.text, incident.detail, lasted if over else incident.hint)
    lines = tuple(mask(each, settings) for each in about if each)
    data = {
        "site": site,
        "url": link,
        "incident": incident.uid,
        "rule": incident.rule,
        "title": mask(incident.title, settings),
        "text": mask(incident.text, settings),
        "detail": mask(incident.detail, settings),
        "hint": incident.hint,
        "opened_at": incident.opened_at.isoformat(),
        "resolved_at": incident.resolved_at.isoformat() if incident.resolved_at else None,
    }
    return Message(f"{incident.uid}.{event}", event, headline, lines, link, data)


def write(message: Message, wanted: Format, secret: str, now: float) -> tuple[bytes, dict[str, bytes]]:
    """Return the body and the headers of a message.

    Parameters
    ----------
    secret: signs a generic one, unless it is empty: https://www.standardwebhooks.com.
    now: seconds since 1970.
    """
    if wanted == "slack":
        # https://api.slack.com/reference/surfaces/formatting#escaping
        text = message.text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        return _json({"text": text[:MAX_SLACK]})
    if wanted == "discord":
        return _json({"content": message.text[:MAX_DISCORD], "allowed_mentions": {"parse": []}})
    if wanted == "ntfy":
        return _ntfy(message)
    timestamp = str(int(now))
    body, headers = _json({"type": f"alert.{message.event}", "timestamp": timestamp, "data": dict(message.data)})
    headers |= {"webhook-id": message.id.encode(), "webhook-timestamp": timestamp.encode()}
    if secret:
        headers["webhook-signature"] = signature(secret, message.id, timestamp, body)
    return body, headers


def signature(secret: str, message_id: str, timestamp: str, body: bytes) -> bytes:
    """Return the signature of a message, as Standard Webhooks have it."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    return b"v1," + base64.b64encode(hmac.digest(_key(secret), signed, hashlib.sha256))


def _key(secret: str) -> bytes:
    if secret.startswith(PREFIX):
        try:
            return base64.b64decode(secret.removeprefix(PREFIX), validate=True)
        except (binascii.Error, ValueError):
            pass
    return secret.encode()


def _json(content: dict[str, Any]) -> tuple[bytes, dict[str, bytes]]:
    return json.dumps(content).encode(), {"Content-Type": b"application/json"}


def _ntfy(message: Message) -> tuple[bytes, dict[str, bytes]]:
    """https://docs.ntfy.sh/publish/: a topic's URL takes plain text."""
    words = {"opened": (b"high", b"rotating_light"), "resolved": (b"default", b"white_check_mark")}
    priority, tag = words.get(message.event, (b"default", b"test_tube"))
    headers = {
        "Content-Type": b"text/plain; charset=utf-8",
        "Title": " ".join(message.headline.split()).encode()[:250],
        "Priority": priority,
        "Tags": tag,
    }
    if message.link:
        headers["Click"] = message.link.encode()
    return "\n".join(message.lines).encode()[:MAX_NTFY], headers


def _length(began: datetime, ended: datetime | None) -> str:
    minutes = int(((ended or began) - began).total_seconds()) // 60
    if not minutes:
        return "less than a minute"
    return "a minute" if minutes == 1 else f"{minutes:,} minutes" if minutes < 120 else f"{minutes // 60:,} hours"
