"""Seven accounts with a published password, on a developer's own machine."""

from __future__ import annotations

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from fastopp.core.apps import SeedStep, StepResult
from fastopp.features.accounts.models import User
from fastopp.features.accounts.passwords import hash_password
from fastopp.features.accounts.service import add_if_missing
from fastopp.features.setup.seeding import known_passwords_allowed, lock
from fastopp.settings import Settings
from fastopp.storage.base import Storage

TEST_PASSWORD = "test123"  # noqa: S105 - published on purpose; exists on a developer's machine only

# email, group, staff, superuser, active
TEST_USERS: tuple[tuple[str, str | None, bool, bool, bool], ...] = (
    ("john@example.com", "marketing", True, False, True),
    ("jane@example.com", "sales", True, False, True),
    ("bob@example.com", None, False, False, False),
    ("admin2@example.com", "admin", True, True, True),
    ("staff@example.com", "support", True, False, True),
    ("marketing@example.com", "marketing", True, False, True),
    ("sales@example.com", "sales", True, False, True),
)


async def add_test_users(session: AsyncSession, storage: Storage, settings: Settings) -> StepResult:
    """Add those that are missing, by email; on a developer's machine only."""
    if not known_passwords_allowed(settings):
        message = "Test users have a published password, so they are created on a developer's own machine only."
        return StepResult("skipped", message)
    already = StepResult("skipped", "All test users are there already.")
    emails = [email for email, *_ in TEST_USERS]
    known = (await session.exec(select(User.email).where(col(User.email).in_(emails)))).all()
    if len(known) == len(TEST_USERS):
        return already
    await session.rollback()  # hashing takes long, and others may wait for the lock
    hashed = await hash_password(TEST_PASSWORD)
    await lock(session)
    created = 0
    for email, group, staff, superuser, active in TEST_USERS:
        user = User(
            email=email, hashed_password=hashed, group=group, is_staff=staff, is_superuser=superuser, is_active=active
        )
        created += await add_if_missing(session, user)
    if not created:
        return already
    return StepResult("success", f"{created} test user(s) were created.")


STEPS = [SeedStep("users", "Test Users", add_test_users)]
