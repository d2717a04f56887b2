"""What the tests of migrations share: settings for a URL, plain SQL, and a copy of the project's migrations."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import text

from fastopp.database.migrations import migrate
from fastopp.database.session import Database
from fastopp.settings import Settings, load_settings
from tests.services.postgres import Postgres

ROOT = Path(__file__).parents[2]
FIXTURES = ROOT / "tests/fixtures"
TIMES = {
    "products": ("created_at", "updated_at"),
    "webinar_registrants": ("webinar_date", "registration_date", "created_at", "updated_at"),
    "audit_logs": ("timestamp",),
}
HEAD = "0015"
COUNT = len([*(ROOT / "alembic/versions").glob("0*.py")])
"""How many there are."""
NEXT = f"{int(HEAD) + 1:04}"
"""The number that the next migration of a project gets."""
AFTER_NEXT = f"{int(HEAD) + 2:04}"


def settings_for(url: str) -> Settings:
    """The settings of a process that has only this database."""
    return load_settings({"DATABASE_URL": url})


async def migrated(url: str, folder: Path) -> None:
    """Fill a template with the tables alone."""
    await migrate.upgrade(settings_for(url), folder=ROOT / "alembic")


async def execute(settings: Settings, *statements: str) -> list[dict[str, Any]]:
    """Run statements in one transaction; the rows of the last one."""
    database = Database.from_settings(settings)
    try:
        async with database.transaction() as session:
            connection = await session.connection()
            for statement in statements:
                result = await connection.execute(text(statement))
            return [dict(row) for row in result.mappings()] if result.returns_rows else []
    finally:
        await database.dispose()


async def tables(settings: Settings) -> set[str]:
    """The names of the tables."""
    if settings.database.backend == "sqlite":
        rows = await execute(settings, "SELECT name FROM sqlite_master WHERE type = 'table'")
    else:
        rows = await execute(settings, "SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public'")
    return {row["name"] for row in rows}


def copy_migrations(folder: Path) -> Path:
    """A project folder of its own with the committed migrations; its `alembic` folder."""
    target = folder / "alembic"
    shutil.copytree(ROOT / "alembic", target, ignore=shutil.ignore_patterns("__pycache__"))
    return target


def add_migration(migrations: Path, id_: str, down: str | None, upgrade: str, downgrade: str = "pass") -> Path:
    """Write a migration by hand; `upgrade` and `downgrade` are its bodies, of one line each."""
    path = migrations / "versions" / f"{id_}_by_hand.py"
    path.write_text(
        f'"""By hand"""\nimport time\nimport sqlalchemy as sa\nfrom alembic import op\n'
        f"revision = {id_!r}\ndown_revision = {down!r}\n"
        f"def upgrade():\n    {upgrade}\ndef downgrade():\n    {downgrade}\n"
    )
    return path


def load_sqlite_0_4_8(path: Path) -> str:
    """A copy of a SQLite database that FastOpp 0.4.8 made; its URL."""
    shutil.copy(FIXTURES / "fastopp-0.4.8-sqlite.db", path)
    return f"sqlite:///{path}"


def load_postgresql_0_4_8(postgres: Postgres, database: str) -> str:
    """Load the dump of a PostgreSQL database that FastOpp 0.4.8 made, as the user `app`; the URL."""
    lines = (FIXTURES / "fastopp-0.4.8-postgresql.sql").read_text().splitlines(keepends=True)
    script = "".join(line for line in lines if not line.startswith(("\\", "SET transaction_timeout")))
    postgres.execute("SET ROLE app;\n" + script, database=database)
    return postgres.url(database)


def add_audit_log(path: Path) -> None:
    """An audit log beside the rows of the fixture, which has none."""
    with sqlite3.connect(path) as connection:
        (user,) = connection.execute("SELECT id FROM users LIMIT 1").fetchone()
        connection.execute(
            "INSERT INTO audit_logs (id, user_id, action, model_name, record_id, timestamp) VALUES (?, ?, ?, ?, ?, ?)",
            ("0" * 31 + "1", user, "update", "Product", "1", "2026-01-31 23:30:00.000000"),
        )
    connection.close()
