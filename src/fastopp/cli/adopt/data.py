"""The settings, the database and the uploads."""

from __future__ import annotations

import re
import shutil
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from dotenv import dotenv_values

from fastopp.cli.adopt.report import Report
from fastopp.console.main_file import ProjectError

DATABASE = "test.db"
UPLOADS = Path("static/uploads")


class RowsMissing(ProjectError):
    """The copy of the database lacks rows of the old one."""


def copy_settings(old: Path, new: Path, report: Report) -> dict[str, str]:
    """Copy .env, with the database and the uploads of the new folder; return its values as they were."""
    source = old / ".env"
    if not source.is_file():
        return {}
    values = {name: value or "" for name, value in dotenv_values(source, interpolate=False).items()}
    text = source.read_text(encoding="utf-8")
    if sqlite_file(old, values) is not None:
        text = _with_value(text, "DATABASE_URL", f"sqlite+aiosqlite:///./{DATABASE}")
    text = _with_value(text, "UPLOAD_DIR", UPLOADS.as_posix())
    target = new / ".env"
    target.touch(mode=0o600)
    target.write_text(text, encoding="utf-8")
    report.did(".env taken along.")
    return values


def sqlite_file(old: Path, values: dict[str, str]) -> Path | None:
    """Return the SQLite file that a project's DATABASE_URL names; None if it is a server."""
    url = values.get("DATABASE_URL") or f"sqlite:///./{DATABASE}"
    if not url.startswith("sqlite"):
        return None
    return old / re.sub(r"^sqlite(\+\w+)?:///", "", url).partition("?")[0]


def copy_database(old: Path, new: Path, values: dict[str, str], report: Report) -> Path | None:
    """Copy the SQLite database, while it may be in use; return the copy."""
    source = sqlite_file(old, values)
    if source is None:
        report.left(
            Path(".env"),
            0,
            "The database is a server's. Back it up, then run `python oppman.py migrate`: it keeps all rows.",
        )
        return None
    if not source.is_file():
        return None
    target = new / DATABASE
    with (
        closing(sqlite3.connect(f"{source.resolve().as_uri()}?mode=ro", uri=True)) as reading,
        closing(sqlite3.connect(target)) as writing,
    ):
        reading.backup(writing)
    return target


def count_rows(database: Path) -> dict[str, int]:
    """Return the rows of each table of an SQLite file."""
    with closing(sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True)) as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for name in names}  # noqa: S608 - names from the file itself


def copy_others(files: Iterable[Path], old: Path, new: Path, values: dict[str, str], report: Report) -> None:
    """Copy files that the code reads by their path in the project, but for the uploads."""
    uploads = old / (values.get("UPLOAD_DIR") or UPLOADS)
    copied = [path for path in files if not (old / path).is_relative_to(uploads) and not (new / path).exists()]
    for path in copied:
        (new / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(old / path, new / path)
    if copied:
        report.did(
            f"Other files: {', '.join(path.as_posix() for path in copied[:10])}{' …' if len(copied) > 10 else ''}."
        )


def settle(database: Path) -> None:
    """Write everything into the one file, so that none is beside it."""
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def compare_rows(before: dict[str, int], after: dict[str, int], report: Report) -> None:
    """Report the rows of each table. Raises RowsMissing when there are fewer than before."""
    before = {name: rows for name, rows in before.items() if name not in ("alembic_version", "sqlite_sequence")}
    missing = [
        f"{name} has {after.get(name, 0)} of {rows}" for name, rows in before.items() if after.get(name, 0) < rows
    ]
    if missing:
        raise RowsMissing(f"The copied database lacks rows: {', '.join(missing)}.")
    report.did(f"The database: {sum(before.values())} rows in {len(before)} tables, all there.")


def copy_uploads(old: Path, new: Path, values: dict[str, str], report: Report) -> None:
    """Copy the folder of uploads."""
    source = old / (values.get("UPLOAD_DIR") or UPLOADS)
    if source.is_dir():
        shutil.copytree(source, new / UPLOADS, dirs_exist_ok=True)
    files = [path for path in (new / UPLOADS).rglob("*") if path.is_file() and not path.name.startswith(".")]
    report.did(f"{len(files)} uploaded files.")


def _with_value(text: str, name: str, value: str) -> str:
    return re.sub(rf"(?m)^(\s*(?:export\s+)?{name}\s*=).*$", lambda found: f"{found[1]}{value}", text)
