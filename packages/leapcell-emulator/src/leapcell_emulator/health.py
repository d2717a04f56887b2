"""Wait for an instance as LeapCell does: ask for `/kaithhealth` until anything answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

import aiohttp

from leapcell_emulator.confined import ConfinedProcess, StartFailed
from leapcell_emulator.documented import HEALTH_PATH, STRAY_HEALTH_PATHS
from leapcell_emulator.events import Journal
from leapcell_emulator.loopback import HOST

POLL_INTERVAL: Final = 0.02  # seconds between two looks
POLL_PATIENCE: Final = 5.0  # seconds that one of them may take


class HealthCheck:
    """Asks one instance, which is called `name` and should listen on `port`."""

    def __init__(
        self, process: ConfinedProcess, session: aiohttp.ClientSession, name: str, port: int, journal: Journal
    ) -> None:
        self._process, self._session, self._journal = process, session, journal
        self._name, self._port = name, port
        self._status = 0

    async def wait(self, why_ended: Callable[[str], str]) -> None:
        """Until it answers. Raises `StartFailed`, which says what is wrong and what it printed last.

        why_ended: given a subject, a sentence without its full stop.
        """
        rules = self._journal.rules
        begun = time.monotonic()
        warned = False
        about = {"found": self._name, "path": HEALTH_PATH, "instance": self._name}
        while not await self._answers(HEALTH_PATH):
            if self._process.ended.is_set():
                words = [f"{why_ended('The start command')} before it answered {HEALTH_PATH}."]
                if self._other_ports():  # on which a second instance finds the first
                    words.append(self._why_silent())
                raise StartFailed(f"{' '.join(words)}{self._process.last_words()}")
            passed = time.monotonic() - begun
            if rules.start_warning and passed > rules.start_warning and not warned:
                warned = True
                self._journal.fire("start_warning", **about)
            if rules.start_timeout and passed > rules.start_timeout:
                event = self._journal.fire("start_timeout", level="error", **about)
                raise StartFailed(f"{event.message} {self._why_silent()}{self._process.last_words()}")
            await asyncio.sleep(POLL_INTERVAL)

    async def probe_strays(self) -> None:
        """Ask once for the paths that LeapCell misspells; any answer will do, and none."""
        for path in STRAY_HEALTH_PATHS:
            answer = f"with {self._status}" if await self._answers(path) else "by nothing"
            found = f"{path} (answered {answer})"
            self._journal.fire_once("stray_probes", path, found=found, instance=self._name, level="info")

    async def _answers(self, path: str) -> bool:
        headers = {"Host": f"{HOST}:{self._port}", "User-Agent": "kaithhealth", "Connection": "close"}
        try:
            url = self._process.url(path)
            # A redirect is an answer: to https, where an application insists on it.
            asked = self._session.get(url, headers=headers, allow_redirects=False)
            async with asyncio.timeout(POLL_PATIENCE), asked as answer:
                self._status = answer.status
                return answer.status > 0
        except (aiohttp.ClientError, OSError, TimeoutError):
            return False

    def _other_ports(self) -> list[int]:
        """The ports that it bound other than the service's."""
        ports = {port for _, port in self._process.bound if port}
        return [] if self._port in ports else sorted(ports)

    def _why_silent(self) -> str:
        if any(port == self._port for _, port in self._process.bound):
            return f"It listens on port {self._port} but does not answer."
        if others := self._other_ports():
            return f"It listens on port {', '.join(map(str, others))}, but leapcell.yaml says {self._port}."
        return f"It listens on no port; leapcell.yaml says port {self._port}."
