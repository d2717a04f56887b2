"""A database that FastOpp 0.4.8 made is taken over, and nothing in it is lost."""

from __future__ import annotations

import json
import sqlite3
from datetime import UTC, datetime

import pytest

from fastopp.database.migrations import migrate
from fastopp.database.migrations.adopt import SCHEMA_0_4_8
from fastopp.database.migrations.errors import SchemaMismatch, UnknownRevision
from fastopp.database.session import Database
from tests.gate import each_database, only_full
from tests.services.migrations import (
    FIXTURES,
    HEAD,
    ROOT,
    TIMES,
    add_audit_log,
    add_migration,
    copy_migrations,
    execute,
    load_postgresql_0_4_8,
    load_sqlite_0_4_8,
    settings_for,
    tables,
)

FOLDER = ROOT / "alembic"
OLD_TABLES = ("users", "products", "webinar_registrants", "audit_logs")
VERSION_TABLE = "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL, PRIMARY KEY (version_num))"


@pytest.fixture(params=["sqlite", *only_full("psycopg", "asyncpg")])
def old(request, tmp_path):
    """The settings of a database as FastOpp 0.4.8 left it, with an audit log. PostgreSQL's zone is Los Angeles."""
    if request.param == "sqlite":
        url = load_sqlite_0_4_8(tmp_path / "test.db")
        add_audit_log(tmp_path / "test.db")
        yield settings_for(url)
        return
    postgres = request.getfixturevalue("postgres")
    name = postgres.create_database()
    postgres.execute(f"ALTER DATABASE {name} SET timezone TO 'America/Los_Angeles'")
    url = load_postgresql_0_4_8(postgres, name)
    postgres.execute(
        "INSERT INTO audit_logs (id, user_id, action, model_name, record_id, timestamp) SELECT "
        "'00000000-0000-0000-0000-000000000001', id, 'update', 'Product', '1', '2026-01-31 23:30' FROM users LIMIT 1",
        database=name,
    )
    yield settings_for(url.replace("postgresql://", f"postgresql+{request.param}://"))
    postgres.drop_database(name)


async def columns(settings, table):
    """The columns that FastOpp 0.4.8 made, as SQL; a column that a test renames is left out."""
    found = {name for row in await execute(settings, f"SELECT * FROM {table} LIMIT 1") for name in row}
    return ", ".join(f'"{name}"' for name in sorted(SCHEMA_0_4_8[table] & found)) or "*"


async def snapshot(settings):
    """Every value that FastOpp 0.4.8 wrote, with times as the UTC they mean, comparable before and after."""
    result = {}
    for table in OLD_TABLES:
        rows = await execute(settings, f"SELECT {await columns(settings, table)} FROM {table} ORDER BY id")
        result[table] = [{name: comparable(value) for name, value in row.items()} for row in rows]
    return result


def comparable(value):
    if isinstance(value, datetime):
        return (value.astimezone(UTC) if value.tzinfo else value).replace(tzinfo=None).isoformat(" ")
    return str(value)


async def stale(settings, revision):
    await execute(settings, VERSION_TABLE, f"INSERT INTO alembic_version VALUES ('{revision}')")


@pytest.mark.parametrize("version", [None, "empty", "a1b2c3d4e5f6", "123456789012", "held"])
@each_database
async def test_nothing_is_lost(old, version, tmp_path):
    folder = copy_migrations(tmp_path)
    if version == "empty":
        await execute(old, VERSION_TABLE)
    elif version == "held":
        add_migration(folder, "b1b2c3d4e5f6", None, "op.create_table('users')")
        add_migration(folder, "c1b2c3d4e5f6", "b1b2c3d4e5f6", "raise SystemExit")
        await stale(old, "c1b2c3d4e5f6")
    elif version:
        await stale(old, version)
    before = await snapshot(old)
    assert [len(before[table]) for table in OLD_TABLES] == [8, 8, 5, 1]
    states = await migrate.show_migrations(old, folder=folder)
    assert not any(state.applied for state in states)

    result = await migrate.upgrade(old, folder=folder)

    assert (result.adopted, result.current) == (True, HEAD)
    assert await snapshot(old) == before
    assert await execute(old, "SELECT version_num FROM alembic_version") == [{"version_num": HEAD}]
    check = await migrate.check(old, folder=folder)
    assert check.ok, check
    again = await migrate.upgrade(old, folder=folder)
    assert (again.adopted, again.applied) == (False, ())


@each_database
async def test_times_are_utc_and_say_so(old):
    from sqlmodel import select

    from demo.webinars.models import WebinarRegistrant

    before = await execute(old, "SELECT email, webinar_date FROM webinar_registrants")
    await migrate.upgrade(old, folder=FOLDER)
    database = Database.from_settings(old)
    async with database.read() as session:
        read = {each.email: each.webinar_date for each in await session.exec(select(WebinarRegistrant))}
    await database.dispose()
    expected = {row["email"]: datetime.fromisoformat(str(row["webinar_date"])).replace(tzinfo=UTC) for row in before}
    assert read == expected
    assert read["john.smith@example.com"] == datetime(2024, 2, 15, 14, tzinfo=UTC)


async def test_passwords_still_verify(old):
    from pwdlib import PasswordHash

    await migrate.upgrade(old, folder=FOLDER)
    (row,) = await execute(old, "SELECT hashed_password FROM users WHERE email = 'admin@example.com'")
    assert PasswordHash.recommended().verify("admin123", row["hashed_password"])


@each_database
async def test_and_back_again(old):
    before = await snapshot(old)
    await migrate.upgrade(old, folder=FOLDER)
    await migrate.downgrade(old, "0001", folder=FOLDER)
    assert await snapshot(old) == before
    assert set((await execute(old, "SELECT * FROM users"))[0]) == SCHEMA_0_4_8["users"]


async def test_minimal_mode_and_tables_of_ones_own(old):
    await execute(
        old, "DROP TABLE audit_logs", "DROP TABLE products", "DROP TABLE webinar_registrants",
        "CREATE TABLE my_notes (id INTEGER PRIMARY KEY, text VARCHAR)", "INSERT INTO my_notes VALUES (1, 'mine')",
        "ALTER TABLE users ADD COLUMN nickname VARCHAR DEFAULT 'none'",
        "ALTER TABLE users ADD COLUMN name VARCHAR DEFAULT 'Ann'",  # which ours has too
    )  # fmt: skip
    await stale(old, "a1b2c3d4e5f6")
    users = await execute(old, "SELECT * FROM users ORDER BY id")
    result = await migrate.upgrade(old, folder=FOLDER)
    assert result.adopted
    after = await execute(old, "SELECT * FROM users ORDER BY id")
    assert [{name: row[name] for name in users[0]} for row in after] == users
    assert await execute(old, "SELECT * FROM my_notes") == [{"id": 1, "text": "mine"}]
    assert await tables(old) >= {*OLD_TABLES, "failed_attempts", "my_notes"}


@pytest.mark.parametrize("version", [None, "a1b2c3d4e5f6"])
async def test_a_table_that_is_another(old, version):
    if version:
        await stale(old, version)
    await execute(old, "ALTER TABLE products RENAME COLUMN price TO cost")
    before = await snapshot(old), await tables(old)
    with pytest.raises(SchemaMismatch, match="table products has no column price"):
        await migrate.upgrade(old, folder=FOLDER)
    assert (await snapshot(old), await tables(old)) == before
    assert await migrate.current(old) == version


async def test_the_rescue_page_dropped_the_tables_but_not_the_version(old):
    await execute(old, *(f"DROP TABLE {table}" for table in reversed(OLD_TABLES)))
    await stale(old, "a1b2c3d4e5f6")
    result = await migrate.upgrade(old, folder=FOLDER)
    assert (result.adopted, result.current) == (False, HEAD)


async def test_a_database_of_something_else_is_not_touched(old):
    await execute(old, *(f"DROP TABLE {table}" for table in reversed(OLD_TABLES)), "CREATE TABLE theirs (id INTEGER)")
    await stale(old, "a1b2c3d4e5f6")
    with pytest.raises(UnknownRevision, match="'a1b2c3d4e5f6', which this project does not have"):
        await migrate.upgrade(old, folder=FOLDER)
    assert await tables(old) == {"theirs", "alembic_version"}


async def test_what_we_migrated_is_not_adopted_a_second_time(old):
    await migrate.upgrade(old, folder=FOLDER)
    await execute(old, "UPDATE alembic_version SET version_num = 'a1b2c3d4e5f6'")
    with pytest.raises(UnknownRevision):
        await migrate.upgrade(old, folder=FOLDER)


async def test_columns_that_somebody_gave_a_zone_keep_their_moment(postgres):
    name = postgres.create_database()
    postgres.execute(f"ALTER DATABASE {name} SET timezone TO 'America/Los_Angeles'")
    settings = settings_for(load_postgresql_0_4_8(postgres, name))
    await execute(
        settings, "ALTER TABLE products ALTER created_at TYPE timestamptz USING created_at AT TIME ZONE 'UTC'"
    )
    before = await snapshot(settings)
    await migrate.upgrade(settings, folder=FOLDER)
    assert await snapshot(settings) == before
    (row,) = await execute(
        settings,
        "SELECT count(*) AS n FROM information_schema.columns WHERE table_schema = 'public' AND table_name IN "
        "('products', 'webinar_registrants', 'audit_logs') AND data_type = 'timestamp with time zone'",
    )
    assert row["n"] == sum(map(len, TIMES.values()))
    postgres.drop_database(name)


async def test_rows_that_pointed_nowhere_before_stay(tmp_path):
    """SQLite did not enforce foreign keys under FastOpp 0.4.8."""
    settings = settings_for(load_sqlite_0_4_8(tmp_path / "test.db"))
    add_audit_log(tmp_path / "test.db")
    connection = sqlite3.connect(tmp_path / "test.db")
    connection.execute("UPDATE audit_logs SET user_id = 'nobody'")
    connection.commit()
    connection.close()
    assert (await migrate.upgrade(settings, folder=FOLDER)).adopted
    assert await execute(settings, "SELECT user_id FROM audit_logs") == [{"user_id": "nobody"}]


async def test_the_text_of_times_on_sqlite_stays_as_it_is(tmp_path):
    path = tmp_path / "test.db"
    settings = settings_for(load_sqlite_0_4_8(path))

    def texts(file):
        connection = sqlite3.connect(file)
        names = {table: ", ".join(f'"{name}"' for name in sorted(SCHEMA_0_4_8[table])) for table in OLD_TABLES}
        rows = [connection.execute(f"SELECT {names[table]} FROM {table} ORDER BY id").fetchall() for table in names]
        connection.close()
        return json.dumps(rows)

    await migrate.upgrade(settings, folder=FOLDER)
    assert texts(path) == texts(FIXTURES / "fastopp-0.4.8-sqlite.db")
