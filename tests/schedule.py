"""The order of the test files: those that took longest come first, so that all workers end at about the same time.

`durations.json` beside this file has each file's seconds. `./script/test --store-durations` measures them again.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

DURATIONS = Path(__file__).with_name("durations.json")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--store-durations", action="store_true", help=f"write what each file took to {DURATIONS.name}")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--store-durations") and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Stopwatch())


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Sort by file; the tests of a file stay in their order. A new file comes first, since it may take long."""
    seconds = json.loads(DURATIONS.read_text(encoding="utf-8"))

    def longest_first(item: pytest.Item) -> tuple[float, str]:
        name = file_of(item.nodeid)
        return -seconds.get(name, float("inf")), name

    items.sort(key=longest_first)


def file_of(nodeid: str) -> str:
    """Return the file's path, from the project's root."""
    return nodeid.partition("::")[0]


class Stopwatch:
    """Adds up what the tests of each file took, fixtures included."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds[file_of(report.nodeid)] += report.duration

    def pytest_sessionfinish(self) -> None:
        known = json.loads(DURATIONS.read_text(encoding="utf-8")) if DURATIONS.exists() else {}
        root = DURATIONS.parents[1]
        known |= {name: round(seconds, 1) for name, seconds in self.seconds.items()}
        kept = {name: known[name] for name in sorted(known) if (root / name).exists()}
        DURATIONS.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
