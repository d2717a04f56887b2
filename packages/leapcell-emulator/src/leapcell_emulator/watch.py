"""Deploy again when a file of the project has changed (`--watch`)."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Final

from leapcell_emulator.errors import EmulatorError
from leapcell_emulator.events import Journal

INTERVAL: Final = 0.3  # seconds between two looks; a look at 1,000 files takes 5 ms
_LEFT_OUT: Final = frozenset(
    (".git", ".venv", "venv", "node_modules", "__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".idea")
)
_LARGEST: Final = 20_000  # files that are looked at

Look = dict[str, tuple[int, int]]


def look(folder: Path) -> Look:
    """Return the time and the size of each file that a deployment might copy; of very many, the first."""
    found: Look = {}
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in _LEFT_OUT)
        for name in names:
            path = os.path.join(parent, name)  # noqa: PTH118 - for thousands of files, three times a second
            try:
                state = os.lstat(path)
            except OSError:  # deleted meanwhile
                continue
            found[path] = (state.st_mtime_ns, state.st_size)
            if len(found) >= _LARGEST:
                return found
    return found


@contextlib.asynccontextmanager
async def watching(folder: Path, deploy: Callable[[], Awaitable[None]], journal: Journal) -> AsyncIterator[None]:
    """Deploy after each change in the folder, in the background. A deployment that fails is only reported."""
    before = await asyncio.to_thread(look, folder)
    task = asyncio.create_task(_watch(folder, before, deploy, journal))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _watch(folder: Path, before: Look, deploy: Callable[[], Awaitable[None]], journal: Journal) -> None:
    while True:
        await asyncio.sleep(INTERVAL)
        now = await asyncio.to_thread(look, folder)
        if now == before:
            continue
        changed = sorted(path for path in now.keys() | before.keys() if now.get(path) != before.get(path))
        names = ", ".join(str(Path(path).relative_to(folder)) for path in changed[:3])
        more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        journal.say(f"Changed: {names}{more}. Deploying …")
        before = now
        try:
            await deploy()
        except EmulatorError as error:
            journal.say(f"{error} What ran before goes on.", level="error")
