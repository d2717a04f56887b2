"""The checks of mail, and the command that tries the settings."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from fastopp.checks.context import CheckContext
from fastopp.checks.errors import CannotCheck
from fastopp.core.apps import App
from fastopp.features.mail import checks, live_checks
from tests.services.checks_project import NOWHERE
from tests.services.mail_server import IN_URL, mail_server

ROOT = Path(__file__).parents[2]
PRODUCTION = {"ENVIRONMENT": "production", "SECRET_KEY": "6c0f6e1b9a4d4c7e8f2a1b3c5d7e9f00"}
SERVER = {"MAIL_URL": "smtps://mail.example.com", "MAIL_FROM": "a@example.com", "SITE_URL": "https://a.example"}


def context_of(folder: Path, **variables: str) -> CheckContext:
    shutil.copytree(ROOT / "tests/services/mail_app", folder / "shop", dirs_exist_ok=True)
    app = App("shop", folder / "shop")
    return CheckContext.read(folder, environ=PRODUCTION | variables, env_file=NOWHERE, load_apps=lambda: (app,))


async def ids(folder: Path, **variables: str) -> list[str]:
    context = context_of(folder, **variables)
    found = [checks.needed, checks.kept_here, checks.unencrypted, checks.no_site]
    return [finding.id for check in found for finding in await check.run(context)]


@pytest.mark.parametrize(
    ("variables", "found"),
    [
        ({}, ["fastopp.W701"]),
        ({"ENVIRONMENT": "development"}, []),
        (SERVER, []),
        (SERVER | {"SITE_URL": ""}, ["fastopp.W704"]),
        (SERVER | {"MAIL_URL": "console:"}, ["fastopp.W702"]),
        (SERVER | {"MAIL_URL": "file:x"}, ["fastopp.W702"]),
        (SERVER | {"MAIL_URL": "smtp://a:b@mail.example.com?starttls=never"}, ["fastopp.W703"]),
        (SERVER | {"MAIL_URL": "smtp://127.0.0.1:25?starttls=never"}, []),
    ],
)
async def test_what_is_found(tmp_path, variables, found):
    assert await ids(tmp_path, **variables) == found


async def test_sign_up_wants_mail(tmp_path):
    reasons = {"invite": ("invitations", "password"), "open": ("address is confirmed", "password")}
    for sign_up, found in (("closed", 0), ("invite", 1), ("open", 1)):
        variables = PRODUCTION | {"SIGN_UP": sign_up}
        context = CheckContext.read(tmp_path, environ=variables, env_file=NOWHERE, load_apps=tuple)
        findings = await checks.needed.run(context)
        assert len(findings) == found
        assert all(f"SIGN_UP is {sign_up}" in finding.message for finding in findings)
        assert all(reason in finding.message for finding in findings for reason in reasons[sign_up])


async def test_the_file_that_sends_mail_is_named(tmp_path):
    [finding] = await checks.needed.run(context_of(tmp_path))
    assert "shop/routes.py sends mail" in finding.message


async def test_it_signs_in_and_sends_nothing(tmp_path):
    async with mail_server(auth=True) as server:
        right = context_of(tmp_path, **SERVER | {"MAIL_URL": server.url(IN_URL)})
        assert await live_checks.unusable.run(right) == []
        wrong = context_of(tmp_path, **SERVER | {"MAIL_URL": server.url("shop:wr0ng-password")})
        [finding] = await live_checks.unusable.run(wrong)
        assert "535 *** is wrong" in finding.message
        assert server.taken == []
    [finding] = await live_checks.unusable.run(right)
    assert "cannot be used" in finding.message
    with pytest.raises(CannotCheck):
        await live_checks.unusable.run(context_of(tmp_path))
