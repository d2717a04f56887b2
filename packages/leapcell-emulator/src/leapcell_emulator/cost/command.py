"""`leapcell cost`: what a project's traffic costs a month."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from leapcell_emulator.documented import COLD_START, DORMANT_AFTER, MAX_CONCURRENCY, MAX_MEMORY, MIN_MEMORY
from leapcell_emulator.errors import BadRequest, EmulatorError
from leapcell_emulator.manifest import DEFAULT_MEMORY, FILE_NAME, read_manifest

TrafficArgument = Annotated[
    Path | None,
    typer.Argument(help="Access log (combined format or JSON lines), HAR, or a record of `leapcell emulate --record`."),
]
VisitsOption = Annotated[float | None, typer.Option(min=0.01, help="Visits a day, in place of a file.")]
PerVisitOption = Annotated[float, typer.Option(min=1, help="Requests of a visit, on average.")]
PauseOption = Annotated[float, typer.Option(min=0, help="Seconds between two requests of a visit.")]
MeasuredOption = Annotated[
    Path | None, typer.Option(help="A record of `leapcell emulate --record`: the project's own times and memory.")
]
ColdOption = Annotated[
    float | None, typer.Option("--cold-start", min=0, help="Processor seconds of the application's start.")
]
ProcessorOption = Annotated[float | None, typer.Option(min=0, help="Processor seconds of a request.")]
WaitingOption = Annotated[float | None, typer.Option(min=0, help="Seconds that a request waits for others.")]
UsedOption = Annotated[float | None, typer.Option("--memory-used", min=0, help="MB that the application fills.")]
BytesOption = Annotated[int, typer.Option(min=0, help="Bytes of a response, where no file states them.")]
P95Option = Annotated[float | None, typer.Option("--p95", min=0, help="Seconds that 95 % of requests may take.")]
PriceOption = Annotated[
    list[str] | None, typer.Option("--price", help="A price in US dollars that no page states, NAME=VALUE; repeatable.")
]
MemoryOption = Annotated[
    int | None,
    typer.Option(min=MIN_MEMORY, max=MAX_MEMORY, help=f"MB of an instance. Default: {FILE_NAME}'s."),
]
FolderOption = Annotated[Path, typer.Option(help=f"The project's folder, with {FILE_NAME} in it.")]
DatabaseOption = Annotated[float, typer.Option("--database-gb", min=0, help="GB of the database.")]
StorageOption = Annotated[float, typer.Option("--storage-gb", min=0, help="GB of uploaded files.")]
ImageOption = Annotated[float, typer.Option("--image-gb", min=0, help="GB of the image at Fly.io.")]
FlyDatabaseOption = Annotated[bool, typer.Option(help="Managed PostgreSQL at Fly.io in place of SQLite on a volume.")]
ZoneOption = Annotated[str, typer.Option(help="Zone of Fly's traffic: na-eu, ap-oc-sa or af-in.")]
AtOnceOption = Annotated[int, typer.Option(min=1, help="Requests that one instance takes at a time.")]
LimitOption = Annotated[int, typer.Option(min=0, help="Requests in flight that the plan allows; 0: no limit.")]
FixedOption = Annotated[
    int | None, typer.Option(min=1, help="This many instances that take turns, as in the emulator; else as needed.")
]
DormantOption = Annotated[float, typer.Option(min=0, help="Seconds without a request after which an instance ends.")]
AddedOption = Annotated[float, typer.Option(min=0, help="Seconds that LeapCell adds to a cold start.")]
PeriodOption = Annotated[
    float, typer.Option(min=0, help="Seconds over which the share of a processor is granted; 0: evenly.")
]
StopOption = Annotated[float, typer.Option(min=0, help="Seconds without a request after which Fly.io stops a machine.")]
AsyncOption = Annotated[str, typer.Option(help="Paths that begin with this are async tasks.")]
SeedOption = Annotated[int, typer.Option(help="Of the simulation: the same seed gives the same answer.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]

ZONES = ("na-eu", "ap-oc-sa", "af-in")
FEWEST = 2  # requests, between which time passes
SHORT = 86_400.0  # seconds; a shorter log is no typical day


def cost(
    traffic: TrafficArgument = None,
    *,
    visits_per_day: VisitsOption = None,
    requests_per_visit: PerVisitOption = 5,
    pause: PauseOption = 20,
    measured: MeasuredOption = None,
    cold_start: ColdOption = None,
    processor: ProcessorOption = None,
    waiting: WaitingOption = None,
    memory_used: UsedOption = None,
    response_bytes: BytesOption = 20_000,
    p95: P95Option = None,
    price: PriceOption = None,
    memory: MemoryOption = None,
    folder: FolderOption = Path(),
    database_gb: DatabaseOption = 1,
    storage_gb: StorageOption = 0,
    image_gb: ImageOption = 0.5,
    fly_postgresql: FlyDatabaseOption = False,
    fly_zone: ZoneOption = "na-eu",
    at_once: AtOnceOption = 1,
    max_concurrency: LimitOption = MAX_CONCURRENCY,
    instances: FixedOption = None,
    dormant_after: DormantOption = DORMANT_AFTER,
    added_cold_start: AddedOption = COLD_START,
    share_period: PeriodOption = 0.1,
    fly_stop_after: StopOption = 300,
    async_path: AsyncOption = "/async/",
    seed: SeedOption = 1,
    as_json: JsonOption = False,
) -> None:
    """Estimate what traffic costs a month in each place, and what to change first."""
    options = {name: value for name, value in locals().items() if name != "as_json"}
    _print(lambda: _estimate(**options), as_json=as_json)


def _print(estimate: Callable[[], dict[str, Any]], *, as_json: bool) -> None:
    from leapcell_emulator.cost.report import as_text  # noqa: PLC0415 - the help need not wait for it

    try:
        report = estimate()
    except EmulatorError as error:
        typer.secho(error.message, fg=typer.colors.RED, err=True)
        if error.hint:
            typer.echo(error.hint, err=True)
        raise typer.Exit(1) from None
    typer.echo(json.dumps(report, indent=2) if as_json else as_text(report))


def _estimate(  # what the command takes, by name
    traffic: Path | None,
    *,
    visits_per_day: float | None,
    measured: Path | None,
    price: list[str] | None,
    **options: Any,  # noqa: ANN401
) -> dict[str, Any]:
    from leapcell_emulator.cost import bills, logs, measurements, prices, report, share, usage, visits  # noqa: PLC0415
    from leapcell_emulator.cost.request import Request  # noqa: PLC0415

    if (traffic is None) == (visits_per_day is None):
        raise BadRequest("Give one of the two: a file with traffic, or --visits-per-day.")
    if options["fly_zone"] not in ZONES:
        raise BadRequest(f"--fly-zone is {options['fly_zone']}.", hint=f"It can be {', '.join(ZONES)}.")
    known = prices.read_prices().with_given(price or ())
    memory = options["memory"] or memory_of(options["folder"])
    assumed: list[str] = []
    rules = usage.Rules(
        sizes=tuple(sorted({*share.SIZES, memory})),
        cold_start=options["added_cold_start"],
        dormant_after=options["dormant_after"],
        at_once=options["at_once"],
        limit=options["max_concurrency"],
        fixed=options["instances"],
        period=options["share_period"],
        fly_stop_after=options["fly_stop_after"],
        async_path=options["async_path"],
    )
    found = logs.Found()
    figures = measurements.Measurements(period=rules.period)
    source = measured or (traffic if traffic is not None and _is_record(traffic) else None)
    if source is not None:
        starts = logs.Found()
        figures = measurements.measure(logs.read_requests(source, starts), starts, period=rules.period)
    figures = measurements.complete(
        figures,
        start=options["cold_start"],
        processor=options["processor"],
        waiting=options["waiting"],
        memory=options["memory_used"],
        durations_known=traffic is not None,
    )

    def requests() -> Iterator[Request]:
        if traffic is not None:
            yield from logs.read_requests(traffic, found, seed=options["seed"])
        elif visits_per_day is not None:
            days = visits.days_of(visits_per_day, options["requests_per_visit"])
            for request in visits.make_requests(
                visits_per_day,
                requests_per_visit=options["requests_per_visit"],
                pause=options["pause"],
                days=days,
                seed=options["seed"],
            ):
                yield request._replace(bytes_out=options["response_bytes"])

    used = usage.count(requests(), figures, rules)
    if traffic is None and visits_per_day is not None:
        factor = visits.LONGEST / visits.days_of(visits_per_day, options["requests_per_visit"])
        assumed.append(
            f"Visits of {options['requests_per_visit']:g} requests, {options['pause']:g} s apart, along the curve of a "
            f"day in docs/cost.md; {options['response_bytes']:,} bytes a response."
        )
    else:
        if used.requests < FEWEST:
            raise BadRequest(f"{traffic} has {used.requests} request.", hint="A longer log shows what a month is like.")
        factor = bills.monthly(used)
        if found.skipped:
            assumed.append(f"{found.skipped:,} of {found.lines:,} lines are no requests and were left out.")
        if used.last - used.first < SHORT:
            assumed.append("The traffic spans less than a day, and every day is taken to be like it all the time.")
    assumed += _rules_assumed(rules)
    needs = bills.Needs(
        memory=figures.memory or float(memory) * bills.SPARE,
        size=memory,
        database_gb=options["database_gb"],
        storage_gb=options["storage_gb"],
        image_gb=options["image_gb"],
        fly_postgresql=options["fly_postgresql"],
        fly_zone=options["fly_zone"],
    )
    return report.make_report(used, figures, rules, needs, known, factor=factor, p95=options["p95"], assumed=assumed)


def _rules_assumed(rules: Any) -> list[str]:  # noqa: ANN401 - its module is imported late
    how = f"granted over {rules.period:g} s, as Linux does" if rules.period else "spread evenly"
    many = (
        f"{rules.fixed} instances take turns" if rules.fixed else f"An instance takes {rules.at_once} request at a time"
    )
    return [
        "LeapCell bills each request from its arrival to its end, cold start included, and GB are 1,024 MB.",
        f"The share of a processor is {how} (--share-period).",
        f"{many} and ends after {rules.dormant_after / 60:g} min without a request.",
        f"Fly.io stops a machine after {rules.fly_stop_after / 60:g} min without a request; it decides "
        "every few minutes.",
    ]


def memory_of(folder: Path) -> int:
    """MB that the project asks for, or what LeapCell's examples do."""
    return read_manifest(folder).memory if (folder / FILE_NAME).is_file() else DEFAULT_MEMORY


def _is_record(path: Path) -> bool:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.read(9) == '{"kind":"'
    except OSError:
        return False  # reading its traffic says why
