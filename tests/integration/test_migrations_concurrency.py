"""Many processes at once, a process killed in the middle, and locks that somebody else holds."""

from __future__ import annotations

import asyncio
import json
import sqlite3

import psycopg
import pytest

from fastopp.database.migrations import lock as migration_lock
from fastopp.database.migrations import migrate
from fastopp.database.migrations.errors import MigrationTimeout
from fastopp.errors import Unavailable
from fastopp.features.migrations.start import migrate_at_start
from tests.gate import only_full
from tests.services import forks
from tests.services.migrations import (
    HEAD,
    NEXT,
    ROOT,
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

MIGRATE = """
import asyncio, json
from fastopp.features.leapcell.migrations import migrate_leapcell
from fastopp.settings import load_settings
result = migrate_leapcell(progress=lambda step: print(step.revision, flush=True))
print(json.dumps([len(result.applied), result.adopted, result.current]))
"""


def start(url, project):
    return forks.Program(
        ["-W", "error", "-c", MIGRATE], cwd=project, env={"DATABASE_URL": url, "PATH": ""},
        stdout=forks.PIPE, stderr=forks.PIPE, text=True,
    )  # fmt: skip


@pytest.fixture(params=["sqlite", "psycopg", *only_full("asyncpg")])
def old_url(request, tmp_path):
    """The URL of FastOpp 0.4.8's database; PostgreSQL's is reached through a transaction pooler with TLS."""
    if request.param == "sqlite":
        return load_sqlite_0_4_8(tmp_path / "test.db")
    name = request.getfixturevalue("postgres_database")
    load_postgresql_0_4_8(request.getfixturevalue("postgres"), name)
    url = request.getfixturevalue("pooler_url")
    return url.replace("postgresql://", f"postgresql+{request.param}://")


async def test_five_at_once(old_url):
    processes = [start(old_url, ROOT) for _ in range(5)]
    results = []
    for process in processes:
        out, err = process.communicate(timeout=90)
        assert process.returncode == 0, err
        results.append(json.loads(out.splitlines()[-1]))
    assert sorted(results) == [[0, False, HEAD]] * 4 + [[int(HEAD), True, HEAD]]
    settings = settings_for(old_url)
    assert (await migrate.check(settings, folder=FOLDER)).ok
    assert (await execute(settings, "SELECT count(*) AS n FROM users"))[0]["n"] == 8


async def test_three_at_once_in_one_process(old_url):
    settings = settings_for(old_url)
    results = await asyncio.gather(*(migrate.upgrade(settings, folder=FOLDER) for _ in range(3)))
    assert sorted(len(result.applied) for result in results) == [0, 0, int(HEAD)]


async def test_sql_is_written_while_a_migration_runs(postgres, postgres_database, tmp_path):
    settings = settings_for(postgres.url(postgres_database))
    folder = copy_migrations(tmp_path)
    add_migration(folder, NEXT, HEAD, "op.execute('SELECT pg_sleep(0.5)'); op.execute('CREATE TABLE after (id int)')")
    started = asyncio.Event()
    running = asyncio.create_task(migrate.upgrade(settings, progress=lambda _: started.set(), folder=folder))
    await started.wait()
    assert "CREATE TABLE after" in await migrate.sqlmigrate(settings, NEXT, folder=folder)
    assert (await running).current == NEXT


async def test_killed_in_the_middle(old_url, tmp_path):
    settings = settings_for(old_url)
    before = await tables(settings)
    users = await execute(settings, "SELECT * FROM users ORDER BY id")
    project = tmp_path / "project"
    folder = copy_migrations(project)
    half = "op.create_table('half', sa.Column('id', sa.Integer)); op.execute('DELETE FROM users'); "
    add_migration(folder, NEXT, HEAD, half + "print('now', flush=True); time.sleep(60)")
    process = start(old_url, project)
    with process:
        assert process.stdout
        for line in process.stdout:
            if line.strip() == "now":
                break
        process.kill()
    assert await tables(settings) == before
    assert await execute(settings, "SELECT * FROM users ORDER BY id") == users
    add_migration(folder, NEXT, HEAD, "op.create_table('half', sa.Column('id', sa.Integer))")
    result = await migrate.upgrade(settings, folder=folder)
    assert (result.adopted, len(result.applied), result.current) == (True, int(NEXT), NEXT)
    after = await execute(settings, "SELECT * FROM users ORDER BY id")
    assert [{name: row[name] for name in users[0]} for row in after] == users


async def test_another_instance_takes_too_long(postgres, postgres_database):
    settings = settings_for(postgres.url(postgres_database))
    with psycopg.connect(postgres.url(postgres_database)) as other:
        other.execute("SELECT pg_advisory_xact_lock(%s)", [migration_lock.LOCK_KEY])
        with pytest.raises(MigrationTimeout):
            await migrate.upgrade(settings, timeout=0.5, folder=FOLDER)
    assert await tables(settings) == set()
    assert (await migrate.upgrade(settings, folder=FOLDER)).current == HEAD


async def test_a_table_in_use_is_not_waited_for_long(postgres, postgres_database, monkeypatch):
    """Everybody else would wait behind the migration."""
    monkeypatch.setattr(migration_lock, "TABLE_LOCK_TIMEOUT", 0.2)
    settings = settings_for(load_postgresql_0_4_8(postgres, postgres_database))
    with psycopg.connect(postgres.url(postgres_database)) as other:
        other.execute("SELECT * FROM products")
        with pytest.raises(MigrationTimeout):
            await migrate.upgrade(settings, folder=FOLDER)
    assert await migrate.current(settings) is None
    assert (await migrate.upgrade(settings, folder=FOLDER)).current == HEAD


@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
async def test_a_statement_that_does_not_end(postgres, postgres_database, driver, tmp_path):
    url = postgres.url(postgres_database).replace("postgresql://", f"postgresql+{driver}://")
    folder = copy_migrations(tmp_path)
    add_migration(folder, NEXT, HEAD, "op.execute('SELECT pg_sleep(60)')")
    with pytest.raises(Unavailable):
        await migrate.upgrade(settings_for(url), timeout=1.5, folder=folder)
    assert await migrate.current(settings_for(url)) is None
    # Nothing is left behind that holds the lock for long: the server gives up by itself.
    assert (await migrate.upgrade(settings_for(url), timeout=30, folder=FOLDER)).current == HEAD


async def test_a_writer_on_sqlite_takes_too_long(tmp_path):
    settings = settings_for(f"sqlite:///{tmp_path}/test.db")
    await migrate.upgrade(settings, "0001", folder=FOLDER)
    other = sqlite3.connect(tmp_path / "test.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable):
        await migrate.upgrade(settings, timeout=0.5, folder=FOLDER)
    other.execute("ROLLBACK")
    other.close()
    assert await migrate.current(settings) == "0001"
    assert (await migrate.upgrade(settings, folder=FOLDER)).current == HEAD


async def test_a_database_that_isolates_more(postgres, postgres_database):
    """After the wait for the lock an instance must see what the others did, whatever the server's default is."""
    postgres.execute(f"ALTER DATABASE {postgres_database} SET default_transaction_isolation TO 'serializable'")
    with psycopg.connect(postgres.url(postgres_database), autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(%s)", [migration_lock.LOCK_KEY])
        processes = [start(postgres.url(postgres_database), ROOT) for _ in range(2)]
        here = "database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        waiting = f"SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND {here}"
        while other.execute(waiting).fetchone() != (2,):  # noqa: ASYNC110 - only the server knows who waits
            await asyncio.sleep(0.02)
    for process in processes:
        _, err = process.communicate(timeout=90)
        assert process.returncode == 0, err


async def test_a_batch_on_sqlite_keeps_what_points_to_the_table(tmp_path):
    settings = settings_for(load_sqlite_0_4_8(tmp_path / "test.db"))
    add_audit_log(tmp_path / "test.db")
    folder = copy_migrations(tmp_path / "project")
    change = "with op.batch_alter_table('users') as batch: batch.alter_column('email', type_=sa.String(200))"
    add_migration(folder, NEXT, HEAD, change)
    assert (await migrate.upgrade(settings, folder=folder)).current == NEXT
    assert (await execute(settings, "SELECT count(*) AS n FROM audit_logs JOIN users ON user_id = users.id")) == [
        {"n": 1}
    ]


async def test_of_servers_that_start_at_once_one_migrates(old_url, monkeypatch):
    """As Fly's machines do, with `production --migrate`; a start without pending migrations runs nothing."""
    monkeypatch.chdir(ROOT)
    settings, said = settings_for(old_url), []
    await asyncio.gather(*(migrate_at_start(settings, said.append) for _ in range(3)))
    assert len(said) == 1
    assert await migrate.current(settings) == HEAD
    monkeypatch.setattr(migrate, "upgrade", None)
    await migrate_at_start(settings, said.append)
    assert len(said) == 1
