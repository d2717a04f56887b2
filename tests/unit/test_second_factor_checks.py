"""The check of a required second factor."""

from __future__ import annotations

from pathlib import Path

import pytest

from fastopp.checks.context import CheckContext
from fastopp.features.second_factor import checks
from tests.services.checks_project import NOWHERE

PRODUCTION = {"ENVIRONMENT": "production", "SECRET_KEY": "6c0f6e1b9a4d4c7e8f2a1b3c5d7e9f00"}


@pytest.mark.parametrize(
    ("variables", "found"),
    [
        ({}, []),
        ({"REQUIRE_SECOND_FACTOR": "Staff"}, ["fastopp.W132"]),
        ({"REQUIRE_SECOND_FACTOR": "all", "MAIL_URL": "smtps://mail.example.com", "MAIL_FROM": "a@example.com"}, []),
        ({"REQUIRE_SECOND_FACTOR": "staff", "ENVIRONMENT": "development"}, []),
    ],
)
async def test_who_is_told(tmp_path: Path, variables: dict[str, str], found: list[str]) -> None:
    context = CheckContext.read(tmp_path, environ=PRODUCTION | variables, env_file=NOWHERE, load_apps=lambda: ())
    assert [finding.id for finding in await checks.owners_not_told.run(context)] == found
