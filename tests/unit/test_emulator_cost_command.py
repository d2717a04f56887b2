"""`leapcell cost` as a command: its answer for each input, what it advises, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from fastopp.cli import oppman
from leapcell_emulator.cli import app

MEASURED = ("--processor", "0.03", "--waiting", "0.02", "--cold-start", "1.5", "--memory-used", "110")


def run(*words: str, status: int = 0) -> str:
    done = CliRunner().invoke(app, ["cost", *words])
    assert done.exit_code == status, done.output
    return done.output


def report(*words: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run(*words, "--json"))
    return found


def write_log(folder: Path, lines: int, *, every: int = 60, path: str = "/books/{}", size: int = 5000) -> Path:
    file = folder / "access.log"
    with file.open("a") as log:
        for number in range(lines):
            minute, hour = divmod(number * every // 60, 60)[::-1]
            where = path.format(number)
            log.write(f'1.2.3.4 - - [30/Nov/2026:{hour:02}:{minute:02}:00 +0000] "GET {where} HTTP/1.1" 200 {size}\n')
    return file


def test_visits() -> None:
    text = run("--visits-per-day", "20", *MEASURED, "--p95", "1")
    for word in ("LeapCell", "Fly.io, stops when idle", "Fly.io, always on", "A small server", "unknown"):
        assert word in text
    assert "--price leapcell.gb_second=VALUE" in text
    assert "Cold starts:" in text
    found = report("--visits-per-day", "20", *MEASURED, "--p95", "1")
    assert found["traffic"]["requests"] == pytest.approx(20 * 5 * 30, rel=0.1)
    assert found == report("--visits-per-day", "20", *MEASURED, "--p95", "1")
    assert found["bills"][0]["total"] is None
    assert found["bills"][2]["total"] == pytest.approx(2.19 + 0.15, abs=0.02)
    assert [each["fits"] for each in found["sizes"]] == [True] * 6
    shares = [each["cold_share"] for each in found["sizes"]]
    assert shares == sorted(shares, reverse=True)  # a longer start is met by more requests
    assert 0.1 < shares[-1] < shares[0] < 0.3


def test_all_prices_given_make_a_total() -> None:
    names = ("gb_second=0.00002", "million_requests=0.4", "postgresql=3", "traffic_gb=0.1", "storage_gb=0.1")
    prices = [word for name in names for word in ("--price", f"leapcell.{name}")]
    found = report("--visits-per-day", "20", *MEASURED, *prices, "--price", "server.month=4.5", "--storage-gb", "2")
    compute, *rest = found["bills"][0]["items"]
    assert compute["amount"] == pytest.approx(compute["quantity"] * 0.00002)
    assert found["bills"][0]["total"] == pytest.approx(compute["amount"] + sum(item["amount"] for item in rest))
    assert found["bills"][3]["total"] == 4.5
    assert found["free_plan"][3]["share"] == pytest.approx(20)


def test_the_cheapest_size_that_meets_a_p95() -> None:
    found = report("--visits-per-day", "3000", *MEASURED, "--p95", "0.06")
    p95 = {each["memory"]: each["p95"] for each in found["sizes"]}
    assert found["cheapest"] == 1024
    assert p95[512] > 0.06 > p95[1024]
    assert found["sizes"][0]["gb_seconds"] < found["sizes"][-1]["gb_seconds"]
    assert report("--visits-per-day", "20", *MEASURED, "--p95", "0.01")["cheapest"] is None
    assert "No size meets a p95" in run("--visits-per-day", "20", *MEASURED, "--p95", "0.01")
    too_large = report("--visits-per-day", "20", "--processor", "0.001", "--memory-used", "700")
    assert [each["memory"] for each in too_large["sizes"] if each["fits"]] == [1024, 1769]
    assert too_large["cheapest"] == 1024


def test_a_log_and_what_to_change_first(tmp_path: Path) -> None:
    log = write_log(tmp_path, 300)
    write_log(tmp_path, 30, every=600, path="/report?n={}", size=4_000_000)
    measured = tmp_path / "record.jsonl"
    lines: list[dict[str, Any]] = [
        {"kind": "start", "instance": "i1", "start": 0, "end": 1.2, "processor": 1.0, "memory_limit": 512,
         "cpu_limited": False},
    ]  # fmt: skip
    for path, processor, seconds in (("/books/1", 0.01, 0.02), ("/report", 0.1, 2.0)):
        lines.append(
            {"kind": "request", "start": 2, "end": 2 + seconds, "queue": 0, "cold": False, "frozen": 0,
             "processor": processor, "memory": 90 * 1024**2, "path": path, "status": 200, "bytes_out": 9,
             "instance": "i1", "rule": ""}
        )  # fmt: skip
    measured.write_text("\n".join(map(json.dumps, lines)))
    text = run(str(log), "--measured", str(measured))
    first = text.partition("Change first:\n")[2].splitlines()[:2]
    assert any("/report: 9.1% of the requests" in line for line in first)
    assert "Wait less" in text
    assert "of them from /report" in text
    found = report(str(log), "--measured", str(measured))
    size = next(each for each in found["sizes"] if each["memory"] == 1769)
    assert size["cold_start"] == pytest.approx(0.25 + 1.2)
    # Two requests a minute at most: one instance is started, and a second one beside a report.
    assert size["seconds"] == pytest.approx(300 * 0.02 + 30 * 2.0 + size["cold_share"] * 330 * 1.45, abs=2)
    assert found["assumed"][0].startswith("The traffic spans less than a day")


def test_a_record_measures_itself(tmp_path: Path) -> None:
    record = tmp_path / "record.jsonl"
    request = {
        "kind": "request", "end": 0, "queue": 0.5, "cold": False, "frozen": 0, "processor": 0.02,
        "memory": 50 * 1024**2, "path": "/async/x", "status": 200, "bytes_out": 9, "instance": "i1", "rule": "",
    }  # fmt: skip
    rows = [{**request, "start": 10.0 * n, "end": 10.0 * n + 0.6} for n in range(100)]
    record.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = report(str(record), "--instances", "2")
    size = found["sizes"][-1]
    assert size["seconds"] == pytest.approx(100 * 0.1)
    assert found["traffic"]["processor_seconds"] == pytest.approx(2.0)
    assert found["traffic"]["async_tasks"] == 100
    assert any("starts in no time" in text for text in found["assumed"])


def test_without_measurements_it_says_what_it_assumes(tmp_path: Path) -> None:
    log = write_log(tmp_path, 10)
    log.write_text("".join(f"{line} 0.100\n" for line in log.read_text().splitlines()))
    found = report(str(log))
    assert found["traffic"]["processor_seconds"] == pytest.approx(1.0)
    assert sum("--processor" in text or "--cold-start" in text for text in found["assumed"]) == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "Give one of the two"),
        (("none.log", "--visits-per-day", "1"), "Give one of the two"),
        (("--visits-per-day", "1"), "Nothing says how long a request takes"),
        (("none.log", "--processor", "1"), "cannot be read"),
        (("--visits-per-day", "1", "--processor", "1", "--price", "x=1"), "There is no price x"),
        (("--visits-per-day", "1", "--processor", "1", "--fly-zone", "moon"), "It can be na-eu"),
    ],
)
def test_what_it_refuses(words: tuple[str, ...], message: str) -> None:
    assert message in run(*words, status=1)


def test_a_log_without_times_is_refused(tmp_path: Path) -> None:
    assert "Nothing says how long" in run(str(write_log(tmp_path, 3)), status=1)


def test_one_request_is_no_traffic(tmp_path: Path) -> None:
    assert "A longer log" in run(str(write_log(tmp_path, 1)), "--processor", "0.01", status=1)
    assert report("--visits-per-day", "0.01", "--processor", "0.01")["traffic"]["requests"] < 10
    run("--visits-per-day", "1", "--processor", "0.01", "--memory", "0", status=2)


def test_it_is_a_command_of_oppman_too() -> None:
    done = CliRunner().invoke(oppman.app, ["cost", "--visits-per-day", "20", *MEASURED, "--json"])
    assert json.loads(done.output)["sizes"] == report("--visits-per-day", "20", *MEASURED)["sizes"]
