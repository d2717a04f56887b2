"""The options of `leapcell emulate`, except those of the rules."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from leapcell_emulator.environment import ENV_FILE
from leapcell_emulator.rules import PROFILES

DASHBOARD: Final = "Settings of the dashboard"

FolderOption = Annotated[Path, typer.Option(help="The project's folder.")]
PortOption = Annotated[int, typer.Option(min=0, max=65535, help="Port of the public address; 0: any.")]
AsyncPortOption = Annotated[int, typer.Option(min=0, max=65535, help="Port of the address for Async; 0: any.")]
BuildOption = Annotated[
    bool, typer.Option(help="Run the build command in a new virtual environment, or use the current one.")
]
EnvOption = Annotated[
    list[str] | None, typer.Option("--env", help="A variable of the service, NAME=VALUE; repeatable.")
]
EnvFileOption = Annotated[
    Path | None,
    typer.Option(
        help=f"File with the service's variables, read for each deployment. Default: {ENV_FILE}, if it exists."
    ),
]
ProfileOption = Annotated[str, typer.Option(help=f"Values of all rules: {', '.join(PROFILES)}.")]
SandboxOption = Annotated[str, typer.Option(help="bubblewrap, landlock, or auto: the better one that is available.")]
DatabaseOption = Annotated[bool, typer.Option(help="Run a PostgreSQL and set DATABASE_URL.")]
StorageOption = Annotated[bool, typer.Option(help="Run an Object Storage and set S3_*.")]
RedisOption = Annotated[
    bool, typer.Option(help="Run a Redis and set REDIS_URL, and SSL_CERT_FILE to trust its certificate.")
]
ExecOption = Annotated[
    str | None,
    typer.Option(
        "--exec",
        help="Run this in a shell when all is up, then end with its status. It gets LEAPCELL_URL, LEAPCELL_ASYNC_URL "
        "and the service's variables.",
    ),
]
FailOnOption = Annotated[
    str | None, typer.Option(help="With --exec: fail when one of these rules fired, like E1,E7; `all` is each.")
]
SaveOption = Annotated[Path | None, typer.Option(help="Save the services' data in this folder at the end.")]
RecordOption = Annotated[
    Path | None,
    typer.Option(help="Write a JSON line for each request to this file, for `cost` and `capacity`."),
]
LoadOption = Annotated[Path | None, typer.Option(help="Load the services' data from this folder.")]
CronOption = Annotated[Path | None, typer.Option(help="File with scheduled requests.")]

StartCommandOption = Annotated[
    str | None, typer.Option(help="Instead of startCommand in leapcell.yaml.", rich_help_panel=DASHBOARD)
]
BuildCommandOption = Annotated[str | None, typer.Option(help="Instead of buildCommand.", rich_help_panel=DASHBOARD)]
MemoryOption = Annotated[str | None, typer.Option(help="Instead of memory, like 512mb.", rich_help_panel=DASHBOARD)]
ServicePortOption = Annotated[
    int | None,
    typer.Option(help="Instead of port: the one that the project listens on.", rich_help_panel=DASHBOARD),
]
RuntimeOption = Annotated[
    str | None, typer.Option(help="Instead of runtime: python, node, go or rust.", rich_help_panel=DASHBOARD)
]
PythonOption = Annotated[
    str | None,
    typer.Option(
        help="Python's version, like 3.12. Default: what .python-version or requires-python ask for, else the one that "
        "runs the emulator.",
        rich_help_panel=DASHBOARD,
    ),
]
RootDirectoryOption = Annotated[
    str,
    typer.Option(help="The folder in the project in which its commands run.", rich_help_panel=DASHBOARD),
]
SaveManifestOption = Annotated[
    bool,
    typer.Option(
        "--save-manifest",
        help="Write leapcell.yaml from these settings and from what was guessed.",
        rich_help_panel=DASHBOARD,
    ),
]
HostToolsOption = Annotated[
    bool,
    typer.Option(
        "--host-tools",
        help="Show the project this whole machine, read-only: its folders, your PATH, its local servers.",
    ),
]
HttpsOption = Annotated[
    bool,
    typer.Option(
        "--https",
        help="Serve https at the project's own name below leapcell.localhost, by a certificate authority of yours.",
    ),
]
PersistentOption = Annotated[
    bool,
    typer.Option(
        "--persistent", help="LeapCell's persistent mode: the same as --profile persistent, no serverless rule applies."
    ),
]
RouteOption = Annotated[
    list[str] | None,
    typer.Option(
        "--route", help="A path that another emulator answers, like /api=http://127.0.0.1:8090; repeatable, at most 10."
    ),
]
WatchOption = Annotated[bool, typer.Option("--watch", help="Deploy again when a file of the project changes.")]
RegionLatencyOption = Annotated[
    float, typer.Option(min=0, help="Milliseconds that a request takes to the region and back.", metavar="MS")
]
DatabaseLatencyOption = Annotated[
    float,
    typer.Option(
        "--db-latency", min=0, help="Milliseconds that a statement takes to the database and back.", metavar="MS"
    ),
]
ShowOption = Annotated[
    list[Path] | None,
    typer.Option("--show", help="A folder of this machine that the project can read, at the same place; repeatable."),
]
RebuildOption = Annotated[bool, typer.Option("--rebuild", help="Use nothing that an earlier build made.")]
