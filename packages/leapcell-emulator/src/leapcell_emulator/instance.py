"""One running copy of the project: starting, running, frozen, dormant, gone."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import time
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import aiohttp

from leapcell_emulator import temp
from leapcell_emulator.confined import TERM_PATIENCE, ConfinedProcess
from leapcell_emulator.deployment import Deployment, Host
from leapcell_emulator.documented import MIB
from leapcell_emulator.events import now
from leapcell_emulator.health import HealthCheck
from leapcell_emulator.instance_record import InstanceRecord
from leapcell_emulator.instance_room import instance_room
from leapcell_emulator.logs import complaint, is_enforced
from leapcell_emulator.loopback import HOST, is_loopback
from leapcell_emulator.machine import write_machine
from leapcell_emulator.metering import Window
from leapcell_emulator.sandbox import TEMP
from leapcell_emulator.unfinished import Work
from leapcell_emulator.unfinished_report import UnfinishedReport
from leapcell_emulator.upstream import IDLE_CONNECTION, Upstream
from leapcell_emulator.upstream_connection import LARGEST_HEAD

SETTLING: Final = 0.003  # seconds that a process gets to finish what an answer leaves to do, if it is busy
_SHOWN_LINES: Final = 50


class State(StrEnum):
    """The state of an instance."""

    STARTING = "starting"
    RUNNING = "running"
    FROZEN = "frozen"
    DORMANT = "dormant"
    """Ended for lack of traffic; the next request starts another."""
    GONE = "gone"


class Instance:
    """Run the start command. Each request uses it (`begin`, `end`); in between it is stopped (E4)."""

    def __init__(self, name: str, deployment: Deployment, host: Host, *, on_end: Callable[[Instance], None]) -> None:
        """`on_end` hears when it ends by itself."""
        self.name = name
        self.deployment = deployment
        self.state = State.STARTING
        self.in_hand = 0
        self.served = 0
        self.since = now()
        self.ended = ""
        """The reason for its end."""
        self.last_used = time.monotonic()
        self.idle = asyncio.Event()
        self.idle.set()
        self._host = host
        self._rules, self._journal = host.rules, host.journal
        self._on_end = on_end
        self._folder = host.folder / name
        self._room = instance_room(deployment.image, self._rules, self._folder)
        self._process = ConfinedProcess(
            self._room,
            self._rules,
            host.sandbox,
            port=deployment.manifest.port,
            on_line=self._line,
            on_bound=self._note_bound,
            on_refused=None if self._room.host_tools else self._note_refused,
        )
        self.record = InstanceRecord(self._journal.record, name, self._process)
        self.last_request = ""
        """Method and path of the request that it got last."""
        sleeping = deployment.manifest.runtime != "go"
        self._unfinished = UnfinishedReport(name, self._process, self._journal, sleeping=sleeping)
        self._watch: asyncio.Task[None] | None = None
        self.upstream: Upstream
        """Its connections."""
        self.session: aiohttp.ClientSession
        """For its health and WebSockets."""

    # Start

    async def start(self) -> None:
        """Launch the start command and wait until the health path answers. Raises `StartFailed`."""
        self._room.temp.mkdir(parents=True)
        self._room.temp.chmod(0o1777)
        if self._room.machine is not None:
            write_machine(self._room.machine, self.deployment.manifest.memory)
        self.session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=IDLE_CONNECTION),
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=None),
            cookie_jar=aiohttp.DummyCookieJar(),
            max_line_size=LARGEST_HEAD,
            max_field_size=LARGEST_HEAD,
        )
        manifest = self.deployment.manifest
        try:
            await self._process.launch(
                manifest.start_command,
                {
                    **self.deployment.image.environment,
                    "PORT": str(manifest.port),
                    **self.deployment.variables,
                },
                name=f"{self._host.folder.parent.name}-{self.name}",
                memory=manifest.memory * MIB if self._rules.memory_cap else None,
                cpu=manifest.cpu_share if self._rules.cpu_share else None,
                account=self._journal.record is not None,
            )
            await self._become_healthy()
        except BaseException as error:  # its text is kept, and a cancelled start ends the process too
            self.ended = str(error).partition("\n")[0]
            await self._clear()
            raise
        self.upstream = Upstream(HOST, self._process.port)
        self.record.started(memory=manifest.memory)
        self.state = State.RUNNING
        self.last_used = time.monotonic()
        self._watch = asyncio.create_task(self._watch_end())
        self.rest()

    async def _become_healthy(self) -> None:
        """Ask until anything answers (E9), and once for the paths that LeapCell misspells (E10)."""
        health = HealthCheck(self._process, self.session, self.name, self.deployment.manifest.port, self._journal)
        await health.wait(self._why_ended)
        if self._rules.stray_probes:
            await health.probe_strays()
        hosts = [host for host, port in self._process.bound if port == self.deployment.manifest.port]
        if hosts and all(is_loopback(host) for host in hosts):
            self._say(f"{self.name} listens on {hosts[0]} only: it runs, but LeapCell's documents ask for 0.0.0.0.")

    def _note_bound(self, host: str, port: int) -> None:
        """Report an address that other machines could reach, other than HTTP to the service's port (E20)."""
        own = self.deployment.manifest.port
        if self._rules.only_http and port not in (0, own) and not is_loopback(host):
            self._journal.fire("only_http", instance=self.name, limit=own, found=f"{self.name} has bound port {port}")

    def _note_refused(self, host: str, port: int) -> None:
        self._say(
            f"{host}:{port} was refused: a server of this machine, and on LeapCell none is there. "
            "--host-tools lets the application reach it."
        )

    def url(self, path: str) -> str:
        """The address of a path here."""
        return self._process.url(path)

    # Requests

    def begin(self) -> Window:
        """Begin a request: the instance runs."""
        self.in_hand += 1
        self.served += 1
        self.last_used = time.monotonic()
        self.idle.clear()
        window = self.record.begin()
        self.thaw()
        return window

    def end(self, window: Window) -> None:
        """The request is answered: without another the instance stops."""
        self.in_hand -= 1
        self.last_used = time.monotonic()
        if self.in_hand == 0:
            self.idle.set()
            self.rest()
        self.record.end(window)

    def rest(self) -> None:
        """Stop it, if the rules say so and it has no request."""
        if not self._rules.freeze or self.in_hand:
            return
        if self.last_request and (work := self._unfinished.look()):
            asyncio.get_running_loop().call_later(SETTLING, self._settle, work)
        else:
            self.freeze()

    def _settle(self, before: set[Work]) -> None:
        """Freeze it, and report the work that was not only the end of the request."""
        if self.in_hand or self.state is not State.RUNNING:
            return
        work = self._unfinished.remaining(before)
        self.freeze()
        self._unfinished.report(work, self.last_request)

    def freeze(self) -> None:
        """Stop every process of it."""
        if self.state is State.RUNNING:
            self._process.freeze()
            self.state = State.FROZEN

    def thaw(self) -> None:
        """Continue them."""
        if self.state is State.FROZEN:
            self.state = State.RUNNING
            self._process.thaw()

    # End

    async def stop(self, reason: str, *, state: State = State.GONE, politely: bool = False) -> None:
        """End every process and delete its folder; `politely`: with SIGTERM first and time to act on it."""
        if self.state in (State.GONE, State.DORMANT):
            await self._clear()  # may have been interrupted before
            return
        self.ended = reason
        if politely and not await self._process.terminate():
            self._say(f"{self.name} did not end within {TERM_PATIENCE:g} s of SIGTERM and was killed.")
        self.state = state
        await self._clear()

    async def _watch_end(self) -> None:
        await self._process.ended.wait()
        if self.ended:
            return
        self.ended = f"{self._why_ended(self.name)}."
        self.state = State.GONE
        self._say(f"{self.ended}{self._process.last_words()}", level="error")
        self._on_end(self)
        await self._clear()

    def _why_ended(self, subject: str) -> str:
        if self._process.memory_kills():
            self._fire_memory_cap()
            return f"{subject} ran out of memory"
        return f"{subject} ended {self._process.exit_words}"

    def _fire_memory_cap(self) -> None:
        limit = f"{self.deployment.manifest.memory} MB"
        self._journal.fire("memory_cap", found=self.name, limit=limit, instance=self.name, level="error")

    async def _clear(self) -> None:
        self.record.ended(served=self.served)
        await self._process.close()
        with contextlib.suppress(AttributeError):
            await self.session.close()
            self.upstream.close()
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)

    async def wipe(self) -> None:
        """Empty its /tmp, as a move to another machine would."""
        folder = self._temp()
        kept = [folder / path.relative_to(TEMP) for path in self._room.covered_by_temp()]
        await asyncio.to_thread(temp.empty, folder, kept)

    def _temp(self) -> Path:
        """Its /tmp: a folder of ours, or where its size is limited a separate file system."""
        limited = self._rules.tmp_size and self._host.sandbox.mounts
        return (self._process.inside(TEMP) if limited else None) or self._room.temp

    def check_memory(self) -> None:
        """Kill it if it exceeds its memory, where the kernel does not cap that. Called now and then."""
        limit = self.deployment.manifest.memory * MIB
        if self._rules.memory_cap and not self._process.memory_limited and (self._process.memory() or 0) > limit:
            self._fire_memory_cap()
            self._process.kill()

    # Looking at it

    def _line(self, line: str) -> None:
        self._host.on_line(self.name, line)
        self._journal.note_line(self.name, line)
        found = complaint(line, landlock=self._host.sandbox.name == "landlock")
        if found is not None and is_enforced(self._rules, found[0]):
            self._journal.fire(found[0], found=found[1], instance=self.name)

    def _say(self, message: str, level: str = "warning") -> None:
        self._journal.say(message, level=level, instance=self.name)

    def status(self) -> dict[str, Any]:
        """Return its status for the page."""
        files, size = temp.usage(self._temp())
        return {
            "name": self.name,
            "deployment": self.deployment.number,
            "state": str(self.state),
            "in_hand": self.in_hand,
            "served": self.served,
            "pid": self._process.pid if self._process.alive else None,
            "memory": self._process.memory(),
            "memory_limit": self.deployment.manifest.memory * MIB,
            "memory_limited": self._process.memory_limited,
            "cpu_seconds": self._process.cpu_seconds(),
            "cpu_limited": self._process.cpu_limited,
            "since": self.since,
            "ended": self.ended,
            "temp_files": files,
            "temp_bytes": size,
            "log": self._process.lines[-_SHOWN_LINES:],
        }
