"""The common base of all services of the emulator."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from leapcell_emulator.services.look import Table


class Service(Protocol):
    """Something that LeapCell offers beside the instances: a database, a bucket, a queue."""

    async def __aenter__(self) -> Self: ...
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None: ...
    def environment(self) -> dict[str, str]:
        """The variables that a user copies from the dashboard."""
        ...

    def status(self) -> dict[str, Any]:
        """Its use, for the page."""
        ...

    async def look(self, name: str, after: int) -> Table | None:
        """Return what it holds, or what is in the part of this name; None: it shows nothing."""
        ...

    async def save(self, folder: Path) -> None:
        """Keep what it holds."""
        ...

    async def load(self, folder: Path) -> bool:
        """Fill it with what was kept; whether there was anything."""
        ...
