"""What `cost` finds in a run, or predicts from half of it, against the gateway's clock and the control groups."""

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

pytestmark = [full, pytest.mark.timeout(1200)]
WITHIN = 0.05
FROM_HALF = 0.10  # starts vary on a busy machine, and half of them are a dozen
DORMANT = 4.0  # seconds, in place of half an hour; no pause comes near it
REQUESTS = 100
PATHS = ("/burn/0.02", "/burn/0.12", "/slow/0.1", "/slow/0.3", "/")


async def send(service: RunningEmulator, log: Path) -> None:
    """Send requests at random times, some after a pause that ends the instances; log arrivals and paths alone."""
    chance = random.Random(1)
    with log.open("w") as file:
        for _ in range(REQUESTS):
            await asyncio.sleep(DORMANT * 2.2 if chance.random() < 0.12 else chance.uniform(0.1, 0.3))
            path = chance.choice(PATHS)
            file.write(json.dumps({"timestamp": datetime.now(UTC).isoformat(), "path": path, "status": 200}) + "\n")
            assert (await service.client.get(path)).status_code == 200


def half_of(rows: list[dict[str, Any]], file: Path) -> None:
    """Keep every second request, and every second start."""
    kept = [row for kind in ("start", "request") for row in [row for row in rows if row["kind"] == kind][::2]]
    file.write_text("".join(json.dumps(row, separators=(",", ":")) + "\n" for row in kept))


async def test_billed_seconds_and_processor_seconds(tmp_path: Path) -> None:
    record, half, log = tmp_path / "record.jsonl", tmp_path / "half.jsonl", tmp_path / "log.jsonl"
    rules = {"instances": 2, "cpu_share": True, "cold_start": 0.25, "dormant_after": DORMANT}
    async with running("work_http", record=record, **rules) as service:
        if not service.instance("i1")["cpu_limited"]:
            pytest.skip("no control group can be made here, so no share of a processor can be granted")
        await send(service, log)
    rows: list[dict[str, Any]] = [json.loads(line) for line in record.read_text().splitlines()]
    half_of(rows, half)
    windows = sum(row["end"] - row["start"] for row in rows if row["kind"] == "request")
    kernel = sum(row["processor"] for row in rows if row["kind"] == "end")
    starts = [row for row in rows if row["kind"] == "start"]
    kernel -= sum(row["processor"] for row in starts[:2])  # of the deployment, which are no request's
    options = ("--instances", "2", "--dormant-after", str(DORMANT), "--memory", "512", "--json")
    for traffic, measured, within in ((record, record, WITHIN), (log, half, FROM_HALF)):
        done = CliRunner().invoke(app, ["cost", str(traffic), "--measured", str(measured), *options])
        report = json.loads(done.output)
        size = next(each for each in report["sizes"] if each["memory"] == 512)
        processor = report["traffic"]["processor_seconds"] + report["starts"]["processor_seconds"] * size["starts"]
        sys.stderr.write(
            f"billed {size['seconds']:.2f} s, windows {windows:.2f} s; processor {processor:.2f} s, "
            f"kernel {kernel:.2f} s; {size['starts']} starts, {len(starts) - 2} in the emulator\n"
        )
        assert size["seconds"] == pytest.approx(windows, rel=within)
        assert size["gb_seconds"] == pytest.approx(windows * 512 / 1024, rel=within)
        assert processor == pytest.approx(kernel, rel=within)
