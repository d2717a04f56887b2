"""Migrations that would delete what is a user's own, on SQLite and on PostgreSQL with both drivers."""

from __future__ import annotations

import json

import pytest

from fastopp.database.migrations import migrate
from fastopp.database.migrations.errors import DataWouldBeLost
from tests.gate import each_database, only_full
from tests.services import forks
from tests.services.databases import url_on
from tests.services.migrations import (
    AFTER_NEXT,
    HEAD,
    NEXT,
    add_migration,
    copy_migrations,
    execute,
    migrated,
    settings_for,
    tables,
)

OWN = (
    "CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT, mood VARCHAR(20), price NUMERIC(10, 4), empty TEXT)",
    "INSERT INTO notes VALUES (1, 'one', 'good', 1.5, NULL), (2, 'two', NULL, 2.1234, NULL)",
    "CREATE TABLE blanks (id INTEGER PRIMARY KEY, body TEXT)",
)
BODIES = ["one", "two"]


async def with_own(url, folder):
    """Fill a template with our tables and a user's own."""
    await migrated(url, folder)
    await execute(settings_for(url), *OWN)


url = url_on("sqlite", *only_full("psycopg", "asyncpg"), fill=with_own)


@pytest.fixture
async def settings(url, tmp_path):
    copy_migrations(tmp_path)
    return settings_for(url)


async def bodies(settings, column="body", table="notes"):
    rows = await execute(settings, f"SELECT {column} FROM {table} ORDER BY id")
    return [row[column] for row in rows]


BATCH = "with op.batch_alter_table('notes'{}) as b: "
SMALLER = "sa.Table('notes', sa.MetaData(), sa.Column('id', sa.Integer, primary_key=True), sa.Column('mood', sa.Text))"
DROPS = {
    "op.drop_column('notes', 'body')": r"column notes\.body \(2 rows\)",
    BATCH.format("") + "b.drop_column('mood')": r"column notes\.mood \(1 row\)",
    "op.execute('ALTER TABLE notes DROP COLUMN body')": r"column notes\.body \(2 rows\)",
    "op.execute('DROP TABLE notes')": r"table notes \(2 rows\)",
    "op.drop_table('notes'); op.create_table('notes', sa.Column('id', sa.Integer, primary_key=True))": "notes",
    "op.execute('DROP TABLE notes'); op.execute(" + repr(OWN[0]) + ")": r"rows of notes \(2 rows\)",
    "op.drop_column('notes', 'body'); op.add_column('notes', sa.Column('body', sa.Text))": r"notes\.body",
    "op.drop_column('notes', 'body'); op.add_column('notes', sa.Column('text', sa.Text))": r"column notes\.body",
}


@pytest.mark.parametrize("change", DROPS)
@each_database
async def test_a_migration_that_deletes_data_is_refused(settings, tmp_path, change):
    folder = tmp_path / "alembic"
    add_migration(folder, NEXT, HEAD, change)
    seen = []
    with pytest.raises(DataWouldBeLost, match=DROPS[change]) as refused:
        await migrate.upgrade(settings, progress=seen.append, folder=folder)
    assert refused.value.status == 409
    assert refused.value.extensions == {"would_drop": list(refused.value.losses)}
    assert (await migrate.current(settings), await bodies(settings), seen) == (HEAD, BODIES, [])
    done = await migrate.upgrade(settings, progress=seen.append, allow_drop=True, folder=folder)
    assert (done.current, [step.revision for step in seen]) == (NEXT, [NEXT])


async def test_a_batch_that_does_not_know_all_columns_is_refused(settings, tmp_path, url):
    if not url.startswith("sqlite"):
        pytest.skip("PostgreSQL alters tables in place")
    folder = tmp_path / "alembic"
    change = BATCH.format(f", copy_from={SMALLER}, recreate='always'") + "b.add_column(sa.Column('new', sa.Text))"
    add_migration(folder, NEXT, HEAD, change)
    with pytest.raises(DataWouldBeLost, match=r"notes\.body \(2 rows\); column notes\.price"):
        await migrate.upgrade(settings, folder=folder)
    assert await bodies(settings) == BODIES


@each_database
async def test_a_block_of_the_servers_own_language_is_refused(settings, tmp_path, url):
    if url.startswith("sqlite"):
        pytest.skip("SQLite has none")
    folder = tmp_path / "alembic"
    drop = "'ALTER TA' || 'BLE notes DR' || 'OP COLUMN body'"
    add_migration(folder, NEXT, HEAD, f'op.execute("DO $$ BEGIN EXECUTE {drop}; END $$")')
    with pytest.raises(DataWouldBeLost, match=r"column notes\.body"):
        await migrate.upgrade(settings, folder=folder)


@each_database
async def test_a_downgrade_that_deletes_data_is_refused(settings, tmp_path):
    folder = tmp_path / "alembic"
    add_migration(
        folder, NEXT, HEAD, "op.add_column('notes', sa.Column('later', sa.Text))", "op.drop_column('notes', 'later')"
    )
    await migrate.upgrade(settings, folder=folder)
    assert (await migrate.downgrade(settings, "-1", folder=folder)).current == HEAD  # it holds nothing
    await migrate.upgrade(settings, folder=folder)
    await execute(settings, "UPDATE notes SET later = 'x'")
    with pytest.raises(DataWouldBeLost, match=r"column notes\.later \(2 rows\)"):
        await migrate.downgrade(settings, "-1", folder=folder)
    assert await migrate.current(settings) == NEXT
    assert (await migrate.downgrade(settings, "-1", allow_drop=True, folder=folder)).current == HEAD


@pytest.mark.parametrize(
    ("change", "column", "table"),
    [
        ("op.drop_column('notes', 'empty')", "body", "notes"),
        ("op.drop_table('blanks')", "body", "notes"),
        ("op.execute('ALTER TABLE notes RENAME COLUMN body TO words')", "words", "notes"),
        (BATCH.format("") + "b.alter_column('body', new_column_name='words')", "words", "notes"),
        (BATCH.format(", recreate='always'") + "b.add_column(sa.Column('new', sa.Text))", "body", "notes"),
        ("op.rename_table('notes', 'papers')", "body", "papers"),
        ("op.rename_table('notes', 'papers'); op.drop_column('papers', 'empty')", "body", "papers"),
        (
            "op.add_column('notes', sa.Column('words', sa.Text)); op.execute('UPDATE notes SET words = body'); "
            "op.drop_column('notes', 'body')",
            "words", "notes",
        ),
        (
            "op.execute('CREATE TABLE papers AS SELECT * FROM notes'); op.execute('DROP TABLE notes')",
            "body", "papers",
        ),
    ],
)  # fmt: skip
async def test_what_keeps_its_data_passes(settings, tmp_path, change, column, table):
    folder = tmp_path / "alembic"
    add_migration(folder, NEXT, HEAD, change)
    done = await migrate.upgrade(settings, folder=folder)
    assert ([step.revision for step in done.applied], done.current) == ([NEXT], NEXT)
    assert await bodies(settings, column, table) == BODIES
    assert not any(name.startswith("fastopp_before") for name in await tables(settings))


@pytest.mark.parametrize(
    ("change", "loss"),
    [
        ("b.alter_column('mood', type_=sa.String(40), existing_type=sa.String(20))", None),
        ("b.alter_column('id', type_=sa.BigInteger, existing_type=sa.Integer)", None),
        ("b.alter_column('price', type_=sa.Text, existing_type=sa.Numeric(10, 4))", None),
        (
            "b.alter_column('body', type_=sa.Integer, existing_type=sa.Text, postgresql_using='length(body)')",
            r"values of notes\.body, TEXT to INTEGER \(2 rows\)",
        ),
        (
            "b.alter_column('price', type_=sa.Integer, existing_type=sa.Numeric(10, 4))",
            r"values of notes\.price, NUMERIC\(10, ?4\) to INTEGER \(2 rows\)",
        ),
    ],
)
@each_database
async def test_a_type_that_not_every_value_survives(settings, tmp_path, change, loss):
    folder = tmp_path / "alembic"
    add_migration(folder, NEXT, HEAD, BATCH.format("") + change)
    if loss is None:
        assert (await migrate.upgrade(settings, folder=folder)).current == NEXT
        return
    with pytest.raises(DataWouldBeLost, match=f"(?i){loss}"):
        await migrate.upgrade(settings, folder=folder)
    assert await migrate.current(settings) == HEAD


async def test_several_migrations_are_judged_by_what_is_left_in_the_end(settings, tmp_path):
    folder = tmp_path / "alembic"
    copy = "op.add_column('notes', sa.Column('words', sa.Text)); op.execute('UPDATE notes SET words = body')"
    add_migration(folder, NEXT, HEAD, copy)
    add_migration(folder, AFTER_NEXT, NEXT, "op.drop_column('notes', 'body')")
    done = await migrate.upgrade(settings, folder=folder)
    assert [step.revision for step in done.applied] == [NEXT, AFTER_NEXT]
    assert await bodies(settings, "words") == BODIES


MODELS = """
from sqlmodel import Field, SQLModel

class Shop(SQLModel, table=True):
    __tablename__ = "shops"
    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(max_length={length})
    code: str = Field(index=True{code})
"""

MAKE = """
import asyncio, json, sys
from fastopp.database.migrations import migrate
from fastopp.settings import load_settings
settings = load_settings()
check = asyncio.run(migrate.check(settings))
made = asyncio.run(migrate.make_migration(settings, "x", allow_drop=len(sys.argv) > 1))
print(json.dumps({"ok": check.ok, "kept": check.kept, "differences": check.differences,
                  "path": made.path and made.path.read_text(), "left": made.kept, "dropped": made.dropped}))
"""


@pytest.fixture
async def shop(url, tmp_path):
    """Run a script in a project with a model that was migrated; its tables then got more than that."""
    settings = settings_for(url)
    folder = copy_migrations(tmp_path)
    create = (
        "op.create_table('shops', sa.Column('id', sa.Integer, primary_key=True), "
        "sa.Column('name', sa.String(70), nullable=False), sa.Column('code', sa.String, nullable=False), "
        "sa.Column('phone', sa.String(20)), sa.Column('floor', sa.Integer, nullable=False)); "
        "op.create_index('ix_shops_code', 'shops', ['code']); op.create_index('ix_shops_phone', 'shops', ['phone'])"
    )
    add_migration(folder, NEXT, HEAD, create)
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop/__init__.py").write_text("")
    (tmp_path / "main.py").write_text("from fastopp import FastOpp\napp = FastOpp(apps=['shop'])\n")
    await migrate.upgrade(settings, folder=folder)
    await execute(settings, "INSERT INTO shops VALUES (1, 'One', 'a', '030', 1), (2, 'Two', 'b', NULL, 2)")

    def run(*arguments, length=70, code=""):
        (tmp_path / "shop/models.py").write_text(MODELS.format(length=length, code=code))
        environ = {"DATABASE_URL": url, "PATH": ""}
        done = forks.run(["-W", "error", "-c", MAKE, *arguments], cwd=tmp_path, text=True, env=environ)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


KEPT = {
    "column shops.phone",
    "column shops.floor, NOT NULL without a default: new rows cannot be added",
    "index ix_shops_phone of shops",
    "table notes",
    "table blanks",
}


@pytest.mark.parametrize("url", ["sqlite", *only_full("psycopg")], indirect=True)
async def test_what_the_models_do_not_know_is_kept(shop, url):
    made = shop()
    assert (made["ok"], made["differences"], made["path"]) == (True, [], None)
    assert set(made["kept"]) == set(made["left"]) == KEPT
    narrower = shop(length=20)
    assert (narrower["ok"], narrower["path"]) == (True, None)
    (type_,) = set(narrower["kept"]) - KEPT
    assert type_.startswith("type String(length=70) of shops.name, in the models AutoString(")
    wider = shop(length=90)
    assert wider["differences"]
    assert set(wider["kept"]) == KEPT
    assert "drop" not in wider["path"]


@pytest.mark.parametrize("url", ["sqlite", *only_full("psycopg")], indirect=True)
async def test_an_index_that_is_replaced_is_no_drop(shop, url):
    made = shop(code=", unique=True")
    assert set(made["left"]) == KEPT
    assert "drop_index('ix_shops_code')" in made["path"].replace("batch_op.f(", "").replace("))", ")")
    assert "drop_index('ix_shops_phone')" not in made["path"]
    assert "unique=True" in made["path"]


@pytest.mark.parametrize("url", ["sqlite", *only_full("psycopg")], indirect=True)
async def test_a_drop_that_is_asked_for_names_its_rows(shop, url, tmp_path):
    made = shop("--allow-drop")
    assert made["left"] == []
    assert set(made["dropped"]) == {
        "column shops.phone (1 row)",
        "column shops.floor, NOT NULL without a default: new rows cannot be added (2 rows)",
        "index ix_shops_phone of shops",
        "table notes (2 rows)",
        "table blanks (0 rows)",
    }
    assert "drop_table('notes')" in made["path"]
    settings, folder = settings_for(url), tmp_path / "alembic"
    with pytest.raises(DataWouldBeLost, match=r"column shops\.floor \(2 rows\)"):
        await migrate.upgrade(settings, folder=folder)
    await migrate.upgrade(settings, allow_drop=True, folder=folder)
    assert not {"notes", "blanks"} & await tables(settings)
    # FastOpp's own tables, which have no models in this project, are left alone.
    assert {"products", "webinar_registrants", "task_runs"} <= await tables(settings)


@pytest.mark.parametrize("url", ["sqlite", *only_full("psycopg")], indirect=True)
async def test_the_plain_alembic_command_keeps_data_too(shop, url, tmp_path):
    shop("--allow-drop")

    def alembic(*arguments):
        environ = {"DATABASE_URL": url, "PATH": ""}
        return forks.run(["-m", "alembic", *arguments], cwd=tmp_path, text=True, env=environ)

    (tmp_path / "alembic.ini").write_text("[alembic]\nscript_location = alembic\n")
    refused = alembic("upgrade", "head")
    assert refused.returncode == 1
    assert "column shops.phone (1 row)" in refused.stderr
    allowed = alembic("-x", "allow_drop=true", "upgrade", "head")
    assert allowed.returncode == 0, allowed.stderr
    assert "notes" not in await tables(settings_for(url))
