"""Copies of a SQLite database: for their owner alone, and whole or not there."""

from __future__ import annotations

import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from fastopp.database.dump.backup_file import BackupNotWritten, copy_sqlite


def test_a_copy_is_for_its_owner_alone(tmp_path: Path) -> None:
    database = tmp_path / "test.db"
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("create table a (b)")
    copy = copy_sqlite(database)
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("select name from sqlite_master").fetchall() == [("a",)]


def test_a_copy_brings_no_evidence_against_files_with_it(tmp_path: Path) -> None:
    database = tmp_path / "test.db"
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("pragma journal_mode = wal")
        connection.execute("create table file_evidence (key)")
        connection.execute("insert into file_evidence values ('photos/a.jpg')")
    copy = copy_sqlite(database)
    assert {path.name for path in tmp_path.iterdir()} == {database.name, copy.name}
    for path, rows in ((database, 1), (copy, 0)):
        with closing(sqlite3.connect(path)) as connection:
            assert connection.execute("select count(*) from file_evidence").fetchone() == (rows,)


def test_what_cannot_be_copied_leaves_nothing(tmp_path: Path) -> None:
    database = tmp_path / "test.db"
    database.write_bytes(b"no database" * 1000)
    with pytest.raises(BackupNotWritten, match="file is not a database"):
        copy_sqlite(database)
    assert list(tmp_path.iterdir()) == [database]
