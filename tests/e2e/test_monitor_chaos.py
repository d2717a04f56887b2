"""Thousands of requests over two instances that are killed, frozen and put to sleep: what is counted, and what is lost.

The emulator's own record says what was answered.
"""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import textwrap
import time
from collections import Counter
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from fastopp.console.main_file import add_apps
from fastopp.core.flushing import PATIENCE
from fastopp.recorder import INTERVAL
from leapcell_emulator.emulator import Emulator
from leapcell_emulator.emulator_options import EmulatorOptions
from leapcell_emulator.parts import make_services
from leapcell_emulator.rules import Rules
from tests.gate import full
from tests.services.migrations import execute, migrated, settings_for
from tests.services.site import ROOT, SECRET_KEY, copy_project

OPS_TOKEN = "t0ken-of-this-chaos-0123456789-abcdefghijklmnop"
OPERATOR = {"Authorization": f"Bearer {OPS_TOKEN}"}
CLIENTS = 6
SCRAPES = 100
BLOWS = 24
KINDS = ("ArithmeticError", "BufferError", "EOFError", "LookupError", "MemoryError")
PATHS = {"items": 88, "slow": 8, "broken": 2, "nowhere": 2}  # percent
ROUTES = {"items": "/items/{number}", "slow": "/slow/{number}", "broken": "/broken/{kind}", "nowhere": "(none)"}
SHOP = f"""
    import asyncio, builtins
    from fastapi import APIRouter

    router = APIRouter()

    @router.get("/items/{{number}}")
    async def item(number: int) -> int:
        return number

    @router.get("/slow/{{number}}")
    async def slow(number: int) -> int:
        await asyncio.sleep(0.05)
        return number

    @router.get("/broken/{{kind}}")
    async def broken(kind: int) -> None:
        raise getattr(builtins, {KINDS!r}[kind])("is broken")
"""
SLACK = PATIENCE + 1.0  # seconds: a flush takes its time, and a clock of another process may be a little off

Counts = Counter[tuple[str, str]]
"""Requests by route and status."""


class Chaos:
    """The site, those who ask, and what befalls the instances."""

    def __init__(self, emulator: Emulator, seed: int) -> None:
        self.emulator = emulator
        self.random = random.Random(seed)
        self.killed: dict[str, float] = {}
        self.befell: Counter[str] = Counter()
        self.broken: list[str] = []
        """The ids of requests that were answered with 500."""
        self.scraped = 0
        self.asked = 0

    async def ask(self, client: httpx.AsyncClient, number: int) -> None:
        (what,) = self.random.choices([*PATHS], [*PATHS.values()])
        path = f"/{what}/{number % len(KINDS) if what == 'broken' else number}"
        try:
            answer = await client.get(path)
        except httpx.HTTPError:
            return  # cut off in the middle of an answer
        if answer.status_code == 500:
            self.broken.append(answer.headers["x-request-id"])

    async def ask_all(self, requests: int) -> None:
        numbers = iter(range(requests))
        blow_at = {*range(requests // BLOWS // 2, requests, max(requests // BLOWS, 1))}

        async def one() -> None:
            async with httpx.AsyncClient(base_url=self.emulator.url, timeout=60) as client:
                for number in numbers:
                    self.asked = number
                    if number in blow_at:
                        await self.strike()
                    await self.ask(client, number)

        await asyncio.gather(*(one() for _ in range(CLIENTS)))

    async def strike(self) -> None:
        running = [each for each in self.emulator.fleet.running() if each.state in ("running", "frozen")]
        if not running:
            return
        instance, what = self.random.choice(running), self.random.choice(("kill", "freeze", "sleep"))
        self.befell[what] += 1
        if what == "kill":
            self.killed[instance.name] = time.time()
        await self.emulator.act(what, instance.name)

    async def scrape(self, client: httpx.AsyncClient) -> dict[tuple[str, ...], float]:
        """Ask for the counters until an instance answers."""
        while True:
            answer = await client.get("/metrics", headers=OPERATOR)
            if answer.status_code == 200:
                break
            assert answer.status_code >= 502, answer.text
        return {
            (sample.name, *sorted(f"{name}={value}" for name, value in sample.labels.items())): sample.value
            for family in text_string_to_metric_families(answer.text)
            if family.type in ("counter", "histogram") and not family.name.startswith(("process_", "python_"))
            for sample in family.samples
            if not sample.name.endswith("_created")
        }

    async def scrape_all(self, requests: int) -> None:
        """Scrape a hundred times: no counter falls."""
        known: dict[tuple[str, ...], float] = {}
        async with httpx.AsyncClient(base_url=self.emulator.url, timeout=60) as client:
            for number in range(SCRAPES):
                while self.asked < requests * number / (SCRAPES + 1):  # noqa: ASYNC110 - of clients in other tasks
                    await asyncio.sleep(0.05)
                found = await self.scrape(client)
                fell = {
                    name: (value, found.get(name)) for name, value in known.items() if found.get(name, -1.0) < value
                }
                assert not fell
                known = found
                self.scraped += 1


class Logged(NamedTuple):
    """The answers in the emulator's record."""

    answered: Counts
    """By the application."""
    interrupted: Counter[str]
    """By route: whether the application has counted them is unknown."""
    at_risk: int
    """Answered in the last moments of an instance that was killed then."""


def read_record(path: Path, killed: dict[str, float]) -> Logged:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    answered: Counts = Counter()
    interrupted: Counter[str] = Counter()
    at_risk = 0
    for line in lines:
        if line["kind"] != "request" or (what := line["path"].split("/")[1]) not in ROUTES:
            continue
        if line["status"] >= 502:
            interrupted[ROUTES[what]] += 1
            continue
        answered[ROUTES[what], str(line["status"])] += 1
        if line["instance"] in killed:
            at_risk += line["end"] >= killed[line["instance"]] - INTERVAL - SLACK
    return Logged(answered, interrupted, at_risk)


def counted(scraped: dict[tuple[str, ...], float]) -> Counts:
    found: Counts = Counter()
    for (name, *labels), value in scraped.items():
        if name == "http_server_request_duration_seconds_count":
            given = dict(label.split("=", 1) for label in labels)
            if given["http_route"] in ROUTES.values():
                found[given["http_route"], given["http_response_status_code"]] += int(value)
    return found


@asynccontextmanager
async def site(folder: Path, record: Path) -> Any:
    """A small site in the emulator, with its tables."""
    project = copy_project(folder)
    shutil.copy(ROOT / "leapcell.yaml", project)
    (project / "shop").mkdir()
    (project / "shop/__init__.py").touch()
    (project / "shop/routes.py").write_text(textwrap.dedent(SHOP))
    add_apps(project / "main.py", ["shop"])
    options = EmulatorOptions(
        folder=project, port=0, async_port=0, build=False, record=record,
        variables={"FASTOPP_PLATFORM": "leapcell", "SECRET_KEY": SECRET_KEY, "OPS_TOKEN": OPS_TOKEN},
        rules=Rules.from_options(options={"cold_start": 0.0}),
    )  # fmt: skip
    async with Emulator(options, services=make_services(database=True, object_storage=False, cron=None)) as emulator:
        await migrated(emulator.variables["DATABASE_URL"], project)
        yield emulator


@full
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("requests", [10_000])
async def test_counters_and_errors_of_instances_that_are_killed(tmp_path: Path, requests: int) -> None:
    seed, record = random.randrange(10**6), tmp_path / "run.jsonl"
    async with site(tmp_path / "project", record) as emulator:
        chaos = Chaos(emulator, seed)
        began = time.monotonic()
        await asyncio.gather(chaos.ask_all(requests), chaos.scrape_all(requests))
        seconds = time.monotonic() - began
        await asyncio.sleep(INTERVAL)
        async with httpx.AsyncClient(base_url=emulator.url, timeout=60) as client:
            for number in range(4):  # instances take turns: each writes what it has
                await client.get(f"/items/{number}")
            found = counted(await chaos.scrape(client))
        settings = settings_for(emulator.variables["DATABASE_URL"])
        events = await execute(settings, "SELECT request_id FROM error_events")
        (groups,) = await execute(settings, "SELECT count(*) AS number, sum(count) AS errors FROM error_groups")
    logged = read_record(record, chaos.killed)
    answered = logged.answered.total()
    said = (
        f"seed {seed}: {answered} answered and {logged.interrupted.total()} interrupted in {seconds:.0f} s, "
        f"{found.total()} counted, {logged.at_risk} at risk, {len(chaos.broken)} errors; {dict(chaos.befell)}"
    )
    print(said)  # noqa: T201 - the figures of docs/monitoring.md
    for (route, status), number in found.items():
        # One that was counted may be interrupted afterwards, never the other way round.
        assert number <= logged.answered[route, status] + logged.interrupted[route], f"{route} {status}; {said}"
    assert found.total() >= answered - logged.at_risk, said
    assert found.total() >= 0.99 * (answered - logged.at_risk), said
    assert chaos.scraped == SCRAPES
    assert len(chaos.broken) > requests * PATHS["broken"] / 200, said
    assert {*chaos.broken} <= {row["request_id"] for row in events}, said
    assert groups["number"] == len(KINDS)
    assert groups["errors"] >= len(chaos.broken), said
    assert chaos.befell["kill"] > 0
