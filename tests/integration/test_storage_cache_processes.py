"""Several processes on one cache folder that is too small for all, and that somebody removes again and again."""

from __future__ import annotations

import asyncio
import hashlib
import random
import shutil
from pathlib import Path

from fastopp.storage.cache.file_cache import FileCache
from fastopp.storage.local import LocalStorage
from fastopp.storage.tiered import TieredStorage
from tests.services import forks

FILES = 40
LIMIT = 2_000_000  # bytes; a quarter of what there is to read
PROCESSES = 3
READS = 250


def key(number: int) -> str:
    return f"photos/{number:032x}.jpg"


def content(number: int) -> bytes:
    return hashlib.sha256(key(number).encode()).digest() * (400 * (number % 31 + 1))


def open_tiered(folder: Path) -> TieredStorage:
    return TieredStorage(FileCache(folder / "cache", LIMIT), LocalStorage(folder / "durable"))


async def read_at_random(folder: Path, seed: int) -> None:
    """What one process does: every file it reads must be whole and right."""
    choice = random.Random(seed)
    storage = open_tiered(folder)

    async def read() -> None:
        for _ in range(READS // 5):
            number = choice.randrange(FILES)
            if choice.random() < 0.1:
                number = FILES + choice.randrange(10**9)
                await storage.put(key(number), content(number), content_type="image/jpeg")
            got = await storage.get(key(number))
            assert got == content(number), number
            if choice.random() < 0.02:
                shutil.rmtree(folder / "cache", ignore_errors=True)

    await asyncio.gather(*(read() for _ in range(5)))
    await storage.aclose()


async def test_many_processes_on_one_folder(tmp_path: Path) -> None:
    for number in range(FILES):
        await LocalStorage(tmp_path / "durable").put(key(number), content(number), content_type="image/jpeg")
    code = f"import asyncio, sys, pathlib; from tests.integration.{Path(__file__).stem} import read_at_random; "
    code += "asyncio.run(read_at_random(pathlib.Path(sys.argv[1]), int(sys.argv[2])))"
    processes = [
        forks.Program(
            ["-W", "error", "-c", code, tmp_path, str(seed)], cwd=Path(__file__).parents[2], stderr=forks.PIPE
        )
        for seed in range(PROCESSES)
    ]
    for process in processes:
        _, errors = await asyncio.to_thread(process.communicate)
        assert (process.returncode, errors) == (0, b"")
    cache = open_tiered(tmp_path).cache
    await cache.sweep()
    assert sum(path.stat().st_size for path in cache.folder.glob("*")) <= LIMIT
