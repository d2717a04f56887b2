"""Requests per second of /api/products with 1,000 products, beside Starlette and a driver; and memory over many."""

from __future__ import annotations

import json
from statistics import median

from benchmarks.load import load
from benchmarks.project import BACKENDS, project
from benchmarks.server import Server, compile_byte_code, serve

PRODUCTS = 1_000
PATH = "/api/products?per_page=50&page=3"
ROUNDS = 7
REQUESTS = 500  # a round
AIM = 0.35
FEW, MANY = 5_000, 50_000

PEERS = {"SQLite": "benchmarks.bare_products:on_sqlite()", "PostgreSQL": "benchmarks.bare_products:on_postgresql()"}


async def run() -> None:
    """Print the table."""
    compile_byte_code()
    print(f"GET {PATH} of {PRODUCTS} products over 8 kept-alive connections; medians of {ROUNDS} alternating rounds.")
    print("Peer: Starlette and a driver (aiosqlite, psycopg), the same two queries, the same JSON.")
    print("On a busy machine the ratio of the processor times, the servers' own, is the steadier one.\n")
    print(f"{'':12}{'':24}{'Starlette':>10}{'FastOpp':>10}{'ratio':>8}{'aim':>8}")
    for backend in BACKENDS:
        async with (
            project(backend, products=PRODUCTS) as environ,
            serve(PEERS[backend], environ) as peer,
            serve("main:app", environ) as ours,
        ):
            await _check_equality(peer, ours)
            rates, costs = await _compare(peer, ours)
            print(f"{backend:12}{'requests per second':24}{rates[0]:10.0f}{rates[1]:10.0f}{rates[1] / rates[0]:8.2f}"
                  f"{f'≥ {AIM}':>8}")  # fmt: skip
            print(f"{'':12}{'processor time each':24}{costs[0]:8.2f}ms{costs[1]:8.2f}ms{costs[0] / costs[1]:8.2f}",
                  flush=True)  # fmt: skip
            few, many = await _memory(ours)
            growth = f"{few / 2**20:.1f} MiB, after {MANY:,} {many / 2**20:.1f} MiB: {(many - few) / (MANY - FEW):+.0f}"
            print(f"{'':12}resident after {FEW:,} requests {growth} bytes a request", flush=True)


async def _check_equality(*servers: Server) -> None:
    answers = []
    for server in servers:
        await server.first_answer(PATH)
        answers.append(json.loads(await server.read(PATH)))
    if answers[0] != answers[1]:
        raise SystemExit(f"The answers differ:\n{answers[0]}\n{answers[1]}")


async def _compare(*servers: Server) -> tuple[list[float], list[float]]:
    """Medians of requests per second and of processor milliseconds a request, by server."""
    rates: list[list[float]] = [[] for _ in servers]
    costs: list[list[float]] = [[] for _ in servers]
    for server in servers:
        await load(server.port, PATH, REQUESTS)  # not counted: caches fill
    for _ in range(ROUNDS):
        for index, server in enumerate(servers):
            before = server.processor_seconds()
            rates[index].append(await load(server.port, PATH, REQUESTS))
            costs[index].append((server.processor_seconds() - before) * 1000 / REQUESTS)
    return [median(column) for column in rates], [median(column) for column in costs]


async def _memory(server: Server) -> tuple[int, int]:
    """Resident bytes after few requests and after many."""
    done = REQUESTS * (ROUNDS + 1)
    await load(server.port, PATH, FEW - done)
    few = server.resident_bytes()
    await load(server.port, PATH, MANY - FEW)
    return few, server.resident_bytes()
