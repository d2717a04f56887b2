"""A database for each test: copies of one that has all tables."""

from __future__ import annotations

import asyncio
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlmodel import SQLModel

from fastopp.core.apps import find_apps
from fastopp.core.runtime import open_runtime
from fastopp.database.migrations import migrate
from fastopp.database.session import Database
from fastopp.settings import Settings, load_settings

Template = Callable[[Path], AbstractContextManager[str]]
"""Copies a database with all tables for one test, given an empty folder, and deletes the copy afterwards."""


@contextmanager
def open_template(url: str | None, apps: Iterable[str], migrations: Path, folder: Path) -> Iterator[Template]:
    """Make a template, and remove it in the end.

    Parameters
    ----------
    url: of a PostgreSQL database whose user may create others; None for SQLite.
    migrations: the project's `alembic` folder.
    folder: an empty folder.
    """
    if url is None:
        asyncio.run(_make_tables(f"sqlite:///{folder}/template.db", apps, migrations))
        yield partial(_copied_file, folder / "template.db")
        return
    name = _new_name()
    asyncio.run(_execute(url, f"CREATE DATABASE {name}"))
    try:
        asyncio.run(_make_tables(_with_name(url, name), apps, migrations))
        yield partial(_copied_database, url, name)
    finally:
        asyncio.run(_execute(url, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))


@contextmanager
def _copied_file(template: Path, folder: Path) -> Iterator[str]:
    copy = shutil.copyfile(template, folder / "test.db")
    yield f"sqlite:///{copy}"


@contextmanager
def _copied_database(url: str, template: str, folder: Path) -> Iterator[str]:
    name = _new_name()
    asyncio.run(_execute(url, f"CREATE DATABASE {name} TEMPLATE {template}"))
    try:
        yield _with_name(url, name)
    finally:
        asyncio.run(_execute(url, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))


def _new_name() -> str:
    return f"test_{secrets.token_hex(8)}"


def _with_name(url: str, name: str) -> str:
    return make_url(url).set(database=name).render_as_string(hide_password=False)


def _settings(url: str) -> Settings:
    return load_settings({"DATABASE_URL": url}, env_file=Path("no.env"))


async def _execute(url: str, statement: str) -> None:
    database = Database.from_settings(_settings(url))
    try:
        async with database.autocommit() as connection:
            await connection.execute(text(statement))
    finally:
        await database.dispose()


async def _make_tables(url: str, apps: Iterable[str], migrations: Path) -> None:
    async with open_runtime(_settings(url), find_apps(apps)) as runtime:
        await migrate.upgrade(runtime.database, folder=migrations)
        # Tables of models that are new, and have no migration yet.
        async with runtime.database.engine.begin() as connection:
            await connection.run_sync(SQLModel.metadata.create_all)
