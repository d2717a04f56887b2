"""Copies of a SQLite database: for their owner alone, and whole or not there."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from fastopp.features.database_backups.dump.backup_file import BackupNotWritten, copy_sqlite, write_file


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


WRITING = """
import asyncio, sys
from pathlib import Path
from fastopp.features.database_backups.dump.backup_file import write_file

async def chunks():
    yield b"half of it"
    print("begun", flush=True)
    await asyncio.sleep(600)

asyncio.run(write_file(Path(sys.argv[1]), chunks()))
"""


async def pieces():
    yield b"whole"


def test_what_a_killed_backup_left_is_removed_by_the_next(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITING, str(tmp_path / "one.fastopp.gz")]
    killed, alive = (subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(2))
    try:
        for process in (killed, alive):
            assert process.stdout
            assert process.stdout.readline() == b"begun\n"
        killed.kill()
        killed.wait()
        assert len(names_in(tmp_path)) == 2
        (tmp_path / ".fastopp-backup-of-sqlite").touch()
        (tmp_path / ".fastopp-backup-of-sqlite-journal").touch()
        assert asyncio.run(write_file(tmp_path / "two.fastopp.gz", pieces())) == 5
        (kept,) = set(names_in(tmp_path)) - {"two.fastopp.gz"}
        assert kept.startswith(".fastopp-backup-")  # it is being written
    finally:
        for process in (killed, alive):
            process.kill()
            process.communicate()
    database = tmp_path / "test.db"
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("create table a (b)")
    copy = copy_sqlite(database)
    assert set(names_in(tmp_path)) == {"two.fastopp.gz", "test.db", copy.name}


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]
