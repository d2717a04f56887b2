"""Object Storage for the tests: rclone's S3 server, which checks signatures. Its faults are in `s3_faults`."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.request import Request as HTTPRequest
from urllib.request import urlopen

from fastopp.storage.s3.presigned import presign
from leapcell_emulator.loopback import free_port
from leapcell_emulator.services.rclone import find_rclone

ACCESS_KEY = "tests-access-key-0123456789"  # rclone refuses fewer than 16 characters
SECRET_KEY = "tests-secret-key-never-to-be-shown"
REGION = "us-east-1"


class RcloneServer:
    """`rclone serve s3` on a folder. A bucket is a folder in it, an object a file.

    Signatures are checked against ACCESS_KEY and SECRET_KEY.

    allow_origin: the site whose pages may ask for something (CORS).
    """

    def __init__(self, *, allow_origin: str = "") -> None:
        self.allow_origin = allow_origin
        self.host = "127.0.0.1"
        self.port = 0
        self.folder = Path(tempfile.mkdtemp(prefix="rclone-s3-", dir="/tmp"))
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        """The address for S3_ENDPOINT_URL."""
        return f"http://{self.host}:{self.port}"

    def create_bucket(self) -> str:
        """A new, empty bucket: its name."""
        name = f"os-wsp0-{secrets.token_hex(8)}"
        keys = {"access_key": ACCESS_KEY, "secret_key": SECRET_KEY, "region": REGION}
        url = presign("PUT", f"{self.endpoint}/{name}", headers={}, expires=timedelta(minutes=1), **keys)
        urlopen(HTTPRequest(url, method="PUT"), timeout=60).close()
        return name

    def bucket(self, name: str) -> Path:
        """The folder whose files are the bucket's objects. After a change in it, call `forget`."""
        return self.folder / name

    def forget(self) -> None:
        """Let the server look at its folders anew: it remembers what it has seen."""
        assert self._process, "not started"
        self._process.send_signal(signal.SIGHUP)
        time.sleep(0.2)

    def __enter__(self) -> Self:
        program = find_rclone()
        assert program, "rclone is not installed"
        self.port = free_port()
        command = [program, "serve", "s3", str(self.folder), "--addr", f"{self.host}:{self.port}"]
        # Each time it forgets its folders it may lock itself up (1.75: ForgetAll against Stat), so it never does.
        command += ["--auth-key", f"{ACCESS_KEY},{SECRET_KEY}", "--config", os.devnull, "--dir-cache-time", "24h"]
        command += ["--allow-origin", self.allow_origin] if self.allow_origin else []
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self._wait()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _wait(self) -> None:
        for _ in range(300):
            assert self._process, "not started"
            assert self._process.poll() is None, "rclone ended at once"
            try:
                socket.create_connection((self.host, self.port), timeout=1).close()
            except OSError:
                time.sleep(0.1)
            else:
                return
        raise AssertionError("rclone does not answer")
