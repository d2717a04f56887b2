"""pgbouncer, where it is installed: the pooler that managed PostgreSQL is most often behind."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import subprocess
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import psycopg

from fastopp.emulator.services.postgres_server_pool import MIN_CONNECTIONS
from fastopp.emulator.services.process import ServiceProcess, listens, make_folder

SOCKET_PORT = 6432  # only a part of its unix socket's name

# Our front speaks TLS and counts, so it listens on a unix socket only. Server connections take turns, so that what does
# not survive a transaction is seen at once.
_CONFIGURATION = """
[databases]
* = host={socket_folder} port={socket_port}

[pgbouncer]
listen_addr =
listen_port = {port}
unix_socket_dir = {folder}
pool_mode = {mode}
server_round_robin = 1
default_pool_size = {size}
server_idle_timeout = 0
max_client_conn = 10000
auth_type = scram-sha-256
auth_file = {folder}/users.txt
logfile =
"""


def find_pgbouncer() -> str | None:
    """The program, or None."""
    return shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


class PgBouncer:
    """A running pgbouncer in front of a PostgreSQL that trusts every client of its unix socket.

    Parameters
    ----------
    program: where it is.
    server: PostgreSQL's unix socket.
    user, password: who may sign in.
    mode: `transaction` or `session`.
    size: server connections for a user and database.
    """

    def __init__(self, program: str, server: Path, *, user: str, password: str, mode: str, size: int) -> None:
        self.program = program
        self.folder = make_folder("pgbouncer")
        self.socket = self.folder / f".s.PGSQL.{SOCKET_PORT}"
        self._text = _CONFIGURATION.format(
            socket_folder=server.parent,
            socket_port=server.suffix[1:],
            port=SOCKET_PORT,
            folder=self.folder,
            mode=mode,
            size=size,
        )
        self._who = {"user": user, "password": password}
        self._warm = min(MIN_CONNECTIONS, size) if mode == "transaction" else 0
        self._process: ServiceProcess | None = None

    async def start(self, database: str) -> None:
        """Start it, with server connections to a database. Raises `ServiceFailed`."""
        if await asyncio.to_thread(_version, self.program) >= (1, 21):
            self._text += "max_prepared_statements = 0\n"  # else it rewrites named statements so that they work
        (self.folder / "users.txt").write_text('"{user}" "{password}"\n'.format(**self._who))
        (self.folder / "pgbouncer.ini").write_text(self._text)
        command = [self.program, str(self.folder / "pgbouncer.ini")]
        # It keeps nothing, and how it takes a gentler signal depends on its version.
        self._process = ServiceProcess("pgbouncer", command, self.folder, stop_signal=signal.SIGKILL, give_up_root=True)
        await self._process.ready(lambda: listens(self.socket))
        await self._warm_up(database)

    @property
    def running(self) -> bool:
        """Whether it has started and not ended."""
        return self._process is not None and self._process.running

    async def stop(self) -> None:
        """End it and delete its files."""
        if self._process:
            await self._process.stop()
        else:
            await asyncio.to_thread(shutil.rmtree, self.folder)

    async def _warm_up(self, database: str) -> None:
        """Have it open the server connections that take turns, with a transaction on each at a time."""
        where: dict[str, Any] = {"host": str(self.folder), "port": SOCKET_PORT, "dbname": database, **self._who}
        async with AsyncExitStack() as connections:
            for _ in range(self._warm):
                connection = await psycopg.AsyncConnection.connect(prepare_threshold=None, **where)
                await connections.enter_async_context(connection)
                await connection.execute("select")


def _version(program: str) -> tuple[int, ...]:
    shown = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout  # noqa: S603
    found = re.search(r"(\d+)\.(\d+)", shown)
    return tuple(int(part) for part in found.groups()) if found else (0, 0)
