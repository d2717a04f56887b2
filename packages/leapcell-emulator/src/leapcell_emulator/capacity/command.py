"""`leapcell capacity`: what breaks first under which load, and which sizes avoid it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from leapcell_emulator.cost.command import (
    AddedOption,
    AtOnceOption,
    ColdOption,
    DormantOption,
    FixedOption,
    FolderOption,
    JsonOption,
    LimitOption,
    MeasuredOption,
    MemoryOption,
    P95Option,
    PauseOption,
    PeriodOption,
    PerVisitOption,
    ProcessorOption,
    SeedOption,
    StopOption,
    WaitingOption,
    memory_of,
)
from leapcell_emulator.documented import COLD_START, DORMANT_AFTER, MAX_CONCURRENCY
from leapcell_emulator.errors import BadRequest, EmulatorError

LoadOption = Annotated[
    list[float] | None,
    typer.Option("--visits-per-hour", min=0.1, help="A load; repeatable. Default: 10, 1,000 and 100,000."),
]
QueriesOption = Annotated[float, typer.Option(min=0, help="Queries of a request, on average.")]
QueryOption = Annotated[float, typer.Option(min=0, help="Seconds of a query in the database.")]
LatencyOption = Annotated[float, typer.Option(min=0, help="Seconds of a round trip to the database.")]
PoolOption = Annotated[int, typer.Option(min=1, help="Connections that an instance opens at most.")]
ConnectionsOption = Annotated[int, typer.Option(min=0, help="Connections that the database accepts; 0: not known.")]
TasksOption = Annotated[float, typer.Option(min=0, max=1, help="Share of requests that start an async task.")]
TaskOption = Annotated[float, typer.Option(min=0, help="Processor seconds of an async task.")]
WorkersOption = Annotated[int, typer.Option(min=1, help="Async workers.")]
RegionOption = Annotated[float, typer.Option(min=0, help="Seconds of a round trip between two of three regions.")]
MachinesOption = Annotated[int, typer.Option(min=1, help="Machines at Fly.io.")]
SettingOption = Annotated[str, typer.Option(help="Environment variable that holds the size of the pool, for --apply.")]
ApplyOption = Annotated[bool, typer.Option("--apply", help="Write the advice into the project's configuration.")]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask before files are changed.")]

LOADS = (10.0, 1000.0, 100_000.0)


def capacity(
    *,
    visits_per_hour: LoadOption = None,
    requests_per_visit: PerVisitOption = 5,
    pause: PauseOption = 20,
    measured: MeasuredOption = None,
    cold_start: ColdOption = None,
    processor: ProcessorOption = None,
    waiting: WaitingOption = None,
    memory: MemoryOption = None,
    folder: FolderOption = Path(),
    p95: P95Option = None,
    queries: QueriesOption = 0,
    query_seconds: QueryOption = 0.002,
    db_latency: LatencyOption = 0.001,
    db_connections: ConnectionsOption = 0,
    pool: PoolOption = 5,
    at_once: AtOnceOption = 1,
    max_concurrency: LimitOption = MAX_CONCURRENCY,
    instances: FixedOption = None,
    dormant_after: DormantOption = DORMANT_AFTER,
    added_cold_start: AddedOption = COLD_START,
    share_period: PeriodOption = 0.1,
    async_share: TasksOption = 0,
    async_processor: TaskOption = 0.1,
    async_workers: WorkersOption = 1,
    region_latency: RegionOption = 0.09,
    machines: MachinesOption = 2,
    fly_stop_after: StopOption = 300,
    pool_setting: SettingOption = "",
    apply: ApplyOption = False,
    yes: YesOption = False,
    seed: SeedOption = 1,
    as_json: JsonOption = False,
) -> None:
    """Simulate the site under load: what breaks first, in one region or three, and which sizes avoid it."""
    options = {name: value for name, value in locals().items() if name not in ("apply", "yes", "as_json")}
    from leapcell_emulator.capacity.report import as_text, make_report  # noqa: PLC0415 - the help need not wait

    try:
        scenario, assumed = make_scenario(**options)
        report = make_report(
            scenario,
            loads=tuple(visits_per_hour or LOADS),
            p95=p95,
            machines=machines,
            stop_after=fly_stop_after,
            assumed=assumed,
        )
        typer.echo(json.dumps(report, indent=2) if as_json else as_text(report))
        if apply:
            _apply(report, folder, pool_setting, yes=yes)
    except EmulatorError as error:
        typer.secho(error.message, fg=typer.colors.RED, err=True)
        if error.hint:
            typer.echo(error.hint, err=True)
        raise typer.Exit(1) from None


def make_scenario(*, measured: Path | None, memory: int | None, folder: Path, **options: Any) -> tuple[Any, list[str]]:  # noqa: ANN401
    """Return the scenario, whose load is to be filled in, and what is assumed. Raises `NothingMeasured`."""
    from leapcell_emulator.capacity.scenario import Database, Platform, Scenario, Tasks, Work  # noqa: PLC0415
    from leapcell_emulator.cost import logs, measurements  # noqa: PLC0415
    from leapcell_emulator.cost.share import share_of  # noqa: PLC0415

    period = options["share_period"]
    figures = measurements.Measurements(period=period)
    if measured is not None:
        found = logs.Found()
        figures = measurements.measure(logs.read_requests(measured, found), found, period=period)
    figures = measurements.complete(
        figures,
        start=options["cold_start"],
        processor=options["processor"],
        waiting=options["waiting"],
    )
    size = memory or memory_of(folder)
    in_database = options["queries"] * (options["query_seconds"] + options["db_latency"])
    known = figures.choices()
    scenario = Scenario(
        visits_per_hour=1.0,
        requests_per_visit=options["requests_per_visit"],
        pause=options["pause"],
        # What was measured waited for the database too; with --queries that is simulated.
        work=[
            Work(processor, max(0.0, waiting - in_database) if measured and options["waiting"] is None else waiting)
            for processor, waiting in known
        ],
        platform=Platform(
            share=share_of(size),
            period=period,
            start=Work(figures.start_processor or 0.0, figures.start_waiting + options["added_cold_start"]),
            dormant_after=options["dormant_after"],
            at_once=options["at_once"],
            instances=options["instances"],
            limit=options["max_concurrency"],
        ),
        database=Database(
            queries=options["queries"],
            query=options["query_seconds"],
            latency=options["db_latency"],
            pool=options["pool"],
            connections=options["db_connections"],
        ),
        tasks=Tasks(
            per_request=options["async_share"],
            work=Work(options["async_processor"]),
            workers=options["async_workers"],
        ),
        region_latency=options["region_latency"],
        seed=options["seed"],
    )
    how = f"An instance takes {options['at_once']} requests at a time"
    if options["instances"]:
        how = f"{options['instances']} instances take turns"
    return scenario, [
        *(text for text in figures.assumed if "--memory-used" not in text),
        f"{how}; each has {size} MB and one event loop.",
        f"A third of the visitors is in each of three regions, {options['region_latency'] * 1000:g} ms apart; the "
        "database is in the first.",
    ]


def _apply(report: dict[str, Any], folder: Path, pool_setting: str, *, yes: bool) -> None:
    from leapcell_emulator.capacity.advice import Advice  # noqa: PLC0415 - needed with --apply only
    from leapcell_emulator.capacity.apply import plan_changes  # noqa: PLC0415 - as above

    changes = plan_changes(folder, [Advice(**each) for each in report["advice"]], pool_setting=pool_setting)
    if not changes:
        typer.echo("Nothing to change.", err=True)
        return
    for change in changes:
        typer.echo(change.diff(), err=True)
    if not yes and not typer.confirm("Change these files?", default=False, err=True):
        raise BadRequest("Nothing was changed.")
    for change in changes:
        change.write()
    typer.echo("Changed " + ", ".join(str(change.path) for change in changes) + ".", err=True)
