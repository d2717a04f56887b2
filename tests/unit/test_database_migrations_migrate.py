"""What can be said about migrations without a database."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from fastopp.database.migrations import lock as migration_lock
from fastopp.database.migrations import migrate
from fastopp.settings import load_settings

ROOT = Path(__file__).parents[2]


def run(*arguments: str, cwd: Path = ROOT) -> str:
    done = subprocess.run([sys.executable, *arguments], cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


async def test_history_and_show_need_no_database():
    revisions = await migrate.history(folder=ROOT / "alembic")
    assert [each.id for each in revisions][:3] == ["0001", "0002", "0003"]
    shown = await migrate.show("3", folder=ROOT / "alembic")
    assert (shown.title, shown.parents) == ("Failed attempts to sign in", ("0002",))


@pytest.mark.parametrize(
    "url", ["sqlite:////tmp/none.db", "postgresql://u@nowhere.invalid/x", "postgresql+asyncpg://u@nowhere.invalid/x"]
)
async def test_sqlmigrate_connects_to_nothing(url, capsys):
    settings = load_settings({"DATABASE_URL": url})
    up = await migrate.sqlmigrate(settings, "0003", folder=ROOT / "alembic")
    down = await migrate.sqlmigrate(settings, "0003", "downgrade", folder=ROOT / "alembic")
    assert "CREATE TABLE failed_attempts" in up
    assert "SET version_num='0003'" in up
    assert "DROP TABLE failed_attempts" in down
    assert ("TIMESTAMP WITH TIME ZONE" in up) == url.startswith("postgresql")
    assert capsys.readouterr().out == ""


async def test_sqlmigrate_of_the_zones_does_not_depend_on_the_session():
    settings = load_settings({"DATABASE_URL": "postgresql://u@nowhere.invalid/x"})
    for direction in ("upgrade", "downgrade"):
        sql = await migrate.sqlmigrate(settings, "0002", direction, folder=ROOT / "alembic")
        assert sql.count("AT TIME ZONE 'UTC'") == 7
        assert sql.index("BEGIN") < sql.index("SET LOCAL TIME ZONE 'UTC'") < sql.index("ALTER TABLE")


async def test_sqlmigrate_of_the_first_makes_the_version_table():
    settings = load_settings({"DATABASE_URL": "sqlite:////tmp/none.db"})
    sql = await migrate.sqlmigrate(settings, "1", folder=ROOT / "alembic")
    assert "CREATE TABLE alembic_version" in sql
    assert sql.count("CREATE TABLE IF NOT EXISTS") == 4


def test_the_projects_folder_does_not_hide_the_library(tmp_path):
    (tmp_path / "alembic/versions").mkdir(parents=True)
    code = "import alembic, sys; print(sys.path[0] == '' and alembic.__version__)"
    for folder in (ROOT, tmp_path):
        assert run("-c", code, cwd=folder).strip()[0].isdigit()


def test_every_migration_can_be_undone_and_says_what_it_does():
    for path in (ROOT / "alembic/versions").glob("*.py"):
        tree = ast.parse(path.read_text())
        functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        assert {"upgrade", "downgrade"} <= functions
        assert ast.get_docstring(tree)
        assert path.name.startswith(f"{(ast.get_docstring(tree) or '').split('Revision: ')[1][:4]}_")


def test_the_lock_is_a_number_that_postgresql_takes():
    assert -(2**63) <= migration_lock.LOCK_KEY < 2**63


def test_leapcell_gets_less_time_than_a_request_may_take():
    from fastopp.platforms.leapcell import LEAPCELL_REQUEST_TIMEOUT

    assert migrate.REQUEST_TIMEOUT < LEAPCELL_REQUEST_TIMEOUT
