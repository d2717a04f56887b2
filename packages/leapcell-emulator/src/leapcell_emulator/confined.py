"""The start command as a process: launched in its sandbox, limited, listened to, and ended for certain."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from leapcell_emulator import processes
from leapcell_emulator.control_group import ControlGroup
from leapcell_emulator.errors import Unavailable
from leapcell_emulator.local_servers import LocalServers
from leapcell_emulator.logs import LogReader
from leapcell_emulator.loopback import HOST, free_port
from leapcell_emulator.ports import PortRedirect
from leapcell_emulator.rules import Rules
from leapcell_emulator.sandbox import LAUNCHER, Room, Sandbox
from leapcell_emulator.unfinished import Work, find_work

LAUNCH_PATIENCE: Final = 10.0  # seconds until the sandbox stands
TERM_PATIENCE: Final = 5.0  # seconds between SIGTERM and SIGKILL
REMOVALS: Final = 50  # attempts to remove a control group, a second in all
NO_PORT: Final = -1  # for a program that is no server
_SHOWN_LINES: Final = 12
_KEPT_BOUND: Final = 100


class StartFailed(Unavailable):
    """The start command did not bring up a server."""


class ConfinedProcess:
    """A command, what it started, and their common end. One is used once."""

    def __init__(
        self,
        room: Room,
        rules: Rules,
        sandbox: Sandbox,
        *,
        port: int,
        on_line: Callable[[str], None],
        on_bound: Callable[[str, int], None] = lambda _host, _port: None,
        on_refused: Callable[[str, int], None] | None = None,
    ) -> None:
        """`port` is the one that it believes to listen on; `on_line` hears its output, `on_bound` what it asks for.

        With `on_refused`, which hears of them, it cannot reach servers of this machine.
        """
        self.port = free_port()
        """The loopback address on which it really listens."""
        self.bound: list[tuple[str, int]] = []
        """The addresses and ports that it asked for, each once."""
        self.code: int | None = None
        """Its exit code, once it has ended; below zero: the signal that ended it."""
        self.exit_words = ""
        """The way it ended, as the end of a sentence."""
        self.ended = asyncio.Event()
        self._room, self._rules, self._sandbox = room, rules, sandbox
        self._wanted_port = port
        self._on_line = on_line
        self._on_bound = on_bound
        self._servers = LocalServers(self._processes, on_refused) if on_refused is not None else None
        self._process: asyncio.subprocess.Process | None = None
        self._log: LogReader | None = None
        self._redirect: PortRedirect | None = None
        self._group: ControlGroup | None = None
        self._watch: asyncio.Task[None] | None = None
        self._stopped: list[int] = []
        self._root = 0
        self._launch_seconds = 0.0  # processor time of the launcher, which no platform has

    @property
    def pid(self) -> int:
        """The outermost process."""
        assert self._process is not None  # noqa: S101 - `launch` comes first
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it has been launched and has not ended."""
        return self._process is not None and not self.ended.is_set()

    @property
    def lines(self) -> list[str]:
        """Return its last lines of output."""
        return list(self._log.lines) if self._log else []

    def last_words(self) -> str:
        """Its last lines, to follow a message."""
        return "".join(f"\n  {line}" for line in self.lines[-_SHOWN_LINES:])

    async def launch(
        self,
        command: str,
        variables: dict[str, str],
        *,
        name: str = "",
        memory: int | None = None,
        cpu: float | None = None,
        account: bool = False,
    ) -> None:
        """Start it, limited to `memory` bytes and `cpu` processors. Raises `StartFailed`.

        With `account`, the kernel counts its processor time, also of what has ended.
        """
        ours, theirs = socket.socketpair()
        options = self._sandbox.launch_options(self._room, self._rules)
        connect = self._servers is not None
        launch = {"command": command, "channel": theirs.fileno(), "connect": connect, **options}
        launcher = [sys.executable, "-I", "-S", str(LAUNCHER), json.dumps(launch)]
        with ours, theirs:
            self._process = await asyncio.create_subprocess_exec(
                *self._sandbox.wrap(launcher, self._room, self._rules),
                stdin=asyncio.subprocess.PIPE,  # its end notifies a supervising launcher that the emulator has ended
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                env={**variables, **self._sandbox.environment(self._room)},
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
            theirs.close()
            assert self._process.stdout is not None  # noqa: S101 - asked for above
            self._log = LogReader(self._process.stdout, self._on_line)
            self._watch = asyncio.create_task(self._watch_end(self._process, self._log))
            await self._meet_launcher(ours)
            # Bubblewrap's first child is its namespace's first process, which must never be stopped: it sees the end.
            self._root = self.pid if options["supervise"] else processes.children(self.pid)[0]
            self._group = ControlGroup(name, memory=memory, cpu=cpu, account=account)
            for pid in processes.descendants(self._root):
                self._group.add(pid)
            self._launch_seconds = processes.cpu_seconds(self._root)
            ours.send(b"g")

    async def _meet_launcher(self, channel: socket.socket) -> None:
        """Wait for the launcher, and take the descriptor by which the kernel asks about its `bind`."""
        channel.setblocking(False)
        loop = asyncio.get_running_loop()
        readable = asyncio.Event()
        loop.add_reader(channel, readable.set)
        try:
            async with asyncio.timeout(LAUNCH_PATIENCE):
                await readable.wait()
            message, descriptors, _, _ = socket.recv_fds(channel, 16, 1)
        except (TimeoutError, OSError):
            message, descriptors = b"", []
        finally:
            loop.remove_reader(channel)
        if not message:
            await asyncio.sleep(0.1)  # for its last words to arrive
            raise StartFailed(f"The sandbox could not be set up.{self.last_words()}")
        for descriptor in descriptors:
            self._redirect = PortRedirect(
                descriptor,
                port=self._wanted_port,
                target=self.port,
                on_bind=self._note_bound,
                refuses=self._servers.refuses if self._servers is not None else lambda _host, _port: False,
            )
        if not descriptors:
            # The kernel does not ask: then it listens where it says, and there can be only one.
            self.port = self._wanted_port

    def _processes(self) -> list[int]:
        """All that it started. The kernel's list of a control group is read in a fifth of the time."""
        grouped = self._group.processes() if self._group is not None else None
        return processes.descendants(self._root) if grouped is None else grouped

    def _note_bound(self, host: str, port: int) -> None:
        if (host, port) not in self.bound and len(self.bound) < _KEPT_BOUND:
            self.bound.append((host, port))
            self._on_bound(host, port)

    def inside(self, path: str) -> Path | None:
        """Return a path below its root as this machine sees it; None: it has ended."""
        found = self._processes() if self.alive else []
        return Path(f"/proc/{found[0]}/root{path}") if found else None

    def url(self, path: str) -> str:
        """The address of a path of it."""
        return f"http://{HOST}:{self.port}{path}"

    def work(self, *, sleeping: bool) -> set[Work]:
        """The threads that are not idle; `sleeping`: those too that sleep."""
        return find_work(self._processes(), sleeping=sleeping) if self.alive else set()

    def freeze(self) -> None:
        """Stop all that it started."""
        if self.alive:  # else its number may be another process's by now
            self._stopped = processes.stop(self._processes)

    def thaw(self) -> None:
        """Continue what was stopped."""
        if self.alive:
            processes.resume(self._stopped)
        self._stopped = []

    async def terminate(self) -> bool:
        """Send SIGTERM and wait; False: it has not ended in time."""
        if not self.alive:
            return True
        self.thaw()
        processes.signal_all(self._root, signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(TERM_PATIENCE):
                await self.ended.wait()
        return self.ended.is_set()

    def kill(self) -> None:
        """End it now, with all that it started: its PID namespace goes with it, or its launcher sees to that."""
        if self._process is None or self.ended.is_set():
            return
        if self._process.stdin is not None:
            self._process.stdin.close()
        if not self._sandbox.launch_options(self._room, self._rules)["supervise"]:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    async def close(self) -> None:
        """Kill it, wait for its end, and let go of everything."""
        if self._process is not None:
            self.kill()
            await self.ended.wait()
        if self._redirect is not None:
            self._redirect.close()
        if self._group is not None:
            for _ in range(REMOVALS):
                if self._group.remove():
                    break
                await asyncio.sleep(0.02)

    async def _watch_end(self, process: asyncio.subprocess.Process, log: LogReader) -> None:
        reading = asyncio.create_task(log.read())
        code = await process.wait()
        await reading
        self.code = code
        self.exit_words = exit_words(code)
        self.ended.set()

    @property
    def memory_limited(self) -> bool:
        """Whether the kernel caps its memory."""
        return self._group is not None and self._group.memory_limited

    @property
    def cpu_limited(self) -> bool:
        """Whether the kernel gives it a share of a processor."""
        return self._group is not None and self._group.cpu_limited

    def memory_kills(self) -> int:
        """Return the number of processes that the kernel killed because memory ran out."""
        return self._group.kills() if self._group else 0

    def memory(self) -> int | None:
        """Bytes that it uses; None: it has ended."""
        if not self.alive:
            return None
        grouped = self._group.memory() if self._group else None
        if grouped is None:
            return processes.memory(self._root)
        # A group is not charged for what others have read from the disk before. On a separate machine it would be.
        return max(grouped, processes.memory(self._root, largest=True))

    def cpu_seconds(self) -> float | None:
        """Processor time that it has used; None: it has ended."""
        if not self.alive:
            return None
        return round(max(0.0, processes.cpu_seconds(self._root) - self._launch_seconds), 2)

    def processor_seconds(self) -> float | None:
        """The same as the kernel's control group counts it, and without one in hundredths; None: not known."""
        counted = self._group.processor_seconds() if self._group else None
        return self.cpu_seconds() if counted is None else counted


def exit_words(code: int) -> str:
    """Describe the end of a process: `with code 3`, `by SIGKILL`. A shell says 128 and the signal's number."""
    number = -code if code < 0 else code - 128 if 128 < code < 160 else 0
    if number:
        with contextlib.suppress(ValueError):
            return f"by {signal.Signals(number).name}"
    return f"with code {code}"
