"""The report of a window: what the page shows and what programs get."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal

from fastopp.features.monitor.metrics import RECENT
from fastopp.features.monitor.models import MonitorInstance
from fastopp.features.monitor.percentiles import SHOWN, percentile
from fastopp.features.monitor.reading import BACKGROUND, Point, Series, SlowStatement, merge
from fastopp.features.monitor.spans import Window
from fastopp.recorder import FROZEN, START
from fastopp.recording import INSTANCE, REQUEST, TASK, Figures

SortKey = Literal["total", "p95", "count", "errors"]
MAX_LISTED: Final = 50  # routes, and tasks

Report = dict[str, Any]

_FAILED: Final = frozenset({"failed", "lost"})


def totals(figures: Figures) -> Report:
    """Return what is reported of any figures. Times are in seconds."""
    found = {percent: percentile(figures, percent) for percent in SHOWN}
    return {
        "count": figures.count,
        "seconds": figures.seconds,
        "mean": figures.seconds / figures.count if figures.count else None,
        "slowest": figures.slowest,
        **{f"p{percent}": each.seconds if each else None for percent, each in found.items()},
        "bounds": {f"p{percent}": [each.low, each.high] for percent, each in found.items() if each},
        "queries": figures.queries,
        "database_seconds": figures.database_seconds,
        "storage_calls": figures.storage_calls,
        "storage_seconds": figures.storage_seconds,
        "processor_seconds": figures.processor_seconds,
        "processor_count": figures.processor_count,
        "bytes": figures.bytes,
    }


def requests_report(points: Iterable[Point]) -> Report:
    """Return the totals of requests, with those that were refused (4xx) and that failed (5xx)."""
    by_result = {each: merge(point.figures for point in found) for each, found in _by(points, "result").items()}
    return _with_errors(by_result)


def slots_report(points: Sequence[Point], window: Window) -> list[Report]:
    """Return the requests, attempts and starts of each slot of a window."""
    by_slot = _by(points, "since")
    return [{"since": since, **_slot(by_slot.get(since, ()))} for since in window.slots()]


def _slot(points: Iterable[Point]) -> Report:
    kinds: Mapping[str, list[Point]] = _by(points, "kind")
    requests = _with_errors({result: merge(p.figures for p in found)
                             for result, found in _by(kinds.get(REQUEST, ()), "result").items()})  # fmt: skip
    attempts = {point.result: point.figures.count for point in kinds.get(TASK, ())}
    instances = {point.result: point.figures for point in kinds.get(INSTANCE, ())}
    starts, frozen = instances.get(START), instances.get(FROZEN)
    return {
        "requests": requests["count"],
        "refused": requests["refused"],
        "errors": requests["errors"],
        **{f"p{percent}": requests[f"p{percent}"] for percent in SHOWN},
        "attempts": sum(attempts.values()),
        "failed_attempts": sum(count for outcome, count in attempts.items() if outcome in _FAILED),
        "starts": starts.count if starts else 0,
        "frozen_seconds": frozen.seconds if frozen else 0.0,
    }


def routes_report(series: Iterable[Series], sort: SortKey) -> tuple[list[Report], int]:
    """Return routes with their methods, the first `MAX_LISTED` in an order, and how many there are."""
    groups: dict[tuple[str, str], dict[str, list[Figures]]] = defaultdict(lambda: defaultdict(list))
    for each in series:
        if each.kind == REQUEST:
            groups[each.name, each.method][each.outcome].append(each.figures)
    rows = [
        {"route": name, "method": method, **_with_errors({status: merge(found) for status, found in outcomes.items()})}
        for (name, method), outcomes in groups.items()
    ]
    return _first(rows, "seconds" if sort == "total" else sort)


def tasks_report(series: Iterable[Series]) -> tuple[list[Report], int]:
    """Return tasks, the first `MAX_LISTED` by their time, and how many there are."""
    groups: dict[str, dict[str, Figures]] = defaultdict(dict)
    for each in series:
        if each.kind == TASK:
            groups[each.name][each.outcome] = each.figures
    rows = [
        {
            "task": name,
            **totals(merge(outcomes.values())),
            "outcomes": {outcome: figures.count for outcome, figures in sorted(outcomes.items())},
            "errors": sum(figures.count for outcome, figures in outcomes.items() if outcome in _FAILED),
        }
        for name, outcomes in groups.items()
    ]
    return _first(rows, "seconds")


def statements_report(statements: Iterable[SlowStatement]) -> list[Report]:
    """Return slow statements."""
    names = ("count", "seconds", "mean", "slowest", "p50", "p95", "p99", "bounds")
    return [
        {"statement": each.text, "caller": each.caller, "name": each.name}
        | {name: value for name, value in totals(each.figures).items() if name in names}
        for each in statements
    ]


def starts_report(points: Iterable[Point]) -> Report:
    """Return the cold starts, and the times for which processes were frozen."""
    found = {each: merge(point.figures for point in those)
             for each, those in _by((p for p in points if p.kind == INSTANCE), "result").items()}  # fmt: skip
    names = ("count", "seconds", "slowest", "p50", "p95", "p99", "bounds")
    wanted = (("starts", found.get(START)), ("frozen", found.get(FROZEN)))
    return {what: {name: totals(figures or Figures())[name] for name in names} for what, figures in wanted}


def instances_report(instances: Iterable[MonitorInstance], now: float) -> list[Report]:
    """Return instances; those whose last flush was a short time ago are alive."""
    return [each.model_dump(exclude={"flush"}) | {"alive": each.seen_at >= now - RECENT} for each in instances]


def background_report(points: Iterable[Point]) -> Report:
    """Return the totals of the requests that run tasks."""
    return requests_report(point for point in points if point.kind == BACKGROUND)


def _with_errors(by_status: Mapping[str, Figures]) -> Report:
    report = totals(merge(by_status.values()))
    counts = {status: figures.count for status, figures in by_status.items()}
    errors = sum(count for status, count in counts.items() if status.startswith("5"))
    return report | {
        "statuses": dict(sorted(counts.items())),
        "refused": sum(count for status, count in counts.items() if status.startswith("4")),
        "errors": errors,
        "error_share": errors / report["count"] if report["count"] else 0.0,
    }


def _first(rows: list[Report], key: str) -> tuple[list[Report], int]:
    rows.sort(key=lambda row: (-(row[key] or 0), *(str(value) for value in row.values() if isinstance(value, str))))
    return rows[:MAX_LISTED], len(rows)


def _by(points: Iterable[Point], attribute: str) -> dict[Any, list[Point]]:
    groups: dict[Any, list[Point]] = defaultdict(list)
    for point in points:
        groups[getattr(point, attribute)].append(point)
    return dict(groups)
