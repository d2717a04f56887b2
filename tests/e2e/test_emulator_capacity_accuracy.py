"""What `capacity` predicts from requests one at a time, against the emulator under three loads."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest

from leapcell_emulator.capacity.command import make_scenario
from leapcell_emulator.capacity.outcome import Outcome
from leapcell_emulator.capacity.site import Site
from leapcell_emulator.emulator import Emulator
from leapcell_emulator.emulator_options import EmulatorOptions
from leapcell_emulator.parts import make_services
from leapcell_emulator.rules import Rules
from tests.gate import full
from tests.services.emulator import PROJECTS

pytestmark = [full, pytest.mark.timeout(1200)]
WITHIN = 0.20
QUERY = 1.0  # seconds, so that a busy machine's delays are small beside it
POOL = 2
LIMIT = 12  # requests at once
LOADS = {"quiet": 1.2, "busy": 2.4, "too much": 6.4}  # requests a second; the pools can do 4
FOR = 110.0  # seconds of each load


@dataclass
class Seen:
    """What the emulator did under one load."""

    p95: float
    refused: float
    connections: int


@contextlib.asynccontextmanager
async def emulating(record: Path | None = None) -> AsyncIterator[Emulator]:
    options = EmulatorOptions(
        folder=PROJECTS / "queries",
        port=0,
        async_port=0,
        build=False,
        record=record,
        rules=Rules(instances=2, max_concurrency=LIMIT),
        variables={"POOL": str(POOL), "QUERY": str(QUERY)},
    )
    services = make_services(database=True, object_storage=False, cron=None)
    async with Emulator(options, services=services) as emulator:
        yield emulator


def schedule(name: str) -> list[float]:
    """The times at which requests are sent, by chance: the simulation gets the same."""
    chance = random.Random(name)
    times = [0.0]
    while times[-1] < FOR:
        times.append(times[-1] + chance.expovariate(LOADS[name]))
    return times[1:]


async def load(name: str) -> Seen:
    """Send requests when they are due, whether or not the others are answered."""
    seconds: list[float] = []
    refused = connections = 0
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    async with emulating() as emulator, httpx.AsyncClient(base_url=emulator.url, timeout=60, limits=limits) as client:
        await asyncio.gather(*(client.get("/work") for _ in range(2)))  # the pools connect

        async def send() -> None:
            nonlocal refused
            begun = time.monotonic()
            answer = await client.get("/work")
            if answer.status_code == 429:
                refused += 1
            else:
                assert answer.status_code == 200
                seconds.append(time.monotonic() - begun)

        async with asyncio.TaskGroup() as group:
            begun = time.monotonic()
            for due in schedule(name):
                await asyncio.sleep(begun + due - time.monotonic())
                group.create_task(send())
            connections = emulator.state()["services"]["postgres"]["connections"]
    seconds.sort()
    return Seen(seconds[int(len(seconds) * 0.95)], refused / (refused + len(seconds)), connections)


def predict(record: Path) -> dict[str, Outcome]:
    scenario, _ = make_scenario(
        measured=record,
        memory=1769,
        folder=Path(),
        share_period=0.1,
        cold_start=None,
        processor=None,
        waiting=None,
        queries=1,
        query_seconds=QUERY,
        db_latency=0.0,
        requests_per_visit=1,
        pause=0,
        added_cold_start=0.25,
        dormant_after=1800,
        at_once=1000,
        instances=2,
        max_concurrency=LIMIT,
        pool=POOL,
        db_connections=0,
        async_share=0,
        async_processor=0,
        async_workers=1,
        region_latency=0.0,
        seed=1,
    )
    return {name: Site(replace(scenario, arrivals=schedule(name))).run() for name in LOADS}


async def test_three_loads(tmp_path: Path) -> None:
    record = tmp_path / "alone.jsonl"
    async with emulating(record) as emulator, httpx.AsyncClient(base_url=emulator.url, timeout=60) as client:
        for _ in range(4):  # the pools connect, which later requests need not
            await client.get("/work")
        for _ in range(16):
            await client.get("/work")
    lines = record.read_text().splitlines()
    first = [line for line in lines if json.loads(line)["kind"] == "request"][:4]
    record.write_text("\n".join(line for line in lines if line not in first))
    predicted = predict(record)
    seen = {name: await load(name) for name in LOADS}
    for name, outcome in predicted.items():
        found = seen[name]
        figures = (name, outcome.p95, found.p95, outcome.refused_share, found.refused, outcome.most_connections)
        sys.stderr.write(f"{figures} {found.connections}\n")
    for name, outcome in predicted.items():
        found = seen[name]
        assert outcome.p95 == pytest.approx(found.p95, rel=WITHIN), name
        assert outcome.refused_share == pytest.approx(found.refused, rel=WITHIN, abs=0.02), name
        assert outcome.most_connections == pytest.approx(found.connections, rel=WITHIN), name
