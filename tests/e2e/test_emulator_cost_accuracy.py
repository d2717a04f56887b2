"""What `cost` predicts from one run, against another run: the gateway's clock and the kernel's control groups."""

from __future__ import annotations

import asyncio
import json
import random
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from leapcell_emulator.cli import app
from tests.gate import full
from tests.services.emulator import RunningEmulator, running

pytestmark = [full, pytest.mark.timeout(900)]
WITHIN = 0.05
DORMANT = 1.5  # seconds, in place of half an hour
RULES = {"instances": 2, "cpu_share": True, "cold_start": 0.25, "dormant_after": DORMANT}


async def send(service: RunningEmulator, seed: int, requests: int, log: Path | None = None) -> None:
    """Send requests at random times, the same for a seed; log the arrival and path of each."""
    chance = random.Random(seed)
    with (log or Path("/dev/null")).open("w") as file:
        for _ in range(requests):
            await asyncio.sleep(chance.choice((0.05, 0.2, 0.4, DORMANT * 2.5 if chance.random() < 0.2 else 0.3)))
            path = chance.choice(("/burn?seconds=0.02", "/burn?seconds=0.02", "/slow?seconds=0.1", "/kaithhealth"))
            path = "/burn?seconds=0.12" if chance.random() < 0.15 else path
            # A route for each, since figures are kept by route.
            path = path.replace("/burn?", f"/burn?{path[-2:]}&")
            time = datetime.now(UTC).isoformat()
            file.write(json.dumps({"timestamp": time, "path": path, "status": 200}) + "\n")
            assert (await service.client.get(path)).status_code == 200


async def test_billed_seconds_and_processor_seconds(tmp_path: Path) -> None:
    first, second, log = tmp_path / "first.jsonl", tmp_path / "second.jsonl", tmp_path / "log.jsonl"
    async with running("plain_fastapi", record=first, **RULES) as service:
        if not service.instance("i1")["cpu_limited"]:
            pytest.skip("no control group can be made here, so no share of a processor can be granted")
        await send(service, 1, 40)
    async with running("plain_fastapi", record=second, **RULES) as service:
        await send(service, 2, 50, log)
    rows: list[dict[str, Any]] = [json.loads(line) for line in second.read_text().splitlines()]
    windows = sum(row["end"] - row["start"] for row in rows if row["kind"] == "request")
    # Starts of the deployment belong to no request.
    starts = [row for row in rows if row["kind"] == "start"]
    kernel = sum(row["processor"] for row in rows if row["kind"] == "end")
    kernel -= sum(row["processor"] for row in starts[:2])
    cold = sum(row["cold"] for row in rows if row["kind"] == "request")
    options = ("--instances", "2", "--dormant-after", str(DORMANT), "--memory", "512", "--json")
    for source, measured in ((log, first), (second, second)):
        done = CliRunner().invoke(app, ["cost", str(source), "--measured", str(measured), *options])
        report = json.loads(done.output)
        size = next(each for each in report["sizes"] if each["memory"] == 512)
        requests = report["traffic"]["requests"]
        start = report["starts"]["processor_seconds"]
        processor = report["traffic"]["processor_seconds"] + start * size["starts"]
        figures = (source.name, size["seconds"], windows, processor, kernel, size["starts"], len(starts) - 2, cold)
        sys.stderr.write(f"{figures}\n")
        assert requests == 50
        assert size["seconds"] == pytest.approx(windows, rel=WITHIN)
        assert size["gb_seconds"] == pytest.approx(windows * 512 / 1024, rel=WITHIN)
        assert processor == pytest.approx(kernel, rel=WITHIN)
