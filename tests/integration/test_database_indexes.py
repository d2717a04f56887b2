from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Column, ForeignKey, Index, Integer, MetaData, Table, text
from sqlmodel import SQLModel

from fastopp.core.apps import find_apps
from fastopp.core.mappers import configure_models
from fastopp.database.session import Database
from fastopp.features.admin.audit_admin import AuditLogAdmin
from fastopp.features.admin.user_admin import UserAdmin
from fastopp.features.database.indexes import (
    MissingIndex,
    Wish,
    admin_wishes,
    create_statements,
    find_indexes,
    models_without_index,
)
from tests.services.databases import url_on
from tests.services.demo import APPS, seeded_demo
from tests.services.ops_project import settings_of

url = url_on("sqlite", "psycopg", fill=seeded_demo)


@pytest.fixture
async def database(url: str, tmp_path: Path):
    made = Database.from_settings(settings_of(url, tmp_path))
    yield made
    await made.dispose()


def test_every_foreign_key_of_a_model_has_an_index() -> None:
    from fastopp.features.mail import models as _mails  # noqa: F401
    from fastopp.features.passkeys import models as _passkeys  # noqa: F401
    from fastopp.features.providers import models as _identities  # noqa: F401
    from fastopp.features.second_factor import models as _factors  # noqa: F401

    configure_models(find_apps(APPS))
    ours = MetaData()
    for name in ("users", "sessions", "account_links", "audit_logs", "passkeys", "second_factors", "recovery_codes",
                 "external_identities", "products", "webinar_registrants", "mail_messages"):  # fmt: skip
        SQLModel.metadata.tables[name].to_metadata(ours)
    assert models_without_index(ours) == []


def test_a_foreign_key_without_one_is_found() -> None:
    metadata = MetaData()
    Table("authors", metadata, Column("id", Integer, primary_key=True))
    books = Table(
        "books", metadata, Column("id", Integer, primary_key=True), Column("author_id", ForeignKey("authors.id")),
        Column("year", Integer),
    )  # fmt: skip
    Index("ix_books_year_author", books.c.year, books.c.author_id)
    assert models_without_index(metadata) == [MissingIndex("books", ("author_id",), "foreign key")]
    Index("ix_books_author_year", books.c.author_id, books.c.year)
    assert models_without_index(metadata) == []


async def test_the_database_of_the_demo_lacks_none(database: Database) -> None:
    views = [view for app in find_apps(APPS) for view in app.admin_views()]
    wishes = admin_wishes([*views, UserAdmin, AuditLogAdmin])
    assert Wish("audit_logs", "timestamp", "order") in wishes
    assert Wish("products", "category", "filter") in wishes
    async with database.autocommit() as connection:
        found = await connection.run_sync(lambda sync: find_indexes(sync, wishes))
    assert found.missing == ()
    assert found.unfinished == ()


async def test_what_is_missing_is_found_and_built_while_the_site_is_used(database: Database) -> None:
    async with database.autocommit() as connection:
        for statement in (
            "CREATE TABLE library_books (id INTEGER PRIMARY KEY, author_id INTEGER, year INTEGER, "
            "FOREIGN KEY (author_id) REFERENCES library_books (id))",
            "DROP INDEX ix_products_in_stock",
            "DROP INDEX ix_products_in_stock_name",
        ):
            await connection.execute(text(statement))
        wishes = [Wish("products", "in_stock", "filter"), Wish("library_books", "year", "order")]
        found = await connection.run_sync(lambda sync: find_indexes(sync, wishes))
        assert set(found.missing) == {
            MissingIndex("library_books", ("author_id",), "foreign key"),
            MissingIndex("library_books", ("year",), "order"),
            MissingIndex("products", ("in_stock",), "filter"),
        }
        statements = create_statements(database.engine.sync_engine, found.missing, ())
        assert all(("CONCURRENTLY" in each) == (connection.dialect.name == "postgresql") for each in statements)
        for statement in statements:
            await connection.exec_driver_sql(statement)
        found = await connection.run_sync(lambda sync: find_indexes(sync, wishes))
        assert found.missing == ()
        if connection.dialect.name == "postgresql":
            assert "ix_library_books_author_id" in {each.name for each in found.unused}
            assert not any(each.name.endswith("_pkey") for each in found.unused)


async def test_an_index_that_was_not_finished_is_built_again(database: Database) -> None:
    if database.engine.dialect.name != "postgresql":
        pytest.skip("SQLite's are finished or not there")
    async with database.autocommit() as connection:
        await connection.execute(
            text("CREATE TABLE pairs (id INTEGER PRIMARY KEY, twin INTEGER REFERENCES pairs (id))")
        )
        await connection.execute(text("INSERT INTO pairs VALUES (1, 1), (2, 1)"))
        with pytest.raises(Exception, match="could not create unique index"):
            await connection.execute(text("CREATE UNIQUE INDEX CONCURRENTLY ix_pairs_twin ON pairs (twin)"))
        found = await connection.run_sync(find_indexes)
        assert (found.missing, found.unfinished) == (
            (MissingIndex("pairs", ("twin",), "foreign key"),), ("ix_pairs_twin",),
        )  # fmt: skip
        for statement in create_statements(database.engine.sync_engine, found.missing, found.unfinished):
            await connection.exec_driver_sql(statement)
        found = await connection.run_sync(find_indexes)
        assert (found.missing, found.unfinished) == ((), ())


def test_a_long_name_is_cut() -> None:
    name = MissingIndex("t" * 60, ("a", "b"), "order").name
    assert len(name) == 63
    assert name != MissingIndex("t" * 60, ("a", "c"), "order").name
