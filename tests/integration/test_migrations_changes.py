"""Every kind of change of a model: its migration is made on SQLite, and goes up, down and up again on both."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from fastopp.database.engine import create_engine
from fastopp.database.migrations import migrate
from tests.gate import full
from tests.services.databases import url_on
from tests.services.migrations import settings_for
from tests.services.model_changes import CHANGES, MODELS, Change, Project, models

url = url_on("sqlite", "psycopg")

IN_THE_GATE = (
    "default", "default interval", "default array", "answer enum", "index of an expression", "check", "not null",
    "ondelete changed", "self-relation", "enum", "enum shared", "enum with more", "enum with others",
    "enum of another name", "enum dropped", "text to number", "json to jsonb", "renamed and changed",
    "table renamed", "dropped table",
)  # fmt: skip
"""One of each kind; on PostgreSQL, with rows."""


@pytest.fixture
async def project(tmp_path):
    yield Project(tmp_path)
    MODELS.clear()


async def run(settings, work):
    engine = create_engine(settings.database, pool_size=1, max_overflow=0, timeout=10)
    try:
        async with engine.begin() as connection:
            return await work(connection)
    finally:
        await engine.dispose()


async def insert(settings, metadata, rows):
    async def work(connection):
        for name, values in rows.items():
            await connection.execute(metadata.tables[name].insert(), list(values))

    await run(settings, work)


async def first(settings, metadata):
    table = metadata.tables["things"]

    async def work(connection):
        return (await connection.execute(sa.select(table).order_by(table.c.id))).mappings().first()

    return await run(settings, work)


def parameters():
    for name in CHANGES:
        for with_rows in (True, False):
            left_out = name not in IN_THE_GATE or not with_rows
            marks = [full] if left_out else []
            yield pytest.param(name, with_rows, id=f"{name}-{'rows' if with_rows else 'empty'}", marks=marks)


@pytest.mark.parametrize(("name", "with_rows"), list(parameters()))
async def test_up_down_and_up_again(project, url, tmp_path, name, with_rows):
    change: Change = CHANGES[name]
    made_on = settings_for(f"sqlite:///{tmp_path}/made.db")
    before, after = models(change.before), models(change.after)

    async def agree(settings, metadata):
        project.use(metadata)
        found = await migrate.check(settings, folder=project.folder)
        assert (found.differences, found.kept, found.unseen) == ((), (), ())

    project.use(before)
    await migrate.make_migration(made_on, "before", folder=project.folder)
    await migrate.upgrade(made_on, folder=project.folder)
    settings = settings_for(url)
    await migrate.upgrade(settings, folder=project.folder)
    await agree(settings, before)
    if with_rows:
        await insert(settings, before, change.rows)
    project.use(after)
    made = await migrate.make_migration(
        made_on, "after", allow_drop=change.allow_drop, answers=change.answers, folder=project.folder
    )
    assert made.path is not None
    for _ in range(2):
        await migrate.upgrade(settings, allow_drop=change.loses, folder=project.folder)
        await agree(settings, after)
        row = await first(settings, after)
        if with_rows and change.then:
            assert row is not None
            assert {key: row[key] for key in change.then} == change.then
        if change.loses and with_rows:
            return  # the rows that a downgrade restores have no values
        await migrate.downgrade(settings, "0001", allow_drop=True, folder=project.folder)
        assert await migrate.current(settings) == "0001"
