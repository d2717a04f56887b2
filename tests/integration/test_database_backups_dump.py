"""Dumps of whole databases, from each kind into each, through every driver."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
import json
import math
import sqlite3
import subprocess
import sys
import zlib
from contextlib import closing
from decimal import Decimal
from uuid import uuid4

import pytest
from sqlmodel import SQLModel

from demo.products.models import Product
from demo.webinars.models import WebinarRegistrant
from fastopp.database.migrations import migrate
from fastopp.database.migrations.errors import MigrationError, UnknownRevision
from fastopp.database.session import Database
from fastopp.features.accounts.models import AuditLog, FailedAttempt, User, utc_now
from fastopp.features.database_backups.dump.backup_file import read_file, write_file
from fastopp.features.database_backups.dump.dump import DatabaseDump
from fastopp.features.database_backups.dump.encryption import Damaged, WrongKey, encrypt
from fastopp.features.database_backups.dump.errors import BadDump, DatabaseNotEmpty, RestoreFailed, ValueDoesNotFit
from fastopp.features.database_backups.dump.restore import restore
from fastopp.settings.database_url import DatabaseURL
from tests.gate import full, only_full
from tests.services import forks
from tests.services.migrations import HEAD, execute, settings_for, tables
from tests.services.postgres import ENCODED_PASSWORD, USER

METADATA = SQLModel.metadata
KINDS = ["sqlite", "psycopg", "asyncpg", "psycopg-pooler", "asyncpg-pooler"]
ODD_TEXT = 'a "quoted"\nline\r\\ \u2028 \U0001f600 :colon %s \x01'


@pytest.fixture
def make_url(templates, tmp_path, request):
    """Make databases by kind, empty or filled once and copied. The function returns their URLs."""
    with contextlib.ExitStack() as stack:

        def make(kind, fill=None):
            driver, _, pooled = kind.partition("-")
            url = stack.enter_context(templates.copied(driver, tmp_path / uuid4().hex, fill))
            if driver == "sqlite":
                return url
            name = url.partition("?")[0].rpartition("/")[2]
            port = request.getfixturevalue("pooler" if pooled else "plain_front").port
            query = "?sslmode=require" if pooled else ""
            return f"postgresql+{driver}://{USER}:{ENCODED_PASSWORD}@localhost:{port}/{name}{query}"

        yield make


async def migrated(url, folder=None, revision="head"):
    await migrate.upgrade(settings_for(url), revision)


async def seeded(url, folder):
    """A migrated database with rows in every table."""
    await migrated(url)
    ended = {"old_tokens_ended_at": utc_now()}  # otherwise the restore writes it
    user = User(email=ODD_TEXT, hashed_password="x" * 100, is_superuser=True, **ended)
    other = User(email="b@example.com", hashed_password="", is_active=False, group="", **ended)
    rows = [
        user, other,
        Product(name="exact", price=0.1 + 0.2, in_stock=False),
        Product(name="tiny", price=5e-324, description=""),
        Product(name="huge", price=1.7976931348623157e308, category="ü"),
        Product(name="zero", price=0.0),
        WebinarRegistrant(email="w@example.com", name="W", webinar_title="T", webinar_date=utc_now(), notes=ODD_TEXT),
        FailedAttempt(subject="b", failures=2**31 - 1), FailedAttempt(subject="B", failures=1),
        FailedAttempt(subject="ä", failures=1), FailedAttempt(subject="a", failures=1),
    ]  # fmt: skip
    database = Database.from_settings(settings_for(url))
    async with database.transaction() as session:
        session.add_all(rows)
        await session.flush()
        session.add(AuditLog(user_id=user.id, action="create", model_name="User", record_id="1", changes='{"a": [1]}'))
    await database.dispose()


async def dump(url, metadata=METADATA):
    made = DatabaseDump(DatabaseURL.parse(url), metadata)
    return b"".join([chunk async for chunk in made.chunks()])


async def pieces(data, size=10_000):
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def bring_back(url, data, **options):
    return await restore(DatabaseURL.parse(url), pieces(data), metadata=METADATA, **options)


def lines(data):
    return zlib.decompress(data, 31).splitlines()


def content(data):
    """All of a dump but its first line and the sum over it, which tell where and when it was made."""
    first, *rest, last = lines(data)
    names = [table["name"] for table in json.loads(first)["tables"]]
    return json.loads(first)["revision"], names, rest, json.loads(last)["rows"]


def repack(changed):
    compress = zlib.compressobj(6, zlib.DEFLATED, 31)
    return compress.compress(b"".join(line + b"\n" for line in changed)) + compress.flush()


SOURCES = ("sqlite", "psycopg", "asyncpg-pooler")
EACH_KIND = [
    ("sqlite", "psycopg-pooler"), ("psycopg", "sqlite"), ("asyncpg-pooler", "asyncpg"), ("sqlite", "asyncpg-pooler"),
    ("psycopg", "psycopg"),
]  # fmt: skip
OTHERS = only_full(*(pair for pair in itertools.product(SOURCES, KINDS) if pair not in EACH_KIND))


@pytest.mark.parametrize(("source", "target"), [*EACH_KIND, *OTHERS])
async def test_a_dump_of_each_kind_is_restored_into_each(make_url, source, target):
    original = await dump(make_url(source, seeded))
    url = make_url(target)
    restored = await bring_back(url, original)
    assert restored.revision == HEAD
    assert restored.rows["users"] == 2
    assert restored.rows["audit_logs"] == 1
    assert not restored.skipped
    assert content(await dump(url)) == content(original)
    database = Database.from_settings(settings_for(url))
    async with database.read() as session:
        assert sorted((await session.get(FailedAttempt, "ä")).model_dump()) == ["failures", "last_failure", "subject"]
    await database.dispose()


async def test_the_same_rows_are_the_same_bytes_there_and_back_again(make_url):
    first = await dump(make_url("sqlite", seeded))
    there = make_url("psycopg")
    await bring_back(there, first)
    back = make_url("sqlite")
    await bring_back(back, await dump(there))
    assert content(await dump(back)) == content(first)


POSTGRESQL_TYPES = """
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE TABLE "odd: ""Täble" (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "c:olumn %s" text, b boolean, s smallint, r real,
    d double precision, n numeric(12, 2), anything numeric, u uuid, bin bytea, tz timestamptz, naive timestamp,
    day date, clock time, js json, jsb jsonb, list integer[], i interval, m mood, ip inet, fixed char(5),
    twice bigint GENERATED ALWAYS AS (s * 2) STORED
)
"""
FILLED = """
INSERT INTO "odd: ""Täble" (
    "c:olumn %s", b, s, r, d, n, anything, u, bin, tz, naive, day, clock, js, jsb, list, i, m, ip, fixed
) VALUES
    (E'\\t:x %s \\n', true, 7, 0.1, 'NaN', 10.50, '12345678901234567890.123456789', gen_random_uuid(), '\\x00ff',
     '2026-03-29 02:30:00.000001+02', '2026-03-29 02:30', '2026-01-31', '23:59:59.5', '{"b": 1.10,  "a": 1e400}',
     '{"b": 1.10, "a": null}', '{1,NULL,3}', '1 mon 2 days 03:04:05.6', 'happy', '::1', 'ab'),
    (NULL, NULL, NULL, NULL, '-Infinity', NULL, 'NaN', NULL, '', 'infinity', '0044-03-15 12:00 BC', NULL, NULL,
     'null', 'null', '{}', NULL, NULL, NULL, NULL),
    ('', false, -1, 'Infinity', -0.0, -0.01, 1e30, NULL, NULL, NULL, NULL, '20000-01-01', '24:00', '"x"', '[]',
     NULL, '-1 year', 'sad', '10.0.0.0/8', '')
"""


@pytest.mark.parametrize("driver", ["psycopg", *only_full("asyncpg")])
async def test_every_type_of_postgresql_survives(make_url, postgres, driver):
    source, target = make_url(driver, migrated), make_url(driver, migrated)
    for url in (source, target):
        postgres.execute(f"SET ROLE {USER}; {POSTGRESQL_TYPES}", database=url.rpartition("/")[2])
    postgres.execute(FILLED, database=source.rpartition("/")[2])
    original = await dump(source)
    restored = await bring_back(target, original)
    assert restored.rows['odd: "Täble'] == 3
    assert content(await dump(target)) == content(original)
    # The identity goes on after the highest number.
    await execute(settings_for(target), 'INSERT INTO "odd\\: ""Täble" (s) VALUES (21)')
    (row,) = await execute(settings_for(target), 'SELECT id, twice FROM "odd\\: ""Täble" ORDER BY id DESC LIMIT 1')
    assert row == {"id": 4, "twice": 42}


async def test_partitions_and_tables_of_extensions(make_url, postgres):
    source, target = make_url("psycopg", migrated), make_url("asyncpg", migrated)
    for url in (source, target):
        name = url.rpartition("/")[2]
        postgres.execute(
            f"SET ROLE {USER}; CREATE TABLE whole (id int PRIMARY KEY) PARTITION BY RANGE (id);"
            "CREATE TABLE low PARTITION OF whole FOR VALUES FROM (0) TO (10);"
            "CREATE TABLE high PARTITION OF whole FOR VALUES FROM (10) TO (20)",
            database=name,
        )
        postgres.execute("CREATE TABLE made (id int); INSERT INTO made VALUES (1)", database=name)
        postgres.execute("ALTER EXTENSION plpgsql ADD TABLE made", database=name)
    postgres.execute("INSERT INTO whole SELECT generate_series(5, 15)", database=source.rpartition("/")[2])
    original = await dump(source)
    restored = await bring_back(target, original)
    assert {name: restored.rows.get(name) for name in ("whole", "low", "high", "made")} == {
        "whole": 0, "low": 5, "high": 6, "made": None,
    }  # fmt: skip
    await bring_back(target, original, force=True)
    assert content(await dump(target)) == content(original)


SQLITE_TYPES = """
CREATE TABLE things (
    id INTEGER PRIMARY KEY, price NUMERIC(10, 2), ratio FLOAT, bin BLOB, day DATE, clock TIME, js JSON, plain VARCHAR,
    flag BOOLEAN, moment DATETIME, number INTEGER, anything
)
"""
ORDINARY = [
    (1, 10.5, math.inf, b"\x00\xff", "2026-01-31", "23:59:59.500000", '{"a": 1.10}', ODD_TEXT, 1,
     "2026-01-31 23:30:00.000000", 2**63 - 1, None),
    (2, 3, -0.0, b"", None, None, "5", "", 0, "2026-01-31 23:30:00", -(2**63), None),
    (3, None, None, None, None, None, None, None, None, None, None, None),
]  # fmt: skip
SURPRISING = (4, "many", "much", "text", "someday", 5, b"{}", b"bytes", 7, "soon", 1.5, "anything")


def fill_sqlite(url, rows, script=SQLITE_TYPES):
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection, connection:
        connection.execute(script)
        connection.executemany(f"INSERT INTO things VALUES ({', '.join('?' * 12)})", rows)


def sqlite_rows(url, table="things"):
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
        return connection.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall()


async def test_whatever_sqlite_holds_survives(make_url):
    source, target = make_url("sqlite", migrated), make_url("sqlite", migrated)
    fill_sqlite(source, [*ORDINARY, SURPRISING])
    fill_sqlite(target, [])
    original = await dump(source)
    await bring_back(target, original)
    assert content(await dump(target)) == content(original)
    assert [repr(row) for row in sqlite_rows(target)] == [
        repr(row).replace("23:30:00'", "23:30:00.000000'") for row in sqlite_rows(source)
    ]


async def test_sqlite_types_become_postgresql_types(make_url, postgres):
    source, target = make_url("sqlite", migrated), make_url("psycopg", migrated)
    fill_sqlite(source, ORDINARY)
    postgres.execute(
        f"SET ROLE {USER}; CREATE TABLE things (id serial PRIMARY KEY, price numeric(10, 2), ratio float8, bin bytea, "
        "day date, clock time, js json, plain varchar, flag boolean, moment timestamptz, number bigint, anything text)",
        database=target.rpartition("/")[2],
    )
    original = await dump(source)
    await bring_back(target, original)
    assert content(await dump(target)) == content(original)
    first = (await execute(settings_for(target), "SELECT * FROM things ORDER BY id"))[0]
    assert first["price"] == Decimal("10.50")
    assert first["moment"].isoformat() == "2026-01-31T23:30:00+00:00"
    (row,) = await execute(settings_for(target), "INSERT INTO things (plain) VALUES ('new') RETURNING id")
    assert row["id"] == 4


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [("plain", "nul\0", "U\\+0000"), ("number", "many", "bigint"), ("plain", "too long", "too long")],
)
async def test_what_postgresql_cannot_hold_is_refused_and_nothing_changes(make_url, postgres, column, value, reason):
    source, target = make_url("sqlite", migrated), make_url("psycopg", migrated)
    fill_sqlite(source, [])
    with closing(sqlite3.connect(source.removeprefix("sqlite:///"))) as connection, connection:
        connection.execute(f"INSERT INTO things (id, {column}) VALUES (1, ?)", (value,))
    postgres.execute(
        f"SET ROLE {USER}; CREATE TABLE things (id int PRIMARY KEY, price numeric, ratio float8, bin bytea, day date, "
        "clock time, js json, plain varchar(6), flag boolean, moment timestamptz, number bigint, anything text)",
        database=target.rpartition("/")[2],
    )
    with pytest.raises((ValueDoesNotFit, RestoreFailed), match=reason):
        await bring_back(target, await dump(source))
    assert not await execute(settings_for(target), "SELECT * FROM things")


@pytest.mark.parametrize("value", ["'NaN'::float8", "1e30::numeric + 0.5", "'infinity'::timestamptz"])
async def test_what_sqlite_cannot_hold_is_refused_and_nothing_changes(make_url, postgres, value):
    source, target = make_url("psycopg", migrated), make_url("sqlite", migrated)
    postgres.execute(f"SET ROLE {USER}; CREATE TABLE t AS SELECT {value} AS v", database=source.rpartition("/")[2])
    with closing(sqlite3.connect(target.removeprefix("sqlite:///"))) as connection, connection:
        connection.execute("CREATE TABLE t (v NUMERIC)")
    with pytest.raises(ValueDoesNotFit, match=r"t\.v"):
        await bring_back(target, await dump(source))
    assert not sqlite_rows(target, "t")


@pytest.mark.parametrize("kind", ["sqlite", "psycopg", *only_full("asyncpg-pooler")])
async def test_a_database_with_rows_is_refused_and_replaced_by_force(make_url, kind):
    original = await dump(make_url("sqlite", seeded))
    url = make_url(kind, seeded)
    before = await dump(url)
    with pytest.raises(DatabaseNotEmpty, match="users"):
        await bring_back(url, original)
    assert content(await dump(url)) == content(before)
    # Damaged at its very end: everything was written, and is taken back.
    with pytest.raises(BadDump, match="checksum"):
        await bring_back(url, repack([*lines(original)[:-1], b'{"rows":{},"sha256":""}']), force=True)
    with pytest.raises(BadDump, match="too early"):
        await bring_back(url, original[:-8], force=True)
    assert content(await dump(url)) == content(before)
    await bring_back(url, original, force=True)
    assert content(await dump(url)) == content(original)


@pytest.mark.parametrize("kind", ["sqlite", "psycopg"])
async def test_evidence_against_files_is_neither_dumped_nor_kept(make_url, kind):
    """The restored rows may name what the present ones gave up."""
    source, target = make_url(kind, migrated), make_url(kind, migrated)
    given_up = "INSERT INTO file_evidence (key, state, due) VALUES ('photos/a.jpg', 'discarded', '2026-01-31')"
    await execute(settings_for(source), given_up)
    original = await dump(source)
    assert "file_evidence" not in content(original)[1]
    await execute(settings_for(target), given_up)
    restored = await bring_back(target, original)  # without force: evidence is no row of a user's
    assert "file_evidence" not in restored.rows
    assert await execute(settings_for(target), "SELECT * FROM file_evidence") == []


@pytest.mark.parametrize("kind", ["sqlite", *only_full("psycopg")])
@pytest.mark.parametrize("there", [None, "0001", "head"])
async def test_the_database_is_brought_to_the_migration_of_the_dump(make_url, kind, there):
    source = make_url("sqlite")
    await migrated(source, revision="0002")
    await execute(
        settings_for(source),
        "INSERT INTO users (id, email, hashed_password, is_active, is_superuser, is_staff) "
        "VALUES (lower(hex(randomblob(16))), 'a', 'b', 1, 1, 1)",
    )
    original = await dump(source)
    url = make_url(kind)
    if there:
        await migrated(url, revision=there)
    if there == "head":
        # By force also where something is to be lost, and all or nothing.
        await execute(settings_for(url), "INSERT INTO failed_attempts VALUES ('x', 1, '2026-01-31 23:30:00')")
        with pytest.raises(DatabaseNotEmpty):
            await bring_back(url, original)
        with pytest.raises(BadDump):
            await bring_back(url, original[:-8], force=True)
        assert await migrate.current(settings_for(url)) == HEAD
        assert len(await execute(settings_for(url), "SELECT * FROM failed_attempts")) == 1
    await bring_back(url, original, force=there == "head")
    assert await migrate.current(settings_for(url)) == "0002"
    assert content(await dump(url)) == content(original)
    await migrated(url)
    assert len(await execute(settings_for(url), "SELECT * FROM users")) == 1


async def test_a_dump_of_an_unknown_migration_is_refused(make_url):
    original = await dump(make_url("sqlite", migrated))
    first, *rest = lines(original)
    url = make_url("sqlite")
    with pytest.raises(UnknownRevision, match="9999"):
        await bring_back(url, signed([first.replace(f'"{HEAD}"'.encode(), b'"9999"'), *rest[:-1]]))
    with pytest.raises(UnknownRevision):
        await bring_back(url, await dump(make_url("sqlite")))
    assert not await tables(settings_for(url))


async def test_tables_that_nobody_makes_are_dumped_and_reported(make_url):
    source, target = make_url("sqlite", migrated), make_url("psycopg")
    fill_sqlite(source, ORDINARY)
    restored = await bring_back(target, await dump(source))
    assert restored.skipped == {"things": 3}
    assert "things" not in await tables(settings_for(target))


async def test_without_models_a_uuid_still_finds_its_way(make_url):
    """As in a project whose demo was removed while its tables stayed."""
    source = make_url("sqlite", seeded)
    there, back = make_url("psycopg"), make_url("sqlite")
    await restore(DatabaseURL.parse(there), pieces(await dump(source, None)))
    await restore(DatabaseURL.parse(back), pieces(await dump(there, None)))
    assert sqlite_rows(back, "users") == sqlite_rows(source, "users")
    assert content(await dump(there)) == content(await dump(source))


@pytest.mark.parametrize("kind", ["sqlite", "psycopg", *only_full("asyncpg-pooler")])
async def test_rows_may_point_to_later_rows_and_in_circles(make_url, postgres, kind):
    circle = [
        "CREATE TABLE a (id int PRIMARY KEY, up int REFERENCES a (id), b int)",
        "CREATE TABLE b (id int PRIMARY KEY, a int REFERENCES a (id))",
    ]
    rows = [f"INSERT INTO a VALUES ({n}, {n + 1}, {n})" for n in range(1, 3)] + [
        "INSERT INTO a VALUES (3, 1, 3)", "INSERT INTO b VALUES (1, 3), (2, 1), (3, 2)",
    ]  # fmt: skip
    source, target = make_url("psycopg", migrated), make_url(kind, migrated)
    name = source.rpartition("/")[2]
    postgres.execute(f"SET ROLE {USER}; {circle[0]}; {circle[1]}", database=name)
    close = "ALTER TABLE a ADD CONSTRAINT circle FOREIGN KEY (b) REFERENCES b (id)"
    postgres.execute("ALTER TABLE a ALTER CONSTRAINT a_up_fkey DEFERRABLE INITIALLY DEFERRED", database=name)
    postgres.execute("; ".join(rows), database=name)
    postgres.execute(close, database=name)
    if kind == "sqlite":
        circle[0] = circle[0].replace("b int)", "b int REFERENCES b (id))")
        with closing(sqlite3.connect(target.removeprefix("sqlite:///"))) as connection, connection:
            for statement in circle:
                connection.execute(statement)
    else:
        within = target.partition("?")[0].rpartition("/")[2]
        postgres.execute(f"SET ROLE {USER}; {'; '.join(circle)}; {close}", database=within)
    original = await dump(source)
    for force in (False, True):
        await bring_back(target, original, force=force)
        assert content(await dump(target)) == content(original)
    if kind != "sqlite":
        keys = await execute(settings_for(target), "SELECT condeferrable FROM pg_constraint WHERE contype = 'f'")
        assert not any(key["condeferrable"] for key in keys)
    # A row that points nowhere is found, whatever the order.
    torn = [line.replace(b"[2,1]", b"[2,99]") for line in lines(original)[:-1]]
    with pytest.raises((RestoreFailed, MigrationError)):
        await bring_back(target, signed(torn), force=True)
    assert content(await dump(target)) == content(original)


def signed(changed):
    """A dump of these lines, with the last line that they need."""
    sum_ = hashlib.sha256(b"".join(line + b"\n" for line in changed)).hexdigest()
    rows, table = {}, None
    for line in changed[1:]:
        value = json.loads(line)
        if isinstance(value, dict):
            table = value["table"]
            rows[table] = 0
        else:
            rows[table] += 1
    return repack([*changed, json.dumps({"rows": rows, "sha256": sum_}).encode()])


@pytest.mark.parametrize("kind", ["sqlite", "psycopg", "asyncpg", "psycopg-pooler"])
async def test_a_dump_is_of_one_moment_and_hinders_nobody(make_url, kind):
    url = make_url(kind, seeded)
    before = content(await dump(url))
    made = DatabaseDump(DatabaseURL.parse(url), METADATA)
    chunks = made.chunks()
    data = await anext(chunks)
    statement = "INSERT INTO failed_attempts VALUES ('later', 1, '2026-01-31 23:30:00')"
    await execute(settings_for(url), "DELETE FROM audit_logs", "DELETE FROM users", statement)
    async for chunk in chunks:
        data += chunk
    assert content(data) == before
    assert made.rows["users"] == 2
    assert made.revision == HEAD


async def test_an_encrypted_dump_needs_its_key_and_its_end(make_url, tmp_path):
    source = make_url("sqlite", seeded)
    path, url = tmp_path / "x.enc", make_url("sqlite")
    made = DatabaseDump(DatabaseURL.parse(source), METADATA)
    size = await write_file(path, encrypt(made.chunks(), "the right key"))
    assert size == path.stat().st_size
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(WrongKey):
        await restore(DatabaseURL.parse(url), read_file(path), secrets=["another", "key"], metadata=METADATA)
    data = path.read_bytes()
    for torn in (data[:-1], data[:-20], data[:60], data[:40], data[:-1] + bytes([data[-1] ^ 1]), data + b"x"):
        with pytest.raises((Damaged, BadDump)):
            await bring_back(url, torn, secrets=["the right key"])
    assert not await tables(settings_for(url))
    await restore(DatabaseURL.parse(url), read_file(path), secrets=["old", "the right key"], metadata=METADATA)
    assert content(await dump(url)) == content(await dump(source))


@pytest.mark.parametrize("data", [b"", b"x", b"SQLite format 3\0" * 10, zlib.compress(b"{}"), repack([b"{}"]),
                                  repack([b"[]"]), repack([b"\xff"]), repack([b"[" * 100_000])])  # fmt: skip
async def test_what_is_no_dump_is_refused(make_url, data):
    with pytest.raises(BadDump):
        await bring_back(make_url("sqlite"), data)


async def test_a_cancelled_backup_leaves_no_file_and_a_cancelled_restore_no_row(make_url, tmp_path):
    source, target = make_url("sqlite", seeded), make_url("psycopg", seeded)
    before = content(await dump(target))
    original = await dump(source)
    halfway = asyncio.Event()

    async def stuck():
        async for piece in pieces(original[:-8], 100):
            yield piece
        halfway.set()
        await asyncio.Event().wait()

    for work in (
        write_file(tmp_path / "backup.gz", stuck()),
        restore(DatabaseURL.parse(target), stuck(), metadata=METADATA, force=True),
    ):
        halfway.clear()
        task = asyncio.create_task(work)
        await halfway.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert not [path.name for path in tmp_path.iterdir() if "backup" in path.name]
    assert content(await dump(target)) == before


KILLED = """
import asyncio, sys
from pathlib import Path
from fastopp.features.database_backups.dump.backup_file import read_file, write_file
from fastopp.features.database_backups.dump.dump import DatabaseDump
from fastopp.features.database_backups.dump.restore import restore
from fastopp.settings.database_url import DatabaseURL

source, target, backup, again = sys.argv[1:]
print("go", flush=True)
asyncio.run(write_file(Path(again), DatabaseDump(DatabaseURL.parse(source)).chunks()))
print("restoring", flush=True)
asyncio.run(restore(DatabaseURL.parse(target), read_file(Path(backup)), force=True))
print("done", flush=True)
"""


@pytest.mark.parametrize("kind", ["sqlite", *only_full("psycopg")])
async def test_killed_at_any_moment_the_file_is_whole_or_not_there_and_the_database_old_or_new(
    make_url, tmp_path, kind
):
    source, target = make_url("sqlite", migrated), make_url(kind, seeded)
    numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000)"
    await execute(settings_for(source), f"INSERT INTO failed_attempts {numbers} SELECT i, i, '2026-01-31' FROM n")
    backup, again = tmp_path / "backup", tmp_path / "again"
    await write_file(backup, DatabaseDump(DatabaseURL.parse(source), METADATA).chunks())
    old, new = content(await dump(target)), content(backup.read_bytes())
    for delay in (0.02, 0.1, 0.2, 0.3, 0.5):
        again.unlink(missing_ok=True)
        process = forks.Program(["-c", KILLED, source, target, backup, again], stdout=forks.PIPE)
        process.stdout.readline()
        if delay > 0.1:
            process.stdout.readline()
        await asyncio.sleep(delay)
        process.kill()
        process.communicate()
        if again.exists():
            assert content(again.read_bytes()) == new
        assert content(await dump(target)) in (old, new)
    await restore(DatabaseURL.parse(target), read_file(backup), metadata=METADATA, force=True)
    assert content(await dump(target)) == new


PEAK = """
import asyncio, resource, sys
from pathlib import Path
from fastopp.features.database_backups.dump.backup_file import read_file, write_file
from fastopp.features.database_backups.dump.dump import DatabaseDump
from fastopp.features.database_backups.dump.encryption import encrypt
from fastopp.features.database_backups.dump.restore import restore
from fastopp.settings.database_url import DatabaseURL

async def there_and_back():
    source, target, path = DatabaseURL.parse(sys.argv[1]), DatabaseURL.parse(sys.argv[2]), Path(sys.argv[3])
    await write_file(path, encrypt(DatabaseDump(source).chunks(), "key"))
    await restore(target, read_file(path), secrets=["key"])

asyncio.run(there_and_back())
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def peak(*arguments):
    """The most memory, in KiB, that a process of its own needed."""
    command = [sys.executable, "-c", PEAK, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@full
@pytest.mark.parametrize("kind", ["sqlite", "psycopg", "asyncpg"])
async def test_memory_does_not_grow_with_the_rows(make_url, tmp_path, kind):
    fill = (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows}) "
        "INSERT INTO failed_attempts SELECT CAST(i AS text) || {padding}, i, '2026-01-31 23:30:00' FROM n"
    )
    padding = "hex(zeroblob(90))" if kind == "sqlite" else "repeat('0', 180)"
    peaks = {}
    for rows in (1000, 100_000):
        url, target = make_url(kind, migrated), make_url(kind)
        await execute(settings_for(url), fill.format(rows=rows, padding=padding))
        peaks[rows] = await asyncio.to_thread(peak, url, target, tmp_path / f"{kind}-{rows}")
        (count,) = await execute(settings_for(target), "SELECT count(*) AS n FROM failed_attempts")
        assert count["n"] == rows
    # The rows themselves are 20 MB, and several times that as objects.
    assert peaks[100_000] - peaks[1000] < 8 * 1024, peaks
