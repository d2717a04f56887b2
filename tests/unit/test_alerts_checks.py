"""The checks of alerts."""

from __future__ import annotations

import pytest

from fastopp.checks.context import CheckContext
from fastopp.features.alerts import checks
from tests.services.checks_project import NOWHERE

PRODUCTION = {"ENVIRONMENT": "production", "SECRET_KEY": "6c0f6e1b9a4d4c7e8f2a1b3c5d7e9f00"}
HOOK = {"ALERT_WEBHOOKS": "https://a.example/secret-path"}
SMTP = {"MAIL_URL": "smtps://mail.example.com", "MAIL_FROM": "a@example.com"}


@pytest.mark.parametrize(
    ("variables", "found"),
    [
        ({}, []),
        (HOOK, ["fastopp.W711"]),
        (HOOK | {"ALERT_WEBHOOK_SECRET": "a-key-of-some-length-0123"}, []),
        ({"ALERT_WEBHOOKS": "https://ntfy.sh/topic"}, []),
        ({"ALERT_MAIL": "a@example.com"}, ["fastopp.W712"]),
        ({"ALERT_MAIL": "a@example.com"} | SMTP, []),
    ],
)
async def test_what_is_found(tmp_path, variables, found):
    context = CheckContext.read(tmp_path, environ=PRODUCTION | variables, env_file=NOWHERE, load_apps=tuple)
    findings = [each for check in (checks.unsigned, checks.no_mail) for each in await check.run(context)]
    assert [each.id for each in findings] == found
    assert "secret-path" not in str(findings)
