"""LeapCell's PostgreSQL on this machine: a new database for each run, behind TLS and a pooler.

On LeapCell the database's host is shared by many tenants, and in front of it stands a pooler that hands a client a
server connection for one transaction. Named prepared statements are then unknown to the next transaction or in its way,
`SET` and a session's advisory locks do not stick, and `LISTEN` is silent.

`postgres_front.py` is the address: TLS, and a cap on connections. Behind it is `postgres_pooler.py`, whose docstring
lists how it differs from pgbouncer.
"""

from __future__ import annotations

import asyncio
import contextlib
import string
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from psycopg import sql

from leapcell_emulator.services import postgres_look
from leapcell_emulator.services.certificates import Certificates
from leapcell_emulator.services.look import Table
from leapcell_emulator.services.notices import Notice, Notices
from leapcell_emulator.services.postgres_front import Front
from leapcell_emulator.services.postgres_pooler import Pooler, Watcher
from leapcell_emulator.services.postgres_server import PostgresServer
from leapcell_emulator.services.process import random_text

DUMP = "database.dump"  # the file of a saved database, in pg_dump's own format


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresOptions:
    """The options. LeapCell documents none of the numbers."""

    pooler: Literal["transaction", "session"] = "transaction"
    pool_size: int = 20
    """Server connections that clients share; pgbouncer's default."""
    tls: bool = True
    """Whether connections without TLS are refused."""
    max_connections: int = 100
    """Clients at a time; pgbouncer's default."""
    latency: float = 0.0
    """Seconds that a statement takes to the database and back."""
    host: str = "localhost"
    """The host that the URL names."""
    port: int = 0
    """0: any that is free."""


class Postgres:
    """A running database: `async with Postgres(options) as database:`.

    notice: called once for each kind of statement that does not work behind a transaction pooler.
    Raises `ServiceFailed` when it does not start.
    """

    def __init__(self, options: PostgresOptions | None = None, *, notice: Notice | None = None) -> None:
        self.options = options or PostgresOptions()
        self.database = random_text(20)
        self.user = random_text(20)
        self.password = random_text(32, string.ascii_letters + string.digits)
        self._notices = Notices(notice)
        self._server: PostgresServer
        self._pooler: Pooler | None = None
        self._front: Front | None = None
        self._oid = 0

    async def __aenter__(self) -> Self:
        self._server = PostgresServer()
        async with contextlib.AsyncExitStack() as undo:
            undo.push_async_callback(self._stop)
            await self._start()
            undo.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self._stop()

    @property
    def url(self) -> str:
        """The URL, in the shape that LeapCell's dashboard shows."""
        assert self._front, "not started"  # noqa: S101 - a mistake of the caller's
        where = f"{self.options.host}:{self._front.port}"
        return f"postgresql://{self.user}:{self.password}@{where}/{self.database}?sslmode=require"

    @property
    def root_certificate(self) -> Path:
        """The authority that signed the server's certificate, for those who verify it."""
        return self._server.folder / "root.pem"

    def environment(self) -> dict[str, str]:
        """The variables that a LeapCell user copies from the dashboard."""
        return {"DATABASE_URL": self.url}

    def status(self) -> dict[str, Any]:
        """Its use, for the page: sizes in bytes."""
        front = self._front
        return {
            "state": "running" if self._server.running else "ended",
            "pooler": self.options.pooler,
            "port": front.port if front else None,
            "size": self._server.size(self._oid),
            "connections": front.connections if front else 0,
            "max_connections": self.options.max_connections,
            "refused": front.refused if front else 0,
            "server_connections": self._pooler.connections if self._pooler else None,
            "pool_size": self.options.pool_size,
            "failing": bool(front and front.failing),
            "latency_ms": round(self.latency * 1000, 3),
            "notices": self._notices.told,
        }

    async def look(self, name: str, after: int) -> Table:
        """Return the tables, or rows of one, as the project's own user sees them."""
        return await postgres_look.look(await self._server.connect(self.database, self.user), name, after)

    def disconnect(self) -> int:
        """Drop all clients, and return how many there were."""
        return self._front.drop() if self._front else 0

    def fail(self, seconds: float) -> None:
        """Drop all clients, and each new one for so long."""
        if self._front:
            self._front.fail(seconds)

    @property
    def latency(self) -> float:
        """Seconds that a statement takes to the database and back."""
        return self._pooler.latency if self._pooler else self.options.latency

    @latency.setter
    def latency(self, seconds: float) -> None:
        if self._pooler:
            self._pooler.latency = seconds
            for client in self._pooler.clients.values():
                client.latency = seconds

    async def save(self, folder: Path) -> None:
        """Write the database to a file in this folder. Raises `ServiceFailed`."""
        await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
        unfinished = folder / f"{DUMP}.part"
        await self._server.run("pg_dump", f"--dbname={self.database}", "--format=custom", f"--file={unfinished}")
        unfinished.replace(folder / DUMP)

    async def load(self, folder: Path) -> bool:
        """Fill the still empty database from what `save` wrote. Whether there was anything.

        What it holds belongs to this run's user. Raises `ServiceFailed`.
        """
        saved = folder / DUMP
        if not saved.exists():
            return False
        options = ("--no-owner", "--no-privileges", f"--role={self.user}", "--exit-on-error", "--single-transaction")
        await self._server.run("pg_restore", f"--dbname={self.database}", *options, str(saved))
        return True

    async def _start(self) -> None:
        server, options = self._server, self.options
        certificates = await asyncio.to_thread(Certificates, server.folder)
        context = certificates.server_context()
        await server.start()
        await self._create_database()
        sharing = options.pooler == "transaction"
        watcher = Watcher(self._notices) if sharing else None
        size = options.pool_size
        pooler = Pooler(
            server.socket,
            server.host,
            server.port,
            size=size,
            sharing=sharing,
            watcher=watcher,
            latency=options.latency,
        )
        self._pooler = pooler
        self._front = Front(
            pooler, context, max_connections=options.max_connections, notices=self._notices, tls=options.tls
        )
        await self._front.start(options.port)

    async def _stop(self) -> None:
        if self._front:
            await self._front.stop()
        if self._pooler:
            self._pooler.close()
        await self._server.stop()

    async def _create_database(self) -> None:
        user, database = sql.Identifier(self.user), sql.Identifier(self.database)
        connection = await self._server.connect()
        async with connection:
            await connection.execute(
                sql.SQL("create role {} login password {}").format(user, sql.Literal(self.password))
            )
            await connection.execute(sql.SQL("create database {} owner {}").format(database, user))
            found = await connection.execute("select oid from pg_database where datname = %s", [self.database])
            self._oid = (await found.fetchone() or [0])[0]
