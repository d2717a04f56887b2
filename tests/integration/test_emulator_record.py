"""The record of a run: what it says of requests and instances agrees with the gateway's clock and the kernel's."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from leapcell_emulator.emulator import Emulator
from leapcell_emulator.emulator_options import EmulatorOptions
from leapcell_emulator.record import Record, RecordFailed
from tests.services.emulator import PROJECTS, running


def read(path: Path) -> dict[str, list[dict[str, Any]]]:
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return {kind: [line for line in lines if line["kind"] == kind] for kind in ("request", "start", "end")}


async def test_each_request_with_its_times(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    async with running("plain_fastapi", instances=1, record=path, cpu_share=True) as service:
        limited = service.instance("i1")["cpu_limited"]
        await service.client.get("/burn", params={"seconds": 0.1, "token": "secret"})
        await asyncio.gather(*(service.client.get("/slow", params={"seconds": 0.2}) for _ in range(3)))
        await service.emulator.act("sleep", "i1")
        await service.client.get("/", headers={"X": "1"})
        assert (await service.client.post("/exit", params={"code": 3})).status_code == 502
        shown = [service.emulator.request(str(number))["times"] for number in range(1, 7)]
    kept = read(path)
    requests = kept["request"]
    assert "secret" not in path.read_text()
    assert [line["path"] for line in requests] == ["/burn", "/slow", "/slow", "/slow", "/", "/exit"]
    assert [line["cold"] for line in requests] == [False] * 4 + [True, False]
    assert [line["status"] for line in requests] == [200] * 5 + [502]
    # The page shows the same, with a start apart.
    for line, times in zip(requests, shown, strict=True):
        assert line["queue"] == pytest.approx(times["queue"] + times["cold"], abs=0.0002)
        assert (line["frozen"], line["cold"]) == (times["frozen"], times["cold"] > 0)
        assert line["processor"] == pytest.approx(times["processor"], abs=0.0001)
    cold = requests[4]
    second = kept["start"][1]
    assert cold["queue"] >= second["end"] - second["start"] - 0.05
    assert 0.1 <= requests[0]["processor"] < 0.3
    assert all(0.2 <= line["end"] - line["start"] < 5 for line in requests[1:4])
    assert all(line["memory"] > 1_000_000 for line in requests[:5])
    assert len(kept["start"]) == 2
    assert all(line["processor"] > 0.1 and line["memory_limit"] == 512 for line in kept["start"])
    assert [line["cpu_limited"] for line in kept["start"]] == [limited] * 2
    # Three requests at once are one busy time, and together no more than what the instance used.
    ends = {line["instance"]: line for line in kept["end"]}
    assert [ends[name]["served"] for name in ("i1", "i2")] == [4, 2]
    assert ends["i1"]["busy"] < sum(line["end"] - line["start"] for line in requests[:4])
    used = kept["start"][0]["processor"] + sum(line["processor"] for line in requests[:4])
    assert used <= ends["i1"]["processor"] + 0.02


async def test_without_a_record_nothing_is_measured() -> None:
    async with running("plain_fastapi", instances=1) as service:
        await service.client.get("/")
        assert "processor" not in service.emulator.request("1")["times"]


async def test_a_record_that_cannot_be_written(tmp_path: Path) -> None:
    options = EmulatorOptions(folder=PROJECTS / "plain_http", port=0, build=False, record=tmp_path / "none/run.jsonl")
    with pytest.raises(RecordFailed, match="cannot be written: No such file"):
        async with Emulator(options):
            pass


def test_times_are_rounded(tmp_path: Path) -> None:
    with Record(tmp_path / "run.jsonl") as record:
        record.write("start", seconds=1 / 3, instance="i1", processor=None)
    assert (
        tmp_path / "run.jsonl"
    ).read_text() == '{"kind":"start","seconds":0.3333,"instance":"i1","processor":null}\n'
