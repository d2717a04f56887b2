"""LeapCell's Redis on this machine: a new one for each run, behind TLS, with the commands that LeapCell lists.

The data lie with Valkey (`redis_server.py`). In front of it stands `redis_front.py`, which speaks TLS and lets through
what is in `redis_commands.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import string
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from leapcell_emulator.loopback import HOST
from leapcell_emulator.services import redis_look
from leapcell_emulator.services.certificates import Certificates
from leapcell_emulator.services.look import Table
from leapcell_emulator.services.notices import Notice, Notices
from leapcell_emulator.services.process import random_text
from leapcell_emulator.services.redis_front import Front
from leapcell_emulator.services.redis_server import DUMP, RedisServer


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisOptions:
    """The options."""

    commands: Literal["listed", "all"] = "listed"


class Redis:
    """A running Redis: `async with Redis(options) as redis:`.

    notice: called once for each refused command, and for a connection without TLS.
    Raises `ServiceFailed` when it does not start.
    """

    def __init__(self, options: RedisOptions | None = None, *, notice: Notice | None = None) -> None:
        self.options = options or RedisOptions()
        self.password = random_text(32, string.ascii_letters + string.digits)
        self._notices = Notices(notice)
        self._server: RedisServer
        self._front: Front | None = None
        self._authorities: Path

    async def __aenter__(self) -> Self:
        await self._start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self._stop()

    @property
    def url(self) -> str:
        """The URL, in the shape that LeapCell's dashboard shows."""
        assert self._front, "not started"  # noqa: S101 - a mistake of the caller's
        return f"rediss://default:{self.password}@{HOST}:{self._front.port}"

    def environment(self) -> dict[str, str]:
        """Return the variables that a user copies from the dashboard, and the authorities that clients trust."""
        authorities = str(self._authorities)
        return {"REDIS_URL": self.url, "SSL_CERT_FILE": authorities, "NODE_EXTRA_CA_CERTS": authorities}

    def status(self) -> dict[str, Any]:
        """Its use, for the page."""
        front = self._front
        return {
            "state": "running" if self._server.running else "ended",
            "commands": self.options.commands,
            "port": front.port if front else None,
            "connections": front.connections if front else 0,
            "refused": front.refused if front else 0,
            "notices": self._notices.told,
        }

    async def look(self, name: str, after: int) -> Table:
        """Return its keys, or what is in one."""
        return await redis_look.look(self._server.socket, self.password, name)

    async def save(self, folder: Path) -> None:
        """Write all it holds to a file in this folder. Raises `ServiceFailed`."""
        dump = await self._server.dump()
        await asyncio.to_thread(_copy, dump, folder / DUMP)

    async def load(self, folder: Path) -> bool:
        """Let it hold what `save` wrote, and only that. Whether there was anything. Raises `ServiceFailed`."""
        saved = folder / DUMP
        if not saved.exists():
            return False
        await self._stop()
        await self._start(saved)  # it reads the file when it starts
        return True

    async def _start(self, saved: Path | None = None) -> None:
        self._server = server = RedisServer(self.password)
        async with contextlib.AsyncExitStack() as undo:
            undo.push_async_callback(self._stop)
            certificates = await asyncio.to_thread(Certificates, server.folder)
            self._authorities = await asyncio.to_thread(certificates.bundle)
            await server.start(saved)
            all_commands = self.options.commands == "all"
            context = certificates.server_context()
            self._front = Front(server.socket, context, self._notices, all_commands=all_commands)
            self._front.start()
            undo.pop_all()

    async def _stop(self) -> None:
        if self._front:
            await self._front.stop()
            self._front = None
        await self._server.stop()


def _copy(source: Path, target: Path) -> None:
    unfinished = target.with_name(f"{target.name}.part")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, unfinished)
    unfinished.replace(target)
