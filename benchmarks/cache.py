"""A cached page beside a bare Starlette route, computations of simultaneous misses, and what a 304 costs."""

from __future__ import annotations

import asyncio
import re
import sys
from statistics import median

from benchmarks.load import load
from benchmarks.project import BACKENDS, project
from benchmarks.server import Server, compile_byte_code, serve

PATH = "/webinar-demo"
ROUNDS = 7
REQUESTS = 500  # a round
MISSES = 100
AIM = 1.0
NONCE = re.compile(rb'nonce="[^"]+"')


async def run() -> None:
    """Print the tables."""
    compile_byte_code()
    print(f"GET {PATH} over 8 kept-alive connections; medians of {ROUNDS} alternating rounds.")
    print("Peer: a Starlette route that renders the same template, with the data at hand.\n")
    print(f"{'':12}{'':28}{'Starlette':>10}{'FastOpp':>10}{'ratio':>8}{'aim':>8}")
    for backend in BACKENDS:
        async with (
            project(backend) as environ,
            serve("benchmarks.bare_page:app()", environ) as peer,
            serve("main:app", environ) as ours,
        ):
            bodies = []
            for server in (peer, ours):
                await server.first_answer(PATH)
                bodies.append(NONCE.sub(b"", await server.read(PATH)))
            if abs(len(bodies[0]) - len(bodies[1])) > 200:
                raise SystemExit("The pages differ.")
            rates, costs, spared = await _compare(peer, ours)
            _print(backend, "requests per second", rates[1] / rates[0], f"{rates[0]:10.0f}{rates[1]:10.0f}", AIM)
            _print("", "processor time each", costs[0] / costs[1], f"{costs[0]:8.2f}ms{costs[1]:8.2f}ms", AIM)
            _print("", "processor time of a 304", costs[0] / spared, f"{costs[0]:8.2f}ms{spared:8.2f}ms", AIM)
    for backend in BACKENDS:
        async with project(backend) as environ, serve(COUNTED, environ) as one, serve(COUNTED, environ) as two:
            for server in (one, two):
                await server.first_answer("/computed")
            answers = await asyncio.gather(*(server.read("/slow") for server in (one, two) for _ in range(MISSES // 2)))
            computed = sum([int(await server.read("/computed")) for server in (one, two)])
            print(f"{backend:12}{MISSES} simultaneous misses of two instances: {computed} computation(s), "
                  f"{len(set(answers))} answer(s)", flush=True)  # fmt: skip
            if computed != 1:
                sys.exit("The aim is one computation.")


COUNTED = "benchmarks.counted_page:app()"


def _print(backend: str, what: str, ratio: float, figures: str, aim: float) -> None:
    print(f"{backend:12}{what:28}{figures}{ratio:8.2f}{f'≥ {aim}':>8}", flush=True)


async def _compare(*servers: Server) -> tuple[list[float], list[float], float]:
    """Medians of requests per second and processor milliseconds, by server, and the milliseconds of a 304."""
    rates: list[list[float]] = [[] for _ in servers]
    costs: list[list[float]] = [[] for _ in servers]
    spared = []
    ours = servers[-1]
    tag = await _tag(ours)
    for server in servers:
        await load(server.port, PATH, REQUESTS)  # not counted: caches fill
    for _ in range(ROUNDS):
        for index, server in enumerate(servers):
            before = server.processor_seconds()
            rates[index].append(await load(server.port, PATH, REQUESTS))
            costs[index].append((server.processor_seconds() - before) * 1000 / REQUESTS)
        before = ours.processor_seconds()
        await load(ours.port, PATH, REQUESTS, headers={"If-None-Match": tag}, status=304)
        spared.append((ours.processor_seconds() - before) * 1000 / REQUESTS)
    return [median(column) for column in rates], [median(column) for column in costs], median(spared)


async def _tag(server: Server) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(f"GET {PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
    found = re.search(rb"\r\netag: ([^\r]+)\r\n", await reader.read())
    writer.close()
    assert found
    return found[1].decode()
