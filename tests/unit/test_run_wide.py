"""What the workers of a test run share."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path

from tests.services.run_wide import made_once, running_once


def test_made_once(tmp_path: Path) -> None:
    made: list[int] = []
    for _ in range(2):
        assert made_once(tmp_path / "template.json", lambda: made.append(1) or ["folder", "name"]) == ["folder", "name"]
    assert made == [1]


def test_the_first_starts_it_and_stops_it_after_the_last(tmp_path: Path) -> None:
    events: list[str] = []

    @contextmanager
    def start() -> Iterator[str]:
        events.append("started")
        yield "address"
        events.append("stopped")

    first, second = (running_once(tmp_path / "server", start) for _ in range(2))
    assert first.__enter__() == second.__enter__() == "address"
    with ThreadPoolExecutor(1) as thread:
        leaving = thread.submit(first.__exit__, None, None, None)
        wait([leaving], timeout=0.05)
        assert events == ["started"]
        assert not leaving.done()
        second.__exit__(None, None, None)
        leaving.result(timeout=10)
    assert events == ["started", "stopped"]
    with running_once(tmp_path / "server", start) as address:
        assert address == "address"
    assert events == ["started", "stopped"] * 2
