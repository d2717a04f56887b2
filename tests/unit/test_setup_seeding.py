"""Who may have known passwords, and what becomes of an email address that is taken."""

from __future__ import annotations

import pytest
from sqlmodel import select

from fastopp.core.runtime import open_runtime
from fastopp.features.accounts.models import User
from fastopp.features.accounts.passwords import verify_password
from fastopp.features.accounts.service import create_user
from fastopp.features.setup.seeding import (
    StepOutcome,
    create_first_superuser,
    known_passwords_allowed,
    migrate_database,
    run_full_init,
)
from fastopp.platforms.fly import FLY
from fastopp.platforms.leapcell import LEAPCELL
from fastopp.platforms.local import LOCAL
from fastopp.settings import Settings
from tests.services.ops_project import PRODUCTION, settings_of


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/test.db"


@pytest.mark.parametrize(
    ("platform", "environment", "allowed"),
    [
        (LOCAL, "development", True),
        (LOCAL, "production", False),
        (FLY, "development", False),
        (LEAPCELL, "development", False),
        (LEAPCELL, "production", False),
    ],
)
def test_known_passwords_exist_on_a_developers_machine_only(platform, environment, allowed):
    settings = Settings(platform=platform, environment=environment)
    assert known_passwords_allowed(settings) is allowed


async def test_a_given_password_is_taken_and_not_shown(url, tmp_path):
    environ = PRODUCTION | {"SUPERUSER_EMAIL": "owner@example.com", "SUPERUSER_PASSWORD": "a given password"}
    async with open_runtime(settings_of(url, tmp_path, environ)) as runtime:
        report = await run_full_init(runtime)
        assert report.success
        assert report.generated_password is None
        assert "a given password" not in str(report)
        async with runtime.database.read() as session:
            owner = (await session.exec(select(User))).one()
        assert (await verify_password("a given password", owner.hashed_password)).matches


async def test_an_account_without_the_role_is_not_promoted(url, tmp_path):
    async with open_runtime(settings_of(url, tmp_path)) as runtime:
        await migrate_database(runtime)
        async with runtime.database.transaction() as session:
            await create_user(session, email="Admin@example.com", password="something else")
        outcome = await create_first_superuser(runtime)
        assert outcome.status == "error"
        assert "not a superuser" in outcome.message


async def test_any_superuser_is_enough(url, tmp_path):
    async with open_runtime(settings_of(url, tmp_path)) as runtime:
        await migrate_database(runtime)
        async with runtime.database.transaction() as session:
            await create_user(session, email="other@example.com", password="something else", is_superuser=True)
        assert (await create_first_superuser(runtime)).status == "skipped"


async def test_an_unusable_address_is_an_outcome(url, tmp_path):
    async with open_runtime(settings_of(url, tmp_path, {"SUPERUSER_EMAIL": "no address"})) as runtime:
        report = await run_full_init(runtime)
        assert [each.status for each in report.results] == ["success", "error", "skipped"]


def test_the_json_of_an_outcome_has_no_password():
    outcome = StepOutcome("Superuser Creation", "success", "Done.", "generated")
    assert outcome.as_json() == {"step": "Superuser Creation", "status": "success", "message": "Done."}
    assert "generated" not in repr(outcome)
