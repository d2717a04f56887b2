"""A program that a service runs: it ends with the emulator and leaves nothing behind."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shutil
import signal
import string
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from leapcell_emulator.environment import machine_environment
from leapcell_emulator.errors import Unavailable

KEEPER = Path(__file__).with_name("keeper.py")


class ServiceFailed(Unavailable):
    """A service of the emulator does not run."""


def make_folder(name: str, *, parent: Path = Path("/tmp")) -> Path:  # noqa: S108 - mkdtemp
    """A new folder that only we can enter, with a path short enough for sockets, which may have 107 bytes."""
    return Path(tempfile.mkdtemp(prefix=f"leapcell-{name}-", dir=parent))


async def listens(path: Path) -> bool:
    """Return whether a server takes connections on a unix socket; its file is there a moment earlier."""
    try:
        _, writer = await asyncio.open_unix_connection(str(path))
    except OSError:
        return False
    writer.close()
    return True


def random_text(length: int, alphabet: str = string.ascii_lowercase) -> str:
    """Unguessable text: a name or a key for this run."""
    return "".join(secrets.choice(alphabet) for _ in range(length))


class ServiceProcess:
    """A program that runs until `stop`, and no longer than we do even if we are killed.

    Parameters
    ----------
    name: for messages.
    command: the program and its arguments.
    folder: its folder, where it runs and which is deleted after its end.
    stop_signal: what asks it to end.
    patience: seconds until it is killed.
    give_up_root: run it as an unprivileged user if we are root.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        folder: Path,
        *,
        stop_signal: signal.Signals = signal.SIGTERM,
        patience: float = 5.0,
        give_up_root: bool = False,
    ) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        plan = {
            "command": list(command),
            "folder": str(folder),
            "log": str(self.log),
            "stop_signal": int(stop_signal),
            "patience": patience,
            "give_up_root": give_up_root and os.geteuid() == 0,
        }
        # A separate session: Ctrl-C in the terminal is for the emulator, which ends its services in order.
        self._keeper = subprocess.Popen(  # noqa: S603 - our own script
            [sys.executable, "-I", "-S", str(KEEPER), json.dumps(plan)],
            env=machine_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,  # the end of the program's log, when it has ended
            start_new_session=True,
        )

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._keeper.poll() is None

    async def ready(self, answers: Callable[[], Awaitable[bool]], *, within: float = 30.0) -> None:
        """Wait until `answers` says yes. Raises `ServiceFailed` with the end of the program's log."""
        try:
            async with asyncio.timeout(within):
                while not await answers():
                    if not self.running:
                        raise ServiceFailed(f"{self.name} ended at once. {await self.stop()}")
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise ServiceFailed(f"{self.name} did not answer within {within:g} s. {await self.stop()}") from None

    async def stop(self) -> str:
        """End it and delete its folder. Returns the end of its log, the first time."""
        if self._keeper.stdin:
            self._keeper.stdin.close()
        return await asyncio.to_thread(self._end)

    def _end(self) -> str:
        said, self._keeper.stderr = self._keeper.stderr, None
        last_words = said.read().decode(errors="replace").strip() if said else ""
        if said:
            said.close()
        self._keeper.wait()
        return last_words


class Server:
    """A server of one kind: a program with a folder of its files, which are deleted when it ends."""

    def __init__(self, name: str, *, parent: Path = Path("/tmp")) -> None:  # noqa: S108 - mkdtemp
        self.folder = make_folder(name, parent=parent)
        self._process: ServiceProcess | None = None

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
