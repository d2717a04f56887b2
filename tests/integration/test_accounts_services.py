"""Sign-in, locks, accounts and the audit log against real databases, two Database objects as two instances."""

from __future__ import annotations

import asyncio
import socket
import uuid
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta

import pytest
from pydantic import SecretStr
from sqlmodel import SQLModel, col, select, update

from fastopp.database.errors import DatabaseUnavailable
from fastopp.database.session import Database
from fastopp.features.accounts import audit
from fastopp.features.accounts import service as accounts
from fastopp.features.accounts import sign_in as sign_in_module
from fastopp.features.accounts.client import Client
from fastopp.features.accounts.devices import Device
from fastopp.features.accounts.lockout import (
    FORGOTTEN_AFTER,
    TooManyAttempts,
    account_subject,
    address_subject,
    forget,
    read_standing,
    record_failure,
)
from fastopp.features.accounts.models import AuditLog, FailedAttempt, User
from fastopp.features.accounts.passwords import PasswordRejected, hash_password
from fastopp.features.accounts.service import (
    AccountInactive,
    AccountMissing,
    EmailTaken,
    InvalidEmail,
    add_if_missing,
    change_password,
    create_user,
    find_user,
)
from fastopp.features.accounts.sign_in import SignInFailed, SignInInactive, SignInNotStaff, sign_in
from fastopp.features.emergency import grants as emergency
from fastopp.platforms.local import LOCAL
from fastopp.settings import Settings
from fastopp.testing import ManualClock
from tests.gate import each_database, only_full
from tests.services.front import Front
from tests.services.postgres import ENCODED_PASSWORD, USER, Postgres

# Written by FastOpp 0.4.8 for test123.
OLD_HASH = "$argon2id$v=19$m=65536,t=3,p=4$CbtS5Mw4B3dsRb2K6vgr2Q$Xv9V6VgXIVmBrR/lBylBlTq4vPerk1mGSk+Z8gmhZ/s"
# Of test123, with today's parameters.
NEW_HASH = "$argon2id$v=19$m=19456,t=2,p=1$JajeBKNzf82i434noYdnLg$6sKLsOUazWQzTTzkHr7pAAnpB7iMmAeZLl1r1r5YFwg"
TABLES = ("users", "sessions", "account_links", "audit_logs", "failed_attempts")
ADDRESS = "192.0.2.1"


@pytest.fixture(scope="module")
def postgresql_url(postgres: Postgres, plain_front: Front) -> Iterator[str]:
    name = postgres.create_database()
    yield f"postgresql://{USER}:{ENCODED_PASSWORD}@localhost:{plain_front.port}/{name}"
    postgres.drop_database(name)


@pytest.fixture(params=["sqlite", *only_full("postgresql")])
def settings(request: pytest.FixtureRequest, tmp_path) -> Settings:
    url = f"sqlite:///{tmp_path}/test.db" if request.param == "sqlite" else request.getfixturevalue("postgresql_url")
    key = SecretStr("an-ordinary-key-of-forty-characters-more")
    return Settings(platform=LOCAL, database_url=SecretStr(url), secret_key=key)


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[Database]:
    database = Database.from_settings(settings)
    tables = [SQLModel.metadata.tables[name] for name in TABLES]
    async with database.engine.begin() as connection:
        await connection.run_sync(SQLModel.metadata.drop_all, tables=tables)
        await connection.run_sync(SQLModel.metadata.create_all, tables=tables)
    yield database
    await database.dispose()


@pytest.fixture
async def other_instance(settings: Settings, database: Database) -> AsyncIterator[Database]:
    other = Database.from_settings(settings)
    yield other
    await other.dispose()


async def add(database: Database, email: str, **columns: object) -> User:
    columns = {"hashed_password": NEW_HASH, "is_staff": True} | columns
    async with database.transaction() as session:
        user = User(email=email, **columns)
        session.add(user)
    return user


async def try_sign_in(database: Database, email: str, password: str = "wrong1", address: str = ADDRESS) -> str:
    try:
        await sign_in(database, email=email, password=password, client=Client(address))
    except (SignInFailed, TooManyAttempts, SignInInactive, SignInNotStaff) as error:
        return type(error).__name__
    return "signed in"


async def failures(database: Database) -> dict[str, int]:
    async with database.read() as session:
        return {row.subject: row.failures for row in await session.exec(select(FailedAttempt))}


async def stored_hash(database: Database, email: str) -> str:
    async with database.read() as session:
        user = await find_user(session, email)
        assert user is not None
        return user.hashed_password


# Signing in


async def test_who_may_sign_in(database: Database) -> None:
    await add(database, "staff@example.com")
    await add(database, "boss@example.com", is_staff=False, is_superuser=True)
    await add(database, "plain@example.com", is_staff=False)
    await add(database, "gone@example.com", is_active=False)
    await add(database, "odd@example.com", hashed_password="stored in clear")
    outcomes = {
        email: (await try_sign_in(database, email, "test123"), await try_sign_in(database, email, "wrong1"))
        for email in ("staff@example.com", "boss@example.com", "plain@example.com", "gone@example.com")
    }
    assert outcomes == {
        "staff@example.com": ("signed in", "SignInFailed"),
        "boss@example.com": ("signed in", "SignInFailed"),
        "plain@example.com": ("SignInNotStaff", "SignInFailed"),
        "gone@example.com": ("SignInInactive", "SignInFailed"),
    }
    for email, password in [("nobody@example.com", "test123"), ("odd@example.com", "stored in clear")]:
        assert await try_sign_in(database, email, password) == "SignInFailed"


async def test_unknown_accounts_and_wrong_passwords_sound_alike(database: Database) -> None:
    await add(database, "ann@example.com")
    texts = set()
    for email in ("ann@example.com", "nobody@example.com"):
        with pytest.raises(SignInFailed) as caught:
            await sign_in(database, email=email, password="wrong1", client=Client(ADDRESS))
        texts.add((str(caught.value), caught.value.status))
    assert texts == {("The email address or the password is wrong.", 401)}


async def test_unknown_accounts_cost_a_hash_too(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    async def noted(password: str) -> None:
        asked.append(password)

    monkeypatch.setattr(sign_in_module, "verify_nobody", noted)
    assert await try_sign_in(database, "nobody@example.com", "guess1") == "SignInFailed"
    assert asked == ["guess1"]


async def test_letter_case_of_the_email_does_not_matter(database: Database) -> None:
    await add(database, "Ann@Example.com")
    assert await try_sign_in(database, " aNN@eXAMPLE.com ", "test123") == "signed in"


@pytest.mark.parametrize("email", ["nul\0@example.com", "x" * 5000, "\ud800", "a\nb", "%", "_" * 15])
async def test_strange_emails_are_nobodys(database: Database, email: str) -> None:
    await add(database, "ann@example.com")
    assert await try_sign_in(database, email, "test123") == "SignInFailed"


async def test_a_password_that_is_too_long_is_refused_clearly(database: Database) -> None:
    await add(database, "ann@example.com")
    for email in ("ann@example.com", "nobody@example.com"):
        with pytest.raises(PasswordRejected, match="too long"):
            await sign_in(database, email=email, password="x" * 1025, client=Client(ADDRESS))


async def test_old_hash_is_replaced_at_sign_in(database: Database) -> None:
    await add(database, "ann@example.com", hashed_password=OLD_HASH)
    assert await try_sign_in(database, "ann@example.com", "wrong1") == "SignInFailed"
    assert await stored_hash(database, "ann@example.com") == OLD_HASH
    user = await sign_in(database, email="ann@example.com", password="test123", client=Client(ADDRESS))
    assert user.hashed_password.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert user.hashed_password == await stored_hash(database, "ann@example.com")


@each_database
async def test_concurrent_sign_ins_all_end_up_with_the_stored_hash(
    database: Database, other_instance: Database
) -> None:
    """Else the token of one of them would be void: its fingerprint is that of the hash."""
    await add(database, "ann@example.com", hashed_password=OLD_HASH)
    users = await asyncio.gather(
        *(
            sign_in(instance, email="ann@example.com", password="test123", client=Client(ADDRESS))
            for instance in (database, other_instance) * 4
        )
    )
    assert {user.hashed_password for user in users} == {await stored_hash(database, "ann@example.com")}
    assert await failures(database) == {}


@each_database
async def test_a_password_changed_in_the_same_moment_wins(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    await add(database, "ann@example.com", hashed_password=OLD_HASH)
    real = sign_in_module.verify_password
    changed = await hash_password("another")

    async def slow(password: str, hashed: str):
        verification = await real(password, hashed)
        async with database.transaction() as session:
            await session.exec(update(User).values(hashed_password=changed))
        return verification

    monkeypatch.setattr(sign_in_module, "verify_password", slow)
    assert await try_sign_in(database, "ann@example.com", "test123") == "SignInFailed"
    assert await stored_hash(database, "ann@example.com") == changed


# The lock


async def test_an_account_is_locked_on_every_instance(database: Database, other_instance: Database) -> None:
    await add(database, "ann@example.com")
    for instance in (database, other_instance, database, other_instance, database):
        assert await try_sign_in(instance, "ann@example.com") == "SignInFailed"
    for instance in (database, other_instance):
        with pytest.raises(TooManyAttempts) as caught:
            await sign_in(instance, email="ANN@example.com", password="test123", client=Client("192.0.2.99"))
        assert 1 <= caught.value.retry_after <= 31
    assert await failures(database) == {"account:ann@example.com": 5, f"address:{ADDRESS}": 5}
    assert await try_sign_in(database, "bob@example.com") == "SignInFailed"


async def test_unknown_accounts_are_locked_like_others(database: Database) -> None:
    outcomes = [await try_sign_in(database, "nobody@example.com") for _ in range(6)]
    assert outcomes == ["SignInFailed"] * 5 + ["TooManyAttempts"]


@pytest.mark.parametrize(
    "typed",
    [
        "adm\u0130n@example.com",  # I with a dot above: PostgreSQL folds it to i, Python to two characters
        "ADM\u0130N@example.com",
        "admin@example.\u212aom".replace("\u212a", "\u0441"),  # a Cyrillic letter that looks like c
        "admi\u0131n@example.com",  # a dotless i
        "\u00a0admin@example.com",  # a space that strip() removes
        "ADMIN@EXAMPLE.COM",
        "mar\u212a@example.com",  # the Kelvin sign, which folds to k
        "mark@example.com",
    ],
)
@each_database
async def test_no_spelling_escapes_the_lock_of_the_account_that_it_finds(database: Database, typed: str) -> None:
    for email in ("admin@example.com", "mark@example.com"):
        await add(database, email)
        for _ in range(5):
            assert await try_sign_in(database, email) == "SignInFailed"
    right = await try_sign_in(database, typed, "test123", "192.0.2.9")
    async with database.read() as session:
        found = await find_user(session, typed)
    assert right == ("TooManyAttempts" if found else "SignInFailed")


@each_database
async def test_every_database_finds_the_same_account(database: Database) -> None:
    await add(database, "admin@example.com")
    await add(database, "mark@example.com")
    async with database.read() as session:
        assert await find_user(session, "adm\u0130n@example.com") is None
        found = await find_user(session, " MAR\u212a@EXAMPLE.com")
    assert found is not None
    assert found.email == "mark@example.com"


async def test_a_known_browser_is_counted_apart(database: Database) -> None:
    ann, bob = await add(database, "ann@example.com"), await add(database, "bob@example.com")

    async def outcome(device: Device, password: str, email: str = "ann@example.com") -> str:
        try:
            await sign_in(database, email=email, password=password, client=Client(ADDRESS), device=device)
        except (SignInFailed, TooManyAttempts) as error:
            return type(error).__name__
        return "signed in"

    for number in range(25):  # by others: the account and the address are locked
        await try_sign_in(database, "ann@example.com", address=f"192.0.2.{number % 5}")
    async with database.transaction() as session:
        for _ in range(20):
            await record_failure(session, address_subject(ADDRESS))
    assert await try_sign_in(database, "ann@example.com", "test123") == "TooManyAttempts"
    known, before = Device(ann.id, "one"), await failures(database)
    assert await outcome(known, "test123") == "signed in"
    assert await failures(database) == before  # and the others' count is not wiped by it
    # It is no way to guess without end, for nobody else's account, and no way into another count.
    assert [await outcome(known, "wrong1") for _ in range(6)] == ["SignInFailed"] * 5 + ["TooManyAttempts"]
    assert await outcome(Device(ann.id, "two"), "test123") == "signed in"
    assert await outcome(Device(bob.id, "one"), "test123") == "TooManyAttempts"
    assert await outcome(Device(uuid.uuid4(), "one"), "test123") == "TooManyAttempts"


async def test_an_address_is_locked_after_failures_at_many_accounts(database: Database) -> None:
    await add(database, "ann@example.com")
    async with database.transaction() as session:
        for _ in range(19):
            await record_failure(session, address_subject(ADDRESS))
    assert await try_sign_in(database, "ann@example.com", "test123") == "signed in"
    assert await try_sign_in(database, "nobody@example.com") == "SignInFailed"
    assert await try_sign_in(database, "ann@example.com", "test123") == "TooManyAttempts"
    assert await try_sign_in(database, "ann@example.com", "test123", "192.0.2.2") == "signed in"


async def test_a_success_clears_the_account_but_not_the_address(database: Database) -> None:
    await add(database, "ann@example.com")
    for _ in range(4):
        await try_sign_in(database, "ann@example.com")
    assert await try_sign_in(database, "ann@example.com", "test123") == "signed in"
    assert await failures(database) == {f"address:{ADDRESS}": 4}


async def test_the_right_password_of_a_useless_account_is_no_guess(database: Database) -> None:
    await add(database, "gone@example.com", is_active=False)
    assert await try_sign_in(database, "gone@example.com", "test123") == "SignInInactive"
    assert await failures(database) == {}


@each_database
async def test_no_failure_is_lost_among_concurrent_ones(database: Database, other_instance: Database) -> None:
    subjects = (account_subject("ann@example.com"), address_subject(ADDRESS))

    async def fail(instance: Database) -> None:
        async with instance.transaction() as session:
            await record_failure(session, *subjects)

    await asyncio.gather(*(fail(instance) for instance in (database, other_instance) * 10))
    assert await failures(database) == {subject.name: 20 for subject in subjects}


@each_database
async def test_guesses_sent_all_at_once_do_not_slip_past_the_lock(database: Database, other_instance: Database) -> None:
    await add(database, "ann@example.com")
    outcomes = await asyncio.gather(
        *(try_sign_in(instance, "ann@example.com") for instance in (database, other_instance) * 15)
    )
    looked_at = outcomes.count("SignInFailed")
    assert 5 <= looked_at <= 5 + 2 * sign_in_module.CONCURRENT_SIGN_INS
    assert outcomes.count("TooManyAttempts") == 30 - looked_at


@each_database
async def test_locks_end_and_grow_and_are_forgotten(database: Database) -> None:
    subject, clock = account_subject("ann@example.com"), ManualClock()

    async def fail(times: int) -> timedelta | None:
        async with database.transaction() as session:
            for _ in range(times):
                await record_failure(session, subject, clock=clock)
            return (await read_standing(session, subject, clock=clock)).locked_for

    assert await fail(4) is None
    assert await fail(1) == timedelta(seconds=30)
    clock.advance(30)
    async with database.read() as session:
        assert (await read_standing(session, subject, clock=clock)).locked_for is None
    assert await fail(1) == timedelta(seconds=60)
    assert await fail(20) == timedelta(minutes=15)
    clock.advance(FORGOTTEN_AFTER.total_seconds() + 1)
    assert await fail(1) is None
    assert await failures(database) == {subject.name: 1}


async def test_forgotten_failures_are_removed(database: Database) -> None:
    clock = ManualClock()
    async with database.transaction() as session:
        for number in range(5):
            await record_failure(session, address_subject(f"192.0.2.{number}"), clock=clock)
        clock.advance(2 * FORGOTTEN_AFTER.total_seconds())
        await record_failure(session, address_subject("192.0.2.99"), clock=clock)
    assert await failures(database) == {"address:192.0.2.99": 1}


async def test_forget_only_the_named(database: Database) -> None:
    one, two = account_subject("a@example.com"), account_subject("b@example.com")
    async with database.transaction() as session:
        await record_failure(session, one, two)
        await forget(session, one)
        assert (await read_standing(session, one, two)).failed == {two.name}


# Accounts


async def test_create_user(database: Database) -> None:
    async with database.transaction() as session:
        user = await create_user(
            session, email=" Ann@EXAMPLE.com ", password="secret-enough", is_staff=True, group="marketing"
        )
    assert user.email == "Ann@example.com"
    assert await try_sign_in(database, "ann@example.com", "secret-enough") == "signed in"
    async with database.transaction() as session:
        with pytest.raises(EmailTaken):
            await create_user(session, email="aNN@example.com", password="secret-enough")
        with pytest.raises(InvalidEmail):
            await create_user(session, email="ann", password="secret-enough")
        with pytest.raises(PasswordRejected, match="at least 8 characters"):
            await create_user(session, email="bob@example.com", password="12345")
        assert [user.email for user in await accounts.list_users(session)] == ["Ann@example.com"]
        assert not await accounts.superuser_exists(session)


@each_database
async def test_two_creations_in_the_same_moment_make_one_account(database: Database, other_instance: Database) -> None:
    hashed = await hash_password("secret1")

    async def create(instance: Database) -> bool:
        async with instance.transaction() as session:
            return await add_if_missing(session, User(email="ann@example.com", hashed_password=hashed))

    added = await asyncio.gather(*(create(instance) for instance in (database, other_instance) * 3))
    assert sorted(added) == [False] * 5 + [True]


@each_database
async def test_accounts_that_differ_only_in_case_are_told_apart_by_exact_spelling(database: Database) -> None:
    """FastOpp 0.4.8 allowed them."""
    await add(database, "Ann@example.com")
    await add(database, "ann@example.com")
    async with database.read() as session:
        for email in ("Ann@example.com", "ann@example.com"):
            found = await find_user(session, email)
            assert found is not None
            assert found.email == email


async def test_change_password_ends_the_lock(database: Database) -> None:
    await add(database, "ann@example.com")
    for _ in range(5):
        await try_sign_in(database, "ann@example.com")
    assert await try_sign_in(database, "ann@example.com", "test123") == "TooManyAttempts"
    async with database.transaction() as session:
        await change_password(session, email="ANN@example.com", password="changed since")
    assert await try_sign_in(database, "ann@example.com", "changed since") == "signed in"


async def test_change_password_refuses(database: Database) -> None:
    await add(database, "gone@example.com", is_active=False)
    async with database.transaction() as session:
        with pytest.raises(AccountMissing):
            await change_password(session, email="nobody@example.com", password="changed since")
        with pytest.raises(AccountInactive):
            await change_password(session, email="gone@example.com", password="changed since")
        with pytest.raises(PasswordRejected):
            await change_password(session, email="gone@example.com", password="short")


# Emergency access


async def test_emergency_token_is_verified_and_wrong_ones_are_limited(
    database: Database, other_instance: Database, settings: Settings
) -> None:
    right = emergency.emergency_token(settings)
    await emergency.verify_emergency_token(database, settings, f" {right}\n", ADDRESS)
    for token in (settings.secret_key.get_secret_value(), "", right[:-1], right + "x", "\ud800"):
        with pytest.raises(emergency.WrongEmergencyToken):
            await emergency.verify_emergency_token(database, settings, token, ADDRESS)
    with pytest.raises(TooManyAttempts):
        await emergency.verify_emergency_token(other_instance, settings, right, ADDRESS)
    await emergency.verify_emergency_token(other_instance, settings, right, "192.0.2.7")


async def test_emergency_access_opens_a_database_without_tables(database: Database, settings: Settings) -> None:
    async with database.engine.begin() as connection:
        await connection.run_sync(SQLModel.metadata.tables["failed_attempts"].drop)
    await emergency.verify_emergency_token(database, settings, emergency.emergency_token(settings), ADDRESS)
    with pytest.raises(emergency.WrongEmergencyToken):
        await emergency.verify_emergency_token(database, settings, "wrong", ADDRESS)


async def test_emergency_makes_a_superuser_and_resets_a_password(database: Database) -> None:
    async with database.transaction() as session:
        user = await emergency.create_superuser(session, email="boss@example.com", password="a fine password")
    assert (user.is_active, user.is_superuser, user.is_staff, user.group) == (True, True, True, "admin")
    async with database.transaction() as session:
        assert await accounts.superuser_exists(session)
        await emergency.reset_password(session, email="boss@example.com", password="another fine one")
    assert await try_sign_in(database, "boss@example.com", "another fine one") == "signed in"


# The audit log


async def test_audit_rows_are_kept_with_the_change_only(database: Database) -> None:
    user = await add(database, "ann@example.com")
    async with database.transaction() as session:
        await audit.record(session, user, "update", "User", user.id, {"group": [None, "sales"]})
        await audit.record(session, user, "x" * 99, "y" * 99, "z" * 99)

    async def fail_after_recording() -> None:
        async with database.transaction() as session:
            await audit.record(session, user, "delete", "User", user.id)
            raise LookupError

    with pytest.raises(LookupError):
        await fail_after_recording()
    async with database.read() as session:
        rows = (await session.exec(select(AuditLog).order_by(col(AuditLog.timestamp)))).all()
    assert [(row.action, row.model_name, row.changes) for row in rows] == [
        ("update", "User", '{"group": [null, "sales"]}'),
        ("x" * 50, "y" * 50, None),
    ]


# The database is down


async def test_an_outage_is_no_wrong_password() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"postgresql://u:p@127.0.0.1:{closed.getsockname()[1]}/db"
        settings = Settings(platform=LOCAL, database_url=SecretStr(url), db_timeout=2, secret_key=SecretStr("k" * 32))
        database = Database.from_settings(settings)
        with pytest.raises(DatabaseUnavailable):
            await sign_in(database, email="ann@example.com", password="test123", client=Client(ADDRESS))
        token = emergency.emergency_token(settings)
        await emergency.verify_emergency_token(database, settings, token, ADDRESS)
        await database.dispose()
