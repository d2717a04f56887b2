"""The commands that migrate, in a project whose database has more than its models."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.gate import only_full
from tests.services.migrations import HEAD, NEXT, add_migration
from tests.services.site import copy_project, run_command, succeed


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A migrated project with a column and a table of its own."""
    project = copy_project(tmp_path / "project")
    succeed(project, "oppman.py", "migrate")
    with closing(sqlite3.connect(project / "test.db")) as database, database:
        database.executescript(
            "ALTER TABLE users ADD COLUMN phone VARCHAR(20); CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT);"
            "INSERT INTO notes VALUES (1, 'one'), (2, 'two');"
        )
    return project


def notes(project: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(project / "test.db")) as database:
        return database.execute("SELECT * FROM notes").fetchall()


def test_what_the_models_do_not_know_is_named_and_kept(project: Path) -> None:
    said = succeed(project, "oppman.py", "migrate", "check")
    assert "kept: not in your models: column users.phone" in said
    assert "the models fit" in said
    found = json.loads(succeed(project, "oppman.py", "migrate", "check", "--json"))
    assert (set(found["kept"]), found["differences"]) == ({"column users.phone", "table notes"}, [])
    said = succeed(project, "oppman.py", "makemigrations", "x")
    assert "kept: not in your models: table notes" in said
    assert "No changes detected." in said
    said = succeed(project, "oppman.py", "makemigrations", "x", "--allow-drop")
    assert "drops: table notes (2 rows)" in said
    assert "drops: column users.phone (0 rows)" in said


@pytest.mark.parametrize(
    "command", [("migrate",), ("db",), *only_full((("migrate", "upgrade"),), (("migrate", "leapcell"),))]
)
def test_a_migration_that_deletes_data_asks_first(project: Path, command: tuple[str, ...]) -> None:
    add_migration(project / "alembic", NEXT, HEAD, "op.execute('DROP TABLE notes')")
    refused = run_command(project, "oppman.py", *command)
    assert refused.returncode == 1
    assert "table notes (2 rows)" in refused.stdout
    assert "--yes" in refused.stderr
    assert notes(project) == [(1, "one"), (2, "two")]
    assert "table notes (2 rows)" in succeed(project, "oppman.py", *command, "--yes")
    with pytest.raises(sqlite3.OperationalError):
        notes(project)


def test_a_downgrade_that_deletes_data_asks_first(project: Path) -> None:
    add_migration(project / "alembic", NEXT, HEAD, "pass", "op.drop_column('notes', 'body')")
    succeed(project, "oppman.py", "migrate")
    assert run_command(project, "oppman.py", "migrate", "downgrade", "-1").returncode == 1
    assert notes(project) == [(1, "one"), (2, "two")]
    succeed(project, "oppman.py", "migrate", "downgrade", "-1", "--yes")
    assert notes(project) == [(1,), (2,)]


def test_an_initialisation_deletes_nothing(project: Path) -> None:
    add_migration(project / "alembic", NEXT, HEAD, "op.execute('DROP TABLE notes')")
    for command in ("init", "db"):
        refused = run_command(project, "oppdemo.py", command)
        assert refused.returncode == 1
        assert "table notes (2 rows)" in refused.stderr
    assert notes(project) == [(1, "one"), (2, "two")]
