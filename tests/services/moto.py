"""moto's imitation of AWS: S3 as AWS answers it, signatures aside."""

from __future__ import annotations

import secrets
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.request import Request, urlopen

from leapcell_emulator.loopback import free_port


class MotoServer:
    """moto_server on a port of its own."""

    def __init__(self) -> None:
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        """The address for S3_ENDPOINT_URL."""
        return f"http://127.0.0.1:{self.port}"

    def create_bucket(self) -> str:
        """A new, empty bucket: its name."""
        name = f"tests-{secrets.token_hex(8)}"
        urlopen(Request(f"{self.endpoint}/{name}", method="PUT"), timeout=30).close()
        return name

    def __enter__(self) -> Self:
        self.port = free_port()
        command = [str(Path(sys.executable).parent / "moto_server"), "-H", "127.0.0.1", "-p", str(self.port)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(600):
            assert self._process.poll() is None, "moto ended at once"
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.1)
            else:
                return self
        raise AssertionError("moto does not answer")

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()
