"""Reports of the work that an instance leaves unfinished when it is stopped (E4)."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Final

from leapcell_emulator.confined import ConfinedProcess
from leapcell_emulator.events import Journal
from leapcell_emulator.unfinished import Work

MOST_REPORTS: Final = 20  # of work that goes on: a thread that always does something is found after every path
LOOK_INTERVAL: Final = 0.2  # seconds between two looks for work that goes on


class UnfinishedReport:
    """Looks at one instance's process after its requests."""

    def __init__(self, name: str, process: ConfinedProcess, journal: Journal, *, sleeping: bool) -> None:
        """`sleeping`: whether a thread that sleeps is at work."""
        self._name, self._process, self._journal = name, process, journal
        self._sleeping = sleeping
        self._looked = 0.0

    def look(self) -> set[Work]:
        """Return the work that goes on; nothing shortly after the last look, which costs time."""
        now = time.monotonic()
        if now - self._looked <= LOOK_INTERVAL:
            return set()
        self._looked = now
        return self._process.work(sleeping=self._sleeping)

    def remaining(self, before: set[Work]) -> set[Work]:
        """Return the part of the work that still goes on."""
        return before & self._process.work(sleeping=self._sleeping)

    def report(self, work: Iterable[Work], request: str) -> None:
        """Report each once for this request, which is its method and path."""
        for found in work:
            if self._journal.fired.get("freeze", 0) < MOST_REPORTS:
                self._journal.fire_once(
                    "freeze",
                    found.name,
                    found.doing,
                    request,
                    found=found.words,
                    instance=self._name,
                    path=request,
                )
