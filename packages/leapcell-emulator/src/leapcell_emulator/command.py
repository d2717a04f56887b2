"""`leapcell emulate`: the project under LeapCell's rules, on this machine."""

from __future__ import annotations

import asyncio
import functools
import inspect
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from leapcell_emulator.command_options import (
    AsyncPortOption,
    BuildCommandOption,
    BuildOption,
    CronOption,
    DatabaseLatencyOption,
    DatabaseOption,
    EnvFileOption,
    EnvOption,
    ExecOption,
    FailOnOption,
    FolderOption,
    HostToolsOption,
    HttpsOption,
    LoadOption,
    MemoryOption,
    PersistentOption,
    PortOption,
    ProfileOption,
    PythonOption,
    RebuildOption,
    RecordOption,
    RedisOption,
    RegionLatencyOption,
    RootDirectoryOption,
    RouteOption,
    RuntimeOption,
    SandboxOption,
    SaveManifestOption,
    SaveOption,
    ServicePortOption,
    ShowOption,
    StartCommandOption,
    StorageOption,
    WatchOption,
)
from leapcell_emulator.documented import PORT
from leapcell_emulator.environment import ENV_FILE
from leapcell_emulator.errors import EmulatorError
from leapcell_emulator.rule import Rule, parse_size
from leapcell_emulator.rules import PERSISTENT, RULES, Rules
from leapcell_emulator.screen import Screen, welcome

if TYPE_CHECKING:
    from leapcell_emulator.emulator import Emulator

EXIT_FAILED = 1
EXIT_MISUSED = 2
_END_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


async def _emulate(
    *,
    folder: FolderOption = Path(),
    port: PortOption = PORT,
    async_port: AsyncPortOption = PORT + 1,
    build: BuildOption = True,
    env: EnvOption = None,
    env_file: EnvFileOption = None,
    profile: ProfileOption = "default",
    persistent: PersistentOption = False,
    https: HttpsOption = False,
    route: RouteOption = None,
    sandbox: SandboxOption = "auto",
    database: DatabaseOption = True,
    object_storage: StorageOption = True,
    redis: RedisOption = False,
    cron: CronOption = None,
    execute: ExecOption = None,
    fail_on: FailOnOption = None,
    save: SaveOption = None,
    load: LoadOption = None,
    record: RecordOption = None,
    start_command: StartCommandOption = None,
    build_command: BuildCommandOption = None,
    memory: MemoryOption = None,
    service_port: ServicePortOption = None,
    runtime: RuntimeOption = None,
    python: PythonOption = None,
    root_directory: RootDirectoryOption = "",
    save_manifest: SaveManifestOption = False,
    host_tools: HostToolsOption = False,
    show: ShowOption = None,
    rebuild: RebuildOption = False,
    watch: WatchOption = False,
    region_latency: RegionLatencyOption = 0.0,
    db_latency: DatabaseLatencyOption = 0.0,
    **rules: Any,  # noqa: ANN401 - one of each rule's type
) -> None:
    """Build the project and run it under LeapCell's rules, with a database, a bucket and a queue like LeapCell's.

    Any project will do: what leapcell.yaml does not say is set by options or guessed from the files. Each rule has an
    option. Ctrl+C ends it and leaves nothing behind.
    """
    # 150 ms, which the help need not wait for
    from leapcell_emulator import authority  # noqa: PLC0415
    from leapcell_emulator.emulator import Emulator  # noqa: PLC0415
    from leapcell_emulator.emulator_options import EmulatorOptions  # noqa: PLC0415
    from leapcell_emulator.kept_builds import default_folder  # noqa: PLC0415
    from leapcell_emulator.parts import make_services  # noqa: PLC0415

    if env_file is None and (folder / ENV_FILE).is_file():
        env_file = folder / ENV_FILE
    settings = {
        "startCommand": start_command,
        "buildCommand": build_command,
        "memory": memory,
        "port": service_port,
        "runtime": runtime,
    }
    if persistent and profile not in ("default", PERSISTENT):
        _fail(f"--persistent and --profile {profile} exclude each other.", status=EXIT_MISUSED)
    profile = PERSISTENT if persistent else profile
    options = EmulatorOptions(
        folder=folder,
        rules=Rules.from_options(profile, rules),
        profile=profile,
        port=port,
        async_port=async_port,
        build=build,
        variables=_read_pairs(env or []),
        env_file=env_file,
        sandbox=sandbox,
        save=save,
        load=load,
        record=record,
        settings={key: value for key, value in settings.items() if value is not None},
        python=python,
        root_directory=root_directory,
        save_manifest=save_manifest,
        host_tools=host_tools,
        shown=tuple(path.resolve() for path in show or []),
        builds=default_folder(),
        rebuild=rebuild,
        watch=watch,
        routes=tuple(route or []),
        https=authority.default_folder() if https else None,
        latency=region_latency / 1000,
    )
    failing = _read_rules(fail_on, execute)
    screen = Screen(sys.stderr if execute else sys.stdout)
    _end_on_signals()
    status = 0
    try:
        services = make_services(
            database=database,
            object_storage=object_storage,
            redis=redis,
            cron=cron,
            database_latency=db_latency / 1000,
        )
        async with Emulator(options, services=services, on_event=screen.event, on_line=screen.line) as emulator:
            screen.say(welcome(emulator))
            if execute is None:
                await asyncio.Event().wait()
            else:
                status = await _run(execute, emulator)
                if fired := sorted({RULES[name].id for name in emulator.journal.serious} & failing):
                    screen.say(f"Failed, since {', '.join(fired)} fired (--fail-on).")
                    status = status or EXIT_FAILED
    except asyncio.CancelledError:
        # Ctrl+C or SIGTERM, after which everything has been put away.
        screen.say("The emulator has ended.")
        status = 0 if execute is None else 130
    raise typer.Exit(status)


def _end_on_signals() -> None:
    """The first signal ends the command in order, a second one at once. SIGINT too where a shell had it ignored."""
    task, loop = asyncio.current_task(), asyncio.get_running_loop()

    def end() -> None:
        for number in _END_SIGNALS:
            loop.remove_signal_handler(number)
        if task is not None:
            task.cancel()

    for number in _END_SIGNALS:
        loop.add_signal_handler(number, end)


async def _run(text: str, emulator: Emulator) -> int:
    """Run a command against the emulator and return its status."""
    urls = emulator.state()["urls"]
    process = await asyncio.create_subprocess_shell(
        text,
        env={
            **os.environ,
            **emulator.variables,
            **emulator.trust,
            "LEAPCELL_URL": urls["public"],
            "LEAPCELL_ASYNC_URL": urls.get("async", ""),
        },
    )
    try:
        code = await process.wait()
    except asyncio.CancelledError:
        process.terminate()
        await process.wait()
        raise
    return code if code >= 0 else 128 - code


def _read_pairs(pairs: list[str]) -> dict[str, str]:
    """Variables from `--env`."""
    variables = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            _fail(f"--env {pair} is not NAME=VALUE.", status=EXIT_MISUSED)
        variables[name] = value
    return variables


def _read_rules(text: str | None, execute: str | None) -> set[str]:
    """The numbers of the rules in `--fail-on`."""
    if text is None:
        return set()
    if execute is None:
        _fail("--fail-on has no effect without --exec.", status=EXIT_MISUSED)
    known = {rule.id for rule in RULES.values()}
    wanted = {name.strip().upper() for name in text.split(",") if name.strip()}
    if wanted == {"ALL"}:
        return known
    if unknown := sorted(wanted - known):
        _fail(f"--fail-on: there is no rule {', '.join(unknown)}.", hint="They are E1 to E20.", status=EXIT_MISUSED)
    return wanted


def _parse_size(text: str) -> int:
    try:
        return parse_size(text)
    except EmulatorError as error:
        raise typer.BadParameter(str(error)) from None


def _rule_parameter(rule: Rule) -> inspect.Parameter:
    """The option of a rule."""
    text = f"{rule.id}: {rule.title}. Default: {rule.format(rule.default)}."
    kind: Any = type(rule.default)
    if kind is bool:
        option = typer.Option(rule.option + "/--no-" + rule.option[2:], help=text, rich_help_panel="Rules")
    elif rule.unit == "bytes":
        option = typer.Option(rule.option, help=text, rich_help_panel="Rules", parser=_parse_size, metavar="SIZE")
    else:
        option = typer.Option(rule.option, help=text, rich_help_panel="Rules")
    annotation = Annotated[kind | None, option]
    return inspect.Parameter(rule.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def _with_rules(function: Callable[..., None]) -> Callable[..., None]:
    """Give the command an option for every rule, in place of its `**rules`."""
    signature = inspect.signature(function, eval_str=True)
    own = [parameter for parameter in signature.parameters.values() if parameter.kind is not parameter.VAR_KEYWORD]
    parameters = [*own, *(_rule_parameter(rule) for rule in RULES.values())]
    function.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined] # what Typer reads
    function.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return function


def _command(function: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Make an async function a command, which ends with one message and status 1 for an error of the emulator's."""

    @functools.wraps(function)
    def run(**options: Any) -> None:  # noqa: ANN401 - each has its own type
        async def main() -> None:
            await function(**options)

        try:
            asyncio.run(main())
        except EmulatorError as error:
            _fail(error.message, hint=error.hint)

    return run


def _fail(message: str, *, hint: str | None = None, status: int = EXIT_FAILED) -> NoReturn:
    typer.secho(message, fg=typer.colors.RED, err=True)
    if hint:
        typer.echo(hint, err=True)
    raise typer.Exit(status)


emulate = _with_rules(_command(_emulate))
