"""The checks of passkeys."""

from __future__ import annotations

from pathlib import Path

import pytest

from fastopp.checks.context import CheckContext
from fastopp.features.passkeys import checks
from tests.services.checks_project import NOWHERE

PRODUCTION = {"ENVIRONMENT": "production", "SECRET_KEY": "6c0f6e1b9a4d4c7e8f2a1b3c5d7e9f00"}
ON = {"PASSKEYS": "true"}


@pytest.mark.parametrize(
    ("variables", "installed", "found"),
    [
        ({}, False, []),
        (ON | {"SITE_URL": "https://shop.example.com"}, True, []),
        (ON | {"SITE_URL": "https://shop.example.com"}, False, ["fastopp.E133"]),
        (ON, True, ["fastopp.E134"]),
        (ON | {"SITE_URL": "https://192.0.2.1"}, True, ["fastopp.E134"]),
        (ON | {"ENVIRONMENT": "development"}, True, []),
    ],
)
async def test_what_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], installed: bool, found: list[str]
) -> None:
    monkeypatch.setattr(checks, "is_installed", lambda: installed)
    context = CheckContext.read(tmp_path, environ=PRODUCTION | variables, env_file=NOWHERE, load_apps=lambda: ())
    given = [checks.not_installed, checks.no_host_name]
    assert [finding.id for check in given for finding in await check.run(context)] == found
