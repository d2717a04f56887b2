"""`oppman.py db slow`: the slow statements of a project."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from fastopp.console.options import JsonOption
from fastopp.console.output import command, emit_json, print_table, say
from fastopp.console.project import load_project

SQL_SHOWN = 100  # characters in the table; --json has all of it

SpanOption = Annotated[
    Literal["hour", "day", "week", "all"], typer.Option("--span", help="The time up to now; `all` is all that is kept.")
]
LimitOption = Annotated[int, typer.Option(min=1, max=500, help="How many.")]


@command
async def slow(*, span: SpanOption = "week", limit: LimitOption = 20, as_json: JsonOption = False) -> None:
    """List the queries that took SLOW_QUERY_MS or longer, those with the most time in total first."""
    from fastopp.core.runtime import open_runtime  # noqa: PLC0415 - the database, which `--help` does not need
    from fastopp.features.monitor.reading import read_statements  # noqa: PLC0415 - as above
    from fastopp.features.monitor.report import statements_report  # noqa: PLC0415 - as above
    from fastopp.features.monitor.spans import SPANS, window  # noqa: PLC0415 - as above

    project = load_project()
    async with open_runtime(project.settings, project.apps) as runtime, runtime.database.read() as session:
        shown = None if span == "all" else window(SPANS[span], runtime.clock.time())
        found = statements_report(await read_statements(session, shown, limit))
    if as_json:
        emit_json(found)
        return
    settings = project.settings
    if found:
        print_statements(found)
    elif not settings.monitor or not settings.slow_query_ms:
        missing = "MONITOR is false" if not settings.monitor else "SLOW_QUERY_MS is 0"
        say(f"Slow queries are not recorded: {missing}.")
    else:
        say(f"No query took {settings.slow_query_ms:,} ms or longer.")


def print_statements(statements: list[dict[str, object]]) -> None:
    """Print a report of slow statements as a table."""
    from fastopp.features.monitor.wording import duration  # noqa: PLC0415 - only for people

    def row(one: dict[str, object]) -> list[str]:
        times = (one[name] for name in ("seconds", "mean", "p95", "slowest"))
        sql, caller = str(one["statement"]), str(one["caller"])
        short = sql if len(sql) <= SQL_SHOWN else f"{sql[: SQL_SHOWN - 1]}…"
        return [f"{one['count']:,}", *(duration(_seconds(each)) for each in times), caller or "-", short]

    print_table(["Times", "Total", "Mean", "95 %", "Slowest", "Caller", "SQL"], [row(each) for each in statements])


def _seconds(value: object) -> float | None:
    return value if isinstance(value, float) else None
