"""The queue of tasks beside raw procrastinate and pgqueuer, on the same PostgreSQL in the same run."""

from __future__ import annotations

import tempfile
from collections.abc import Hashable
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from benchmarks.task_databases import QueueDatabase, queue_databases
from benchmarks.task_idle import idle_web_process
from benchmarks.task_latency import latencies

JOBS = 2000
RUNS = 3
FAR_RUNS = 3
TOGETHER_RUNS = 5
DELAY = 0.005  # seconds a round trip takes beyond the real ones
CONCURRENCIES = (1, 4, 16)  # of procrastinate's worker
BATCHES = (10, 100)  # of pgqueuer's; 10 is its default
PROCESSES = (1, 2, 4)
WAITING = (10, 1_000, 100_000)
TAKEN = 5_000  # of the waiting jobs at most, so that the last line ends the same day

LEGEND = f"""\
{JOBS:,} trivial jobs; medians of {RUNS} alternating runs, each peer in a process of its own that has imported
everything; jobs a second. PostgreSQL by its unix socket, fsync off; SQLite as FastOpp sets it up.
"""


async def run() -> None:
    """Print the tables."""
    print(LEGEND)
    with tempfile.TemporaryDirectory() as folder:
        async with queue_databases(Path(folder), DELAY) as databases:
            _near(databases)
            _far(databases)
            for name, figures in (await latencies(databases["ours"], databases["sqlite"])).items():
                ordered = sorted(figures)
                p99 = ordered[int(len(ordered) * 0.99) - 1]
                print(f"{'defer to start, ' + name:55}{median(ordered) * 1000:8.1f} ms p50{p99 * 1000:8.1f} ms p99"
                      f"{'< 50':>8}", flush=True)  # fmt: skip
            _processes(databases)
            _growth(databases)
    await idle_web_process()


def _near(databases: dict[str, QueueDatabase]) -> None:
    ours, sqlite, raw = (databases[name] for name in ("ours", "sqlite", "raw"))
    _heading("")
    drains = _rates(
        {("raw", c): (raw, f"drain {c}") for c in CONCURRENCIES}
        | {("ours", 0): (ours, "drain 0"), ("sqlite", 0): (sqlite, "drain 0")},
        RUNS,
    )
    best = max(CONCURRENCIES, key=lambda c: drains["raw", c])
    for concurrency in CONCURRENCIES:
        note = ", its default" if concurrency == 1 else ""
        print(f"{f'drain, procrastinate, concurrency {concurrency}{note}':55}{drains['raw', concurrency]:9,.0f}/s")
    _line("drain, PostgreSQL, to the best of those", drains["ours", 0], drains["raw", best], 0.9)
    _line("drain, SQLite, to the best of those", drains["sqlite", 0], drains["raw", best], 1.0)
    defers = _rates(
        {(name, how): (databases[name], f"{how} {JOBS}") for how in ("defer", "batch")
         for name in ("raw", "ours", "sqlite")},
        RUNS, filled=False,
    )  # fmt: skip
    for how, words, aim in (
        ("defer", "one a transaction", 0.9),
        ("batch", "queue_many, to batch_defer", 0.8),
    ):
        for name, backend in (("ours", "PostgreSQL"), ("sqlite", "SQLite")):
            _line(f"defer, {words}, {backend}", defers[name, how], defers["raw", how], aim)


def _far(databases: dict[str, QueueDatabase]) -> None:
    ours, raw, pgqueuer = (databases[name] for name in ("ours", "raw", "pgqueuer"))
    _heading(f"{DELAY * 1000:.0f} ms a round trip, medians of {FAR_RUNS}")
    measured = {("pgqueuer", batch): (pgqueuer, f"drain {batch}") for batch in BATCHES}
    drains = _rates(measured | {("ours", 0): (ours, "drain 0")}, FAR_RUNS, far=True)
    slow = _rates({("raw", c): (raw, f"drain {c}") for c in (1, CONCURRENCIES[-1])}, 1, far=True, jobs=JOBS // 5)
    for batch in BATCHES:
        note = ", its default" if batch == BATCHES[0] else ""
        print(f"{f'drain, pgqueuer, batches of {batch}{note}':55}{drains['pgqueuer', batch]:9,.0f}/s")
    best = max(drains["pgqueuer", batch] for batch in BATCHES)
    for (_, concurrency), rate in slow.items():
        _line(f"drain, procrastinate, concurrency {concurrency}, to the best of those", rate, best, None)
    _line("drain, FastOpp, to the best of those", drains["ours", 0], best, 0.9)


def _processes(databases: dict[str, QueueDatabase]) -> None:
    """Print what workers do together, in alternating runs; each has done some jobs before."""
    print(f"\n{'worker processes at a time':55}" + "".join(f"{number:>11}" for number in PROCESSES))
    taken: dict[tuple[str, int], list[tuple[float, float]]] = {}
    orders = {"ours": "drain 0", "sqlite": "drain 0", "raw": "drain 16"}
    for _ in range(TOGETHER_RUNS):
        for name, order in orders.items():
            for number in PROCESSES:
                taken.setdefault((name, number), []).append(_together(databases[name], order, number))
    for name in orders:
        rates, costs = zip(
            *(map(median, zip(*taken[name, number], strict=True)) for number in PROCESSES), strict=True
        )  # fmt: skip
        print(f"{databases[name].name:55}" + "".join(f"{rate:9,.0f}/s" for rate in rates))
        print(f"{'  processor time of the workers for a job':55}" + "".join(f"{cost * 1e6:9,.0f}µs" for cost in costs),
              flush=True)  # fmt: skip


def _together(database: QueueDatabase, order: str, number: int) -> tuple[float, float]:
    """Jobs a second, and seconds of the workers' processor time for a job."""
    database.empty()
    with ExitStack() as stack:
        processes = [stack.enter_context(database.process()) for _ in range(number)]
        for process in processes:
            database.fill(20)
            process.seconds(order)
        database.fill(JOBS)
        before = sum(process.processor_seconds() for process in processes)
        for process in processes:
            process.order(order)
        seconds = max(float(process.answer()) for process in processes)
        cost = sum(process.processor_seconds() for process in processes) - before
    _check(database, 0)
    return JOBS / seconds, cost / JOBS


def _growth(databases: dict[str, QueueDatabase]) -> None:
    print(f"\n{f'jobs waiting, {TAKEN:,} taken at most':55}" + "".join(f"{number:>11,}" for number in WAITING))
    for name in ("ours", "sqlite"):
        rates = [median(_some(databases[name], number) for _ in range(FAR_RUNS)) for number in WAITING]
        print(f"{databases[name].name:55}" + "".join(f"{rate:9,.0f}/s" for rate in rates), flush=True)


def _some(database: QueueDatabase, waiting: int) -> float:
    database.empty()
    database.fill(waiting)
    with database.process() as process:
        seconds = process.seconds(f"drain_some {min(waiting, TAKEN)}")
    # The first drain of a day has one of a time table among them.
    return (waiting - database.left()) / seconds


def _rates(
    orders: dict[Hashable, tuple[QueueDatabase, str]],
    runs: int,
    *,
    filled: bool = True,
    far: bool = False,
    jobs: int = JOBS,
) -> dict[Hashable, float]:
    """Jobs a second of each order, in alternating runs."""
    taken: dict[Hashable, list[float]] = {key: [] for key in orders}
    for _ in range(runs):
        for key, (database, order) in orders.items():
            database.empty()
            if filled:
                database.fill(jobs)
            with database.process(far=far) as process:
                taken[key].append(process.seconds(order))
            _check(database, 0 if filled else jobs)
    return {key: jobs / median(seconds) for key, seconds in taken.items()}


def _check(database: QueueDatabase, expected: int) -> None:
    if (left := database.left()) != expected:
        raise SystemExit(f"{database.name}: {left} jobs are left, not {expected}.")


def _heading(title: str) -> None:
    print(f"\n{title:55}{'jobs':>11}{'peer':>11}{'ratio':>8}{'aim':>9}")


def _line(name: str, rate: float, peer: float, aim: float | None) -> None:
    shown = "" if aim is None else f"≥ {aim}"
    print(f"{name:55}{rate:9,.0f}/s{peer:9,.0f}/s{rate / peer:8.2f}{shown:>9}", flush=True)
