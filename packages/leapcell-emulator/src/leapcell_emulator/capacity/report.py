"""The answer of `leapcell capacity`, as a value for programs and as text for people."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, replace
from typing import Any

from leapcell_emulator.capacity import advice
from leapcell_emulator.capacity.limits import first_to_break, limits_of
from leapcell_emulator.capacity.outcome import Outcome
from leapcell_emulator.capacity.scenario import Scenario
from leapcell_emulator.capacity.site import VISITOR_REGIONS, Site
from leapcell_emulator.cost.report import table


def make_report(
    scenario: Scenario,
    *,
    loads: tuple[float, ...],
    p95: float | None,
    machines: int,
    stop_after: float,
    assumed: Iterable[str],
) -> dict[str, Any]:
    """Return the report:

    - `loads`: for each load, in one region and in three, the figures of `_figures` and the `broken` limits, the first
      one first; `first`: the load in visits an hour at which a limit is exceeded first, and that limit, or null;
    - `advice`: `key`, `value` and `why`, for the last load; `assumed`: sentences.
    """
    rows = []
    for load in loads:
        for regions in (1, VISITOR_REGIONS):
            tried = replace(scenario, visits_per_hour=load, regions=regions)
            outcome = Site(tried).run()
            broken = [asdict(each) for each in limits_of(tried, outcome, p95=p95) if each.broken]
            rows.append({"visits_per_hour": load, "regions": regions, **_figures(outcome), "broken": broken})
    first = first_to_break(scenario, p95=p95)
    return {
        "loads": rows,
        "first": None if first is None else {"visits_per_hour": first[0], **asdict(first[1])},
        "advised_for": loads[-1],
        "wanted_p95": p95,
        "advice": [
            asdict(each)
            for each in _advice(
                replace(scenario, visits_per_hour=loads[-1]), p95=p95, machines=machines, stop_after=stop_after
            )
        ],
        "assumed": list(assumed),
    }


def _advice(scenario: Scenario, *, p95: float | None, machines: int, stop_after: float) -> list[advice.Advice]:
    found = [advice.for_memory(scenario, p95=p95) if p95 is not None else None]
    found += [advice.for_pool(scenario), advice.for_workers(scenario)]
    start = scenario.platform.start
    found += advice.for_fly(scenario, p95=p95, start=start, machines=machines, stop_after=stop_after)
    return [each for each in found if each is not None]


def _figures(outcome: Outcome) -> dict[str, Any]:
    return {
        "p50": outcome.latency.quantile(0.5),
        "p95": outcome.p95,
        "cold_share": outcome.cold_share,
        "refused_share": outcome.refused_share,
        "most_in_flight": outcome.most_in_flight,
        "most_instances": outcome.most_instances,
        "most_connections": outcome.most_connections,
        "pool_wait": outcome.pool_wait.quantile(0.95),
        "task_wait": outcome.task_wait.quantile(0.95),
    }


def as_text(report: dict[str, Any]) -> str:
    """The report for people."""
    rows = [["Visits/h", "Regions", "p50", "p95", "Cold", "429", "At once", "Instances", "Connections", "Breaks first"]]
    for row in report["loads"]:
        broken = row["broken"]
        rows.append(
            [
                f"{row['visits_per_hour']:,g}",
                str(row["regions"]),
                f"{row['p50']:.3f} s",
                f"{row['p95']:.3f} s",
                f"{row['cold_share']:.1%}",
                f"{row['refused_share']:.1%}",
                str(row["most_in_flight"]),
                str(row["most_instances"]),
                str(row["most_connections"]),
                _limit(broken[0]) if broken else "nothing",
            ]
        )
    parts = [table(rows)]
    first = report["first"]
    if first is None:
        parts.append("No load up to a million visits an hour exceeds a limit that is known.")
    else:
        parts.append(
            f"First to break: {_limit(first)}, at about {first['visits_per_hour']:,.0f} visits/h.\n{first['fix']}"
        )
    lines = advice.words(advice.Advice(**each) for each in report["advice"])
    head = f"Advice for {report['advised_for']:,g} visits/h:"
    parts.append("\n".join([head, *(f"- {line}" for line in lines)]))
    if report["wanted_p95"] is not None and all(each["key"] != "memory" for each in report["advice"]):
        parts.append(f"No memory meets a p95 of {report['wanted_p95']:g} s.")
    parts.append("\n".join(["Assumed:", *(f"- {text}" for text in report["assumed"])]))
    return "\n\n".join(parts)


def _limit(limit: dict[str, Any]) -> str:
    unit = f" {limit['unit']}" if limit["unit"] else ""
    return f"{limit['name']} ({limit['used']:,.4g}{unit} of {limit['limit']:,.4g})"
