"""pgbouncer, the model of the emulator's pooler, with what tests ask of the emulator's PostgreSQL."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import subprocess
from contextlib import AsyncExitStack

import psycopg

from leapcell_emulator.loopback import HOST, free_port
from leapcell_emulator.services.certificates import Certificates
from leapcell_emulator.services.postgres import Postgres
from leapcell_emulator.services.postgres_server_pool import MIN_CONNECTIONS
from leapcell_emulator.services.process import ServiceProcess, make_folder

CONFIGURATION = """
[databases]
* = host={socket.parent} port={number}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
pool_mode = {options.pooler}
server_round_robin = 1
default_pool_size = {options.pool_size}
max_client_conn = {options.max_connections}
server_idle_timeout = 0
auth_type = scram-sha-256
auth_file = {folder}/users.txt
client_tls_sslmode = require
client_tls_cert_file = {folder}/server.pem
client_tls_key_file = {folder}/server.key
logfile =
"""


def find_pgbouncer() -> str | None:
    """The program, or None."""
    return shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


class PgBouncerModel(Postgres):
    """The emulator's PostgreSQL with pgbouncer in place of its front and its pooler. It notices nothing."""

    async def _start(self) -> None:
        certificates = Certificates(self._server.folder)
        await self._server.start()
        await self._create_database()
        self._front = _PgBouncer(self, certificates)
        await self._front.start()


class _PgBouncer:
    connections = refused = 0

    def __init__(self, service: Postgres, certificates: Certificates) -> None:
        self.folder = make_folder("pgbouncer")
        self.port = free_port()
        self._service = service
        self._process: ServiceProcess | None = None
        for path in (certificates.certificate, certificates.key):
            shutil.copy(path, self.folder)

    async def start(self) -> None:
        program, service = find_pgbouncer(), self._service
        assert program, "pgbouncer is not installed"
        socket = service._server.socket
        text = CONFIGURATION.format(
            socket=socket, number=socket.suffix[1:], port=self.port, folder=self.folder, options=service.options
        )
        if _version(program) >= (1, 21):
            text += "max_prepared_statements = 0\n"  # else it rewrites named statements so that they work
        (self.folder / "users.txt").write_text(f'"{service.user}" "{service.password}"\n')
        (self.folder / "pgbouncer.ini").write_text(text)
        command = [program, str(self.folder / "pgbouncer.ini")]
        self._process = ServiceProcess("pgbouncer", command, self.folder, stop_signal=signal.SIGKILL, give_up_root=True)
        await self._process.ready(self._listens)
        if service.options.pooler == "transaction":
            await self._open_server_connections()

    async def stop(self) -> None:
        if self._process:
            await self._process.stop()

    async def _listens(self) -> bool:
        try:
            _, writer = await asyncio.open_connection(HOST, self.port)
        except OSError:
            return False
        writer.close()
        return True

    async def _open_server_connections(self) -> None:
        """Those that take turns, with a transaction on each at a time."""
        async with AsyncExitStack() as connections:
            for _ in range(MIN_CONNECTIONS):
                connection = await psycopg.AsyncConnection.connect(self._service.url, prepare_threshold=None)
                await connections.enter_async_context(connection)
                await connection.execute("select")


def _version(program: str) -> tuple[int, ...]:
    shown = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"(\d+)\.(\d+)", shown)
    return tuple(int(part) for part in found.groups()) if found else (0, 0)
