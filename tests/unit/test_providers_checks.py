"""The checks of providers: settings that do not fit together, and a discovery document of another issuer."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from fastopp.checks.context import CheckContext
from fastopp.checks.errors import CannotCheck
from fastopp.features.providers import checks, live_checks
from tests.services.checks_project import NOWHERE
from tests.services.identity_provider import identity_provider

PRODUCTION = {"ENVIRONMENT": "production", "SECRET_KEY": "6c0f6e1b9a4d4c7e8f2a1b3c5d7e9f00"}
SITE = {"SITE_URL": "https://shop.example.com"}
GITHUB = {"GITHUB_CLIENT_ID": "a", "GITHUB_CLIENT_SECRET": "b"}
OIDC = {"OIDC_ISSUER": "https://login.example.com", "OIDC_CLIENT_ID": "a", "OIDC_CLIENT_SECRET": "b"}


def context_of(folder: Path, **variables: str) -> CheckContext:
    return CheckContext.read(folder, environ=PRODUCTION | variables, env_file=NOWHERE)


async def messages(folder: Path, **variables: str) -> list[str]:
    context = context_of(folder, **variables)
    found = [checks.incomplete, checks.library_missing, checks.no_site, checks.unprotected]
    return [f"{finding.id} {finding.message}" for check in found for finding in await check.run(context)]


@pytest.mark.parametrize(
    ("variables", "found"),
    [
        ({}, []),
        (SITE | GITHUB | OIDC, []),
        (GITHUB | {"ENVIRONMENT": "development"}, []),
        (GITHUB, ["fastopp.E753 A provider is set up, but SITE_URL is not."]),
        ({"GITHUB_CLIENT_ID": "a"}, ["fastopp.E751 GITHUB_CLIENT_ID is set, but GITHUB_CLIENT_SECRET is not."]),
        ({"GOOGLE_CLIENT_SECRET": "a"}, ["fastopp.E751 GOOGLE_CLIENT_SECRET is set, but GOOGLE_CLIENT_ID is not."]),
        (
            {"OIDC_CLIENT_ID": "a"},
            ["fastopp.E751 OIDC_CLIENT_ID is set, but OIDC_ISSUER and OIDC_CLIENT_SECRET is not."],
        ),
        (
            SITE | OIDC | {"OIDC_ISSUER": "http://login.example.com"},
            ["fastopp.E754 OIDC_ISSUER is not an https:// address."],
        ),
        (SITE | OIDC | {"OIDC_ISSUER": "http://127.0.0.1:9"}, []),
    ],
)
async def test_what_is_found(tmp_path: Path, variables: dict[str, str], found: list[str]) -> None:
    assert await messages(tmp_path, **variables) == found


async def test_libraries_that_are_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "LIBRARIES", ("authlib", "no_such_library"))
    assert await messages(tmp_path) == []
    [message] = await messages(tmp_path, **SITE, **GITHUB)
    assert message == "fastopp.E752 A provider is set up, but no_such_library cannot be imported."


async def test_the_discovery_document_is_read(tmp_path: Path) -> None:
    with identity_provider(time.time) as provider:
        right = context_of(tmp_path, **SITE, **OIDC | {"OIDC_ISSUER": provider.issuer})
        assert await live_checks.unusable.run(right) == []
        provider.document = {"issuer": "https://another.example"}
        [finding] = await live_checks.unusable.run(right)
        assert "of another issuer" in finding.message
        provider.statuses = {"discovery": 404}
        [finding] = await live_checks.unusable.run(right)
        assert "status 404" in finding.message
    [finding] = await live_checks.unusable.run(right)
    assert "ConnectError" in finding.message
    with pytest.raises(CannotCheck):
        await live_checks.unusable.run(context_of(tmp_path, **SITE, **GITHUB))
