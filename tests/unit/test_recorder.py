"""The recorder adds work up within bounds, and gives each figure away once."""

from __future__ import annotations

import pytest

from fastopp.database.recorded import normalised
from fastopp.process_age import process_age
from fastopp.recorder import SOON_AT_ONCE, SOON_EVERY, Recorder
from fastopp.recording import BOUNDS, MAX_SERIES, OTHER, Figures, Key, Statement, Work
from fastopp.testing.clock import ManualClock


def work(name: str, seconds: float = 0.1, kind: str = "request") -> Work:
    made = Work(kind, name, method="GET")
    made.outcome, made.seconds = "200", seconds
    return made


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def recorder(clock):
    made = Recorder(clock)
    yield made
    made.close()


def counts(recorder: Recorder) -> dict[str, int]:
    batch = recorder.take()
    assert batch is not None
    recorder.written(batch)
    found: dict[str, int] = {}
    for (_, key), figures in batch.figures.items():
        found[key.name] = found.get(key.name, 0) + figures.count
    return found


def test_buckets_have_their_bounds_inside():
    figures = Figures()
    for seconds in (0.0, *BOUNDS, 901.0):
        figures.add_seconds(seconds)
    assert figures.buckets == [2] + [1] * len(BOUNDS)


async def test_figures_are_given_away_once(recorder, clock):
    recorder.add(work("/"))
    batch = recorder.take()
    assert recorder.take() is batch
    recorder.add(work("/"))
    assert recorder.take() is batch  # its outcome is not known
    recorder.written(batch)
    (other,) = recorder.take().figures.values()
    assert other.count == 1


async def test_flushes_have_a_pace(recorder, clock):
    assert recorder.is_due()
    recorder.take()
    clock.advance(1)
    assert not recorder.is_due()
    assert recorder.is_due(soon=True)
    clock.advance(9)
    assert recorder.is_due()


async def test_errors_are_flushed_at_once_but_not_without_end(recorder, clock):
    for _ in range(SOON_AT_ONCE):
        assert recorder.is_due(soon=True)
        recorder.take()
    assert not recorder.is_due(soon=True)
    clock.advance(SOON_EVERY)
    assert recorder.is_due(soon=True)


async def test_series_are_bounded_also_over_a_long_outage(recorder, clock):
    for number in range(3 * MAX_SERIES):
        recorder.add(work(f"/{number}"))
    for _ in range(3 * MAX_SERIES):
        clock.advance(60)
        recorder.add(work("/0"))
        recorder.add(work("/new"))
    found = counts(recorder)
    assert len(found) <= MAX_SERIES + 1
    assert sum(found.values()) == 9 * MAX_SERIES
    assert found[OTHER] > 0


async def test_slow_statements_are_kept_once_and_bounded(recorder):
    for number in range(1000):
        slow = work("/")
        for _ in range(50):
            slow.keep_slow(Statement(f"SELECT {number}", ""), 1.0)
        recorder.add(slow)
    batch = recorder.take()
    assert len(batch.statements) <= 200
    assert sum(figures.count for (_, key), figures in batch.figures.items() if key.kind == "query") == 20_000
    recorder.written(batch)
    again = work("/")
    again.keep_slow(Statement("SELECT 0", ""), 1.0)
    recorder.add(again)
    assert recorder.take().statements == {}


async def test_methods_are_those_that_exist(recorder):
    assert [recorder.begin_request(method).method for method in ("GET", "QUERY", "get", "X" * 99)] == [
        "GET", "QUERY", "_OTHER", "_OTHER",
    ]  # fmt: skip


async def test_only_work_that_ran_alone_knows_its_processor_time(recorder):
    first = recorder.began()
    assert recorder.ended(first)
    first = recorder.began()
    second = recorder.began()
    assert not recorder.ended(second)
    assert not recorder.ended(first)


async def test_busy_processes_are_not_frozen(recorder, clock):
    assert recorder.begin_request("GET").frozen == 0
    clock.advance(2)
    assert recorder.begin_request("GET").frozen == 0
    clock.advance(60)
    assert recorder.begin_request("GET").frozen == 60
    assert recorder.begin_request("GET").frozen == 0
    assert recorder.frozen_seconds == 60
    assert Key("instance", "frozen", "", "") in {key for _, key in recorder.take().figures}


@pytest.mark.parametrize(
    ("statement", "text"),
    [
        ("SELECT *\n  FROM a WHERE x = 'it''s' AND y = 12.5", "SELECT * FROM a WHERE x = ? AND y = ?"),
        ("SELECT a1 FROM t2 WHERE b IN (?, ?, ?)", "SELECT a1 FROM t2 WHERE b IN (…)"),
        ("x IN (%(a_1)s, %(a_2)s::VARCHAR) LIMIT %(p_1)s", "x IN (…) LIMIT %(p_1)s"),
        ("x IN ($1::INTEGER, $2::INTEGER)", "x IN (…)"),
        ("'" + "a" * 5000 + "' 'b", "? ?"),
    ],
)
def test_statements_have_no_values(statement, text):
    assert normalised(statement) == text


def test_the_age_of_a_process(tmp_path):
    assert 0 < process_age() < 24 * 3600
    assert process_age(tmp_path / "missing") > 0
