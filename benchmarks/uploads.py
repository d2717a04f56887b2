"""Requests per second of a cached 50 KB photo, beside Starlette's StaticFiles."""

from __future__ import annotations

import os
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median

from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from benchmarks.load import load
from benchmarks.project import project
from benchmarks.server import Server, compile_byte_code, serve
from fastopp.storage.cache.file_cache import FileCache
from fastopp.storage.keys import url_of
from fastopp.storage.local import LocalStorage
from fastopp.storage.select import CACHE_FOLDER
from fastopp.storage.tiered import TieredStorage

SIZE = 50_000  # bytes
KEY = "photos/0123456789abcdef0123456789abcdef.jpg"
ROUNDS = 21
REQUESTS = 400  # a round
AIM = 0.8
FOLDER = "FASTOPP_BENCHMARK_FOLDER"
# Nobody listens there: what is served is served from the cache.
OBJECT_STORAGE = {"STORAGE_TYPE": "s3", "S3_ACCESS_KEY": "a" * 16, "S3_SECRET_KEY": "b" * 16, "S3_BUCKET": "bucket",
                  "S3_ENDPOINT_URL": "http://127.0.0.1:9"}  # fmt: skip


def static_files() -> Starlette:
    """The peer: nothing but StaticFiles."""
    return Starlette(routes=[Mount("/static/uploads", StaticFiles(directory=os.environ[FOLDER]))])


async def run() -> None:
    """Print the table."""
    compile_byte_code()
    print(f"GET of a photo of {SIZE:,} bytes over 8 kept-alive connections; medians of {ROUNDS} alternating rounds.")
    print("Peer: Starlette's StaticFiles and nothing else. FastOpp: the whole application, every middleware.\n")
    print(f"{'':36}{'StaticFiles':>12}{'FastOpp':>10}{'ratio':>8}{'aim':>8}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        await _store(folder)
        async with project("SQLite") as environ:
            for title, own in (("in the cache of an Object Storage", OBJECT_STORAGE), ("in a folder", {})):
                async with _servers(environ | own | {"UPLOAD_DIR": name}, folder) as servers:
                    rates, costs = await _compare(*servers)
                print(f"{title:36}{rates[0]:10.0f}/s{rates[1]:8.0f}/s{rates[1] / rates[0]:8.2f}{f'≥ {AIM}':>8}")
                print(f"{'  processor time each':36}{costs[0]:10.3f}ms{costs[1]:8.3f}ms{costs[1] / costs[0]:8.2f}",
                      flush=True)  # fmt: skip


async def _store(folder: Path) -> None:
    """The photo as a file, and in the cache."""
    durable = LocalStorage(folder)
    storage = TieredStorage(FileCache(folder / CACHE_FOLDER, 10 * SIZE), durable)
    await storage.put(KEY, os.urandom(SIZE), content_type="image/jpeg")


@asynccontextmanager
async def _servers(environ: Mapping[str, str], folder: Path) -> AsyncIterator[tuple[Server, Server]]:
    async with (
        serve("benchmarks.uploads:static_files()", {FOLDER: str(folder)}) as peer,
        serve("main:app", environ) as ours,
    ):
        for server in (peer, ours):
            await server.first_answer(url_of(KEY))
        if await peer.read(url_of(KEY)) != await ours.read(url_of(KEY)):
            raise SystemExit("The answers differ.")
        yield peer, ours


async def _compare(*servers: Server) -> tuple[list[float], list[float]]:
    """Medians of requests per second and of processor milliseconds a request, by server."""
    rates: list[list[float]] = [[] for _ in servers]
    costs: list[list[float]] = [[] for _ in servers]
    for _ in range(ROUNDS):
        for index, server in enumerate(servers):
            before = server.processor_seconds()
            rates[index].append(await load(server.port, url_of(KEY), REQUESTS))
            costs[index].append((server.processor_seconds() - before) * 1000 / REQUESTS)
    return [median(column) for column in rates], [median(column) for column in costs]
