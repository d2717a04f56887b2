"""`oppman.py db` and `backup --upload` as somebody at a shell runs them: listed, pruned, and back by key."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.services.s3 import ACCESS_KEY, SECRET_KEY, RcloneServer
from tests.services.site import run_command, succeed


@pytest.fixture
def project(seeded_project: Path, tmp_path: Path) -> Path:
    project = tmp_path / "project"
    shutil.copytree(seeded_project, project)
    return project


@pytest.fixture
def environ(rclone: RcloneServer) -> dict[str, str]:
    keys = {"S3_ACCESS_KEY": ACCESS_KEY, "S3_SECRET_KEY": SECRET_KEY, "S3_BUCKET": rclone.create_bucket()}
    return keys | {"S3_ENDPOINT_URL": rclone.endpoint, "BACKUP_KEY": "a-key-for-backups-of-these-tests"}


def listed(project: Path, environ: dict[str, str]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(succeed(project, "oppman.py", "db", "backups", "--json", environ=environ))
    return found


def users_in(database: Path) -> int:
    with closing(sqlite3.connect(database)) as connection:
        count: int = connection.execute("SELECT count(*) FROM users").fetchone()[0]
        return count


def test_listed_and_brought_back(project: Path, environ: dict[str, str]) -> None:
    assert "no backups" in succeed(project, "oppman.py", "db", "backups")
    succeed(project, "oppman.py", "backup")
    succeed(project, "oppman.py", "backup", "backups/database/mine.fastopp.gz")
    succeed(project, "oppman.py", "backup", "--upload", environ=environ)
    found = listed(project, environ)
    assert sorted(entry["where"] for entry in found) == ["Object Storage", "here", "here"]
    assert {entry["name"].split("/")[0] for entry in found} >= {"backups"}
    assert all(entry["bytes"] > 1000 and "T" in entry["modified"] for entry in found)
    shown = succeed(project, "oppman.py", "db", "backups", environ=environ)
    assert "backups/database/mine.fastopp.gz" in shown

    key = next(entry["name"] for entry in found if entry["where"] == "Object Storage")
    other = environ | {"DATABASE_URL": "sqlite:///./other.db"}
    assert "are restored" in succeed(project, "oppman.py", "db", "restore", key, environ=other)
    assert users_in(project / "other.db") == users_in(project / "test.db") > 0
    done = run_command(project, "oppman.py", "db", "restore", key, environ=other)
    assert done.returncode == 1  # it has rows
    local = environ | {"DATABASE_URL": "sqlite:///./third.db"}
    succeed(project, "oppman.py", "db", "restore", "backups/database/mine.fastopp.gz", environ=local)
    assert users_in(project / "third.db") == users_in(project / "test.db")


def test_a_key_that_is_none(project: Path, environ: dict[str, str]) -> None:
    own = environ | {"DATABASE_URL": "sqlite:///./other.db"}
    for key in ("photos/a.jpg", "backups/20250101_000000_000000-" + "0" * 32 + ".fastopp.gz.enc"):
        done = run_command(project, "oppman.py", "db", "restore", key, environ=own)
        assert done.returncode == 1
        assert "oppman.py db backups" in done.stderr
        assert "Traceback" not in done.stderr


def test_only_the_newest_are_kept(project: Path, environ: dict[str, str], rclone: RcloneServer) -> None:
    folder = rclone.bucket(environ["S3_BUCKET"]) / "backups"
    folder.mkdir()
    for day in range(1, 5):
        (folder / f"2025010{day}_000000_000000-{day:032x}.fastopp.gz.enc").write_bytes(b"old")
    (folder / "keep-me.fastopp.gz.enc").write_bytes(b"somebody's own")
    said = succeed(project, "oppman.py", "backup", "--upload", "--keep", "3", environ=environ)
    assert "2 older backup(s) deleted" in said
    names = {path.name[:8] for path in folder.iterdir()}
    assert {"20250103", "20250104", "keep-me."} < names
    assert len(names) == 4

    done = run_command(project, "oppman.py", "db", "prune", "--keep", "1", environ=environ)
    assert done.returncode == 1  # nobody to ask
    assert "to delete  backups/20250104" in done.stdout
    assert len(list(folder.iterdir())) == 4
    assert "2 backup(s) deleted" in succeed(project, "oppman.py", "db", "prune", "--keep", "1", "-y", environ=environ)
    assert len(list(folder.iterdir())) == 2
    assert "0 backup(s) deleted" in succeed(project, "oppman.py", "db", "prune", "--keep", "1", environ=environ)

    assert run_command(project, "oppman.py", "db", "prune", "--keep", "0", environ=environ).returncode == 2
    assert run_command(project, "oppman.py", "backup", "--keep", "1", environ=environ).returncode == 2
