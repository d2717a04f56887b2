"""Names that this feature's modules share."""

from __future__ import annotations

from typing import Final, Literal

SEND: Final = "alerts.send"
"""The task that delivers a message."""

Event = Literal["opened", "resolved", "test"]

MAIL: Final = "mail"
"""The destination of mails, beside the webhooks."""
