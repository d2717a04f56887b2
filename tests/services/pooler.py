"""pgbouncer in transaction mode: the strictest pooler a managed PostgreSQL is put behind."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from leapcell_emulator.loopback import free_port
from tests.services.front import Certificates
from tests.services.pgbouncer import find_pgbouncer
from tests.services.postgres import PASSWORD, USER, Postgres

CONFIGURATION = """
[databases]
* = host={socket_folder} port=5432

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
pool_mode = transaction
default_pool_size = 3
max_client_conn = 200
auth_type = scram-sha-256
auth_file = {folder}/users.txt
client_tls_sslmode = require
client_tls_cert_file = {folder}/server.pem
client_tls_key_file = {folder}/server.key
logfile = {folder}/pgbouncer.log
"""


class Pooler:
    """pgbouncer in front of a Postgres: TLS required, SCRAM, three server connections, transaction mode."""

    def __init__(self, postgres: Postgres, certificates: Certificates) -> None:
        self.postgres = postgres
        self.certificates = certificates
        self.host = "127.0.0.1"
        self.port = 0
        self.folder = Path(tempfile.mkdtemp(prefix="pgbouncer-", dir="/tmp"))
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        program = find_pgbouncer()
        assert program, "pgbouncer is not installed"
        self.port = free_port()
        shutil.copy(self.certificates.certificate, self.folder / "server.pem")
        shutil.copy(self.certificates.key, self.folder / "server.key")
        (self.folder / "users.txt").write_text(f'"{USER}" "{PASSWORD}"\n')
        text = CONFIGURATION.format(socket_folder=self.postgres.socket_folder, port=self.port, folder=self.folder)
        (self.folder / "pgbouncer.ini").write_text(text)
        command = [program, str(self.folder / "pgbouncer.ini")]
        if os.geteuid() == 0:  # which pgbouncer refuses to be
            nobody = pwd.getpwnam("nobody")
            for path in (self.folder, *self.folder.iterdir()):
                os.chown(path, nobody.pw_uid, nobody.pw_gid)
            command += ["-u", nobody.pw_name]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self._wait()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _wait(self) -> None:
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection((self.host, self.port), timeout=1).close()
            except OSError:
                assert time.monotonic() < deadline, (self.folder / "pgbouncer.log").read_text()
                time.sleep(0.05)
            else:
                return
