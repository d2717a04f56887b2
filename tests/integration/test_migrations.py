"""Migrations on SQLite and on PostgreSQL with both drivers."""

from __future__ import annotations

import pytest

from fastopp.database.errors import DatabaseUnavailable
from fastopp.database.migrations import migrate
from fastopp.database.migrations.errors import (
    DataWouldBeLost,
    MigrationError,
    MigrationFailed,
    MigrationsPending,
    MultipleHeads,
    UnknownRevision,
    VersionsNotWritable,
)
from fastopp.database.session import Database
from fastopp.features.leapcell.migrations import upgrade_leapcell
from tests.gate import only_full
from tests.services import forks
from tests.services.databases import url_on
from tests.services.migrations import (
    AFTER_NEXT,
    COUNT,
    HEAD,
    NEXT,
    ROOT,
    add_migration,
    copy_migrations,
    execute,
    settings_for,
    tables,
)

OURS = {"users", "products", "webinar_registrants", "audit_logs", "failed_attempts", "file_evidence", "sessions"}
FOLDER = ROOT / "alembic"


url = url_on("sqlite", "psycopg", *only_full("asyncpg"))


@pytest.fixture
def settings(url):
    return settings_for(url)


async def test_up_down_and_up_again(settings):
    assert await migrate.current(settings) is None
    seen = []
    up = await migrate.upgrade(settings, progress=seen.append, folder=FOLDER)
    assert (up.current, up.adopted, list(up.applied)) == (HEAD, False, seen)
    assert [each.revision for each in seen] == [each.id for each in await migrate.history(folder=FOLDER)]
    assert seen[0].title == "The schema of FastOpp 0.4.8"
    assert await tables(settings) >= OURS | {"alembic_version"}
    again = await migrate.upgrade(settings, folder=FOLDER)
    assert (again.applied, again.current) == ((), HEAD)
    down = await migrate.downgrade(settings, "base", folder=FOLDER)
    assert [each.revision for each in down.applied] == [each.revision for each in reversed(seen)]
    assert down.current is None
    assert await tables(settings) - {"sqlite_sequence"} == {"alembic_version"}
    assert (await migrate.upgrade(settings, folder=FOLDER)).current == HEAD


async def test_models_and_migrations_agree(settings):
    """The reason for a failure here is a change to a model without a migration."""
    before = await migrate.check(settings, folder=FOLDER)
    assert (before.ok, before.current, before.head, len(before.pending)) == (False, None, HEAD, COUNT)
    await migrate.upgrade(settings, folder=FOLDER)
    after = await migrate.check(settings, folder=FOLDER)
    assert (after.differences, after.pending, after.ok) == ((), (), True)


async def test_steps_by_id_and_by_number(settings):
    assert (await migrate.upgrade(settings, "2", folder=FOLDER)).current == "0002"
    assert next(each.id for each in await migrate.pending(settings, folder=FOLDER)) == "0003"
    states = await migrate.show_migrations(settings, folder=FOLDER)
    assert [each.applied for each in states][:4] == [True, True, False, False]
    assert (await migrate.upgrade(settings, "+1", folder=FOLDER)).current == "0003"
    assert (await migrate.upgrade(settings, "0001", folder=FOLDER)).applied == ()
    assert (await migrate.downgrade(settings, "-1", folder=FOLDER)).current == "0002"
    assert (await migrate.downgrade(settings, "0001", folder=FOLDER)).current == "0001"


async def test_stamp_runs_nothing(settings):
    assert await migrate.stamp(settings, "0002", folder=FOLDER) == "0002"
    assert await tables(settings) - {"sqlite_sequence"} == {"alembic_version"}
    assert await migrate.stamp(settings, folder=FOLDER) == HEAD
    assert await migrate.stamp(settings, "1", folder=FOLDER) == "0001"
    assert await migrate.stamp(settings, "base", folder=FOLDER) is None
    await execute(settings, "INSERT INTO alembic_version VALUES ('stranger')")
    assert await migrate.stamp(settings, "0002", folder=FOLDER) == "0002"


async def test_what_does_not_exist(settings):
    for work in (migrate.upgrade, migrate.downgrade, migrate.stamp, migrate.sqlmigrate):
        with pytest.raises(UnknownRevision, match="no migration 'nonsense'"):
            await work(settings, "nonsense", folder=FOLDER)
    with pytest.raises(MigrationError):
        await migrate.downgrade(settings, "-99", folder=FOLDER)


async def test_a_constraint_that_fails_at_the_commit(tmp_path, postgres, postgres_database):
    settings = settings_for(postgres.url(postgres_database))
    folder = copy_migrations(tmp_path)
    late = "op.execute('CREATE TABLE late (id uuid REFERENCES users DEFERRABLE INITIALLY DEFERRED)'); "
    add_migration(folder, NEXT, HEAD, late + "op.execute('INSERT INTO late SELECT gen_random_uuid()')")
    with pytest.raises(MigrationFailed, match="violates foreign key") as failure:
        await migrate.upgrade(settings, folder=folder)
    assert "Key (id)" not in str(failure.value)
    assert await tables(settings) == set()


async def test_the_database_of_the_process_will_do(settings):
    database = Database.from_settings(settings)
    try:
        assert await migrate.current(database) is None
        assert (await migrate.upgrade(database, folder=FOLDER)).current == HEAD
        async with database.read() as session:
            assert await migrate.current_revision(session) == HEAD
    finally:
        await database.dispose()


async def test_a_missing_table_does_not_spoil_the_session(settings):
    database = Database.from_settings(settings)
    try:
        async with database.read() as session:
            assert await migrate.current_revision(session) is None
            assert await migrate.current_revision(session) is None
    finally:
        await database.dispose()


async def test_leapcells_way_is_the_same_way(settings):
    seen = []
    result = await upgrade_leapcell(settings, progress=seen.append, folder=FOLDER)
    assert (result.current, len(seen)) == (HEAD, COUNT)


async def test_nothing_is_printed(settings, capfd):
    await migrate.upgrade(settings, folder=FOLDER)
    await migrate.check(settings, folder=FOLDER)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("bad", ["SELECT nonsense", "SELECT * FROM nonsense", "NONSENSE"])
async def test_a_failing_migration_leaves_nothing(settings, tmp_path, bad):
    folder = copy_migrations(tmp_path)
    half = f"op.create_table('half', sa.Column('id', sa.Integer)); op.execute('{bad}')"
    add_migration(folder, NEXT, HEAD, half)
    with pytest.raises(MigrationFailed, match=rf"Migration {NEXT} failed.*(nonsense|NONSENSE)"):
        await migrate.upgrade(settings, folder=folder)
    assert await migrate.current(settings) is None
    assert await tables(settings) - {"sqlite_sequence"} == set()
    await migrate.upgrade(settings, HEAD, folder=folder)
    with pytest.raises(MigrationFailed):
        await migrate.upgrade(settings, folder=folder)
    assert await migrate.current(settings) == HEAD
    assert "half" not in await tables(settings)


async def test_a_percent_sign_in_the_folder(settings, tmp_path):
    folder = copy_migrations(tmp_path / "100%(x)s")
    assert (await migrate.upgrade(settings, folder=folder)).current == HEAD


async def test_a_file_that_is_not_python(settings, tmp_path):
    folder = copy_migrations(tmp_path)
    add_migration(folder, NEXT, HEAD, "def (")
    with pytest.raises(MigrationError, match=rf"{NEXT}_by_hand\.py is not Python"):
        await migrate.upgrade(settings, folder=folder)


async def test_two_latest(settings, tmp_path):
    folder = copy_migrations(tmp_path)
    add_migration(folder, NEXT, HEAD, "pass")
    add_migration(folder, AFTER_NEXT, HEAD, "pass")
    for work in (migrate.upgrade(settings, folder=folder), migrate.make_migration(settings, "x", folder=folder)):
        with pytest.raises(MultipleHeads, match=rf"{NEXT}_by_hand\.py and {AFTER_NEXT}_by_hand\.py"):
            await work


async def test_newer_code_was_here(settings, tmp_path):
    folder = copy_migrations(tmp_path)
    add_migration(folder, NEXT, HEAD, "pass")
    await migrate.upgrade(settings, folder=folder)
    with pytest.raises(UnknownRevision, match=f"'{NEXT}', which this project does not have"):
        await migrate.upgrade(settings, folder=FOLDER)
    assert await migrate.current(settings) == NEXT


SHOP = """
import uuid
from datetime import datetime
from sqlmodel import Field, SQLModel

class Shop(SQLModel, table=True):
    __tablename__ = "shops"
    id: uuid.UUID = Field(default_factory=uuid.uuid4, primary_key=True)
    name: str = Field(max_length=70, index=True)
    owner_id: uuid.UUID = Field(foreign_key="users.id")
    opened: datetime
    motto: str | None = None
{more}
"""

MAKE = """
import asyncio, sys
from fastopp.database.migrations import migrate
from fastopp.settings import load_settings
settings = load_settings()
path = asyncio.run(migrate.make_migration(settings, sys.argv[1])).path
print(path and path.name)
if path:
    asyncio.run(migrate.upgrade(settings))
check = asyncio.run(migrate.check(settings))
assert check.ok, check
"""


@pytest.mark.parametrize("url", ["sqlite", "psycopg"], indirect=True)
async def test_a_project_grows(settings, url, tmp_path):
    """In processes of their own, since a model cannot be taken back."""
    copy_migrations(tmp_path)
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop/__init__.py").write_text("")
    (tmp_path / "main.py").write_text("from fastopp import FastOpp\napp = FastOpp(apps=['shop'])\n")

    def make(message, more=""):
        (tmp_path / "shop/models.py").write_text(SHOP.format(more=more))
        environ = {"DATABASE_URL": url, "PATH": ""}
        done = forks.run(["-W", "error", "-c", MAKE, message], cwd=tmp_path, env=environ, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    await migrate.upgrade(settings, folder=FOLDER)
    assert make("Shops: the first!") == f"{NEXT}_shops_the_first.py"
    text = (tmp_path / f"alembic/versions/{NEXT}_shops_the_first.py").read_text()
    assert f'revision = "{NEXT}"' in text
    assert f'down_revision = "{HEAD}"' in text
    assert "sa.String(length=70)" in text
    assert "sa.DateTime(timezone=True)" in text
    assert 'name="shops_owner_id_fkey"' in text.replace("'", '"')
    assert "sqlmodel" not in text
    assert "        sa.PrimaryKeyConstraint('id')\n    )\n" in text
    assert make("again") == "None"
    # The demo's tables have no models in this project, and are left alone. A batch copies the table on SQLite.
    await execute(
        settings,
        "INSERT INTO users (id, email, hashed_password, is_active, is_superuser, is_staff) VALUES "
        "('00000000000000000000000000000001', 'a@b.c', 'x', true, true, true)",
        "INSERT INTO shops (id, name, owner_id, opened) VALUES ('00000000000000000000000000000002', 'One', "
        "'00000000000000000000000000000001', '2026-01-01 00:00:00+00')",
    )
    assert make("colour", "    colour: str | None = Field(default=None, unique=True)") == f"{AFTER_NEXT}_colour.py"
    assert [row["name"] for row in await execute(settings, "SELECT name, colour FROM shops")] == ["One"]
    assert await tables(settings) >= OURS
    with pytest.raises(DataWouldBeLost, match=r"table shops \(1 row\)"):
        await migrate.downgrade(settings, HEAD, folder=tmp_path / "alembic")
    down = await migrate.downgrade(settings, HEAD, allow_drop=True, folder=tmp_path / "alembic")
    assert [each.revision for each in down.applied] == [AFTER_NEXT, NEXT]
    assert "shops" not in await tables(settings)


async def test_an_empty_migration_to_fill_in(settings, tmp_path):
    folder = copy_migrations(tmp_path)
    made = await migrate.make_migration(settings, "By hand", autogenerate=False, folder=folder)
    assert made.path == folder.resolve() / f"versions/{NEXT}_by_hand.py"
    assert (await migrate.upgrade(settings, folder=folder)).current == NEXT


@pytest.mark.parametrize(
    ("message", "name", "title"),
    [
        ('Say "hi" in """', "say_hi_in.py", "Say 'hi' in '''"),
        ("C:\\Users\nand more", "c_users_and_more.py", "C:/Users and more"),
        ("  ", "changes.py", "changes"),
        ("../../etc/passwd", "etc_passwd.py", "../../etc/passwd"),
        ("${1/0} <% x %> {{y}} %", "1_0_x_y.py", "${1/0} <% x %> {{y}} %"),
    ],
)
async def test_any_message_will_do(tmp_path, message, name, title):
    folder = copy_migrations(tmp_path)
    settings = settings_for(f"sqlite:///{tmp_path}/test.db")
    made = await migrate.make_migration(settings, message, autogenerate=False, folder=folder)
    assert made.path == folder.resolve() / "versions" / f"{NEXT}_{name}"
    assert (await migrate.show(folder=folder)).title == title
    assert (await migrate.upgrade(settings, folder=folder)).current == NEXT


async def test_makemigrations_wants_an_up_to_date_database(settings):
    with pytest.raises(MigrationsPending):
        await migrate.make_migration(settings, "x", folder=FOLDER)


async def test_a_folder_that_cannot_be_written(settings, tmp_path):
    folder = copy_migrations(tmp_path)
    # The file would lie in a folder that is not there: refused even to root, as by a read-only disk.
    (folder / f"versions/{NEXT}_x.py").symlink_to(tmp_path / f"nowhere/{NEXT}_x.py")
    with pytest.raises(VersionsNotWritable, match="cannot be written to"):
        await migrate.make_migration(settings, "x", autogenerate=False, folder=folder)


async def test_a_database_that_is_not_there(tmp_path, postgres):
    for url in (postgres.url("none"), "postgresql://u@127.0.0.1:1/x"):
        with pytest.raises(DatabaseUnavailable):
            await migrate.upgrade(settings_for(url), folder=FOLDER)


async def test_a_naive_column_is_a_difference(postgres):
    name = postgres.create_database()
    settings = settings_for(postgres.url(name))
    await migrate.upgrade(settings, folder=FOLDER)
    await execute(settings, "ALTER TABLE products ALTER created_at TYPE timestamp, DROP COLUMN category")
    check = await migrate.check(settings, folder=FOLDER)
    assert len(check.differences) == 5, "the two columns, and the three indexes of the one that is gone"
    assert not check.ok
    postgres.drop_database(name)


async def test_rows_that_would_point_nowhere_stop_it_on_sqlite(tmp_path):
    settings = settings_for(f"sqlite:///{tmp_path}/test.db")
    folder = copy_migrations(tmp_path)
    await migrate.upgrade(settings, folder=folder)
    add_migration(
        folder, NEXT, HEAD,
        "op.execute(\"INSERT INTO audit_logs VALUES ('1', 'nobody', 'a', 'b', 'c', null, null, null, '2026-01-01')\")",
    )  # fmt: skip
    with pytest.raises(MigrationError, match="rows of audit_logs that refer to rows of users"):
        await migrate.upgrade(settings, folder=folder)
    assert await migrate.current(settings) == HEAD


@pytest.mark.parametrize("url", ["sqlite", "psycopg"], indirect=True)
async def test_the_plain_alembic_command_works(settings, url):
    def alembic(*arguments):
        environ = {"DATABASE_URL": url, "PATH": ""}
        done = forks.run(["-m", "alembic", *arguments], cwd=ROOT, env=environ, text=True, own_imports=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    alembic("upgrade", "head")
    assert await migrate.current(settings) == HEAD
    assert HEAD in alembic("current")
    assert "No new upgrade operations" in alembic("check")
    assert "DROP TABLE failed_attempts" in alembic("downgrade", f"{HEAD}:0002", "--sql")
    alembic("downgrade", "base")
    assert await migrate.current(settings) is None
