"""Mistakes in the settings of alerts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from fastopp.settings.alerting import AlertSettingError, is_url
from fastopp.settings.mail_url import parse_sender
from fastopp.settings.problem import SettingProblem

if TYPE_CHECKING:
    from fastopp.settings.fields import SettingsFields

MIN_SECRET: Final = 24  # characters, as of Standard Webhooks: 24 bytes
MAX_ADDRESSES: Final = 20
_HTTPS: Final = "Use https://, except in development."


def find_alert_problems(given: SettingsFields) -> Iterator[SettingProblem]:
    """Yield what is wrong."""
    settings: Any = given  # with the fields of ObservingSettings
    try:
        _ = settings.alert_choice
    except AlertSettingError as error:
        yield SettingProblem("ALERTS", error.message, error.hint or "")
    try:
        if not settings.development and not all(webhook.is_protected for webhook in settings.webhooks):
            yield SettingProblem("ALERT_WEBHOOKS", "A URL is not https.", _HTTPS)
    except AlertSettingError as error:
        yield SettingProblem("ALERT_WEBHOOKS", error.message, error.hint or "")
    if 0 < len(settings.alert_webhook_secret.get_secret_value()) < MIN_SECRET:
        fix = "Use a value like the OPS_TOKEN that `python oppman.py secrets` prints."
        yield SettingProblem("ALERT_WEBHOOK_SECRET", f"Must be at least {MIN_SECRET} characters.", fix)
    addresses = settings.alert_addresses
    if len(addresses) > MAX_ADDRESSES or any(parse_sender(each) is None for each in addresses):
        what = f"Not a list of at most {MAX_ADDRESSES} email addresses."
        yield SettingProblem("ALERT_MAIL", what, "Separate them by commas.")
    url = settings.heartbeat_url.get_secret_value()
    if url and not is_url(url):
        yield SettingProblem("HEARTBEAT_URL", "Not a valid URL.", "Use the https:// URL that the service shows.")
    elif url and not settings.development and not url.startswith("https://"):
        yield SettingProblem("HEARTBEAT_URL", "The URL is not https.", _HTTPS)
