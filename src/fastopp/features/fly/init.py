"""`oppman.py fly init`: the files that Fly.io wants."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from fastopp.console.main_file import ProjectError, list_apps
from fastopp.console.options import ForceOption, YesOption
from fastopp.console.output import EXIT_MISUSED, fail, plain_command, say
from fastopp.features.deployment.deploy_files import (
    DeployFile,
    prepare_requirements,
    project_name,
    report_stale_commands,
    write_files,
)
from fastopp.features.fly.dockerfile import dockerfile
from fastopp.platforms.fly import FLY_VOLUME

PORT = 8080
MEMORY = 512  # MB of the machine
STOP_TIME = 30  # seconds to finish requests and put tasks back; Fly gives 5 by default, 300 at most

FLY_TOML = """\
# What Fly.io does with this project (https://fly.io/docs/reference/configuration/).
# Written by `python oppman.py fly init`.
app = "{name}"
primary_region = "{region}"
kill_signal = "SIGTERM"
kill_timeout = "{stop_time}s"

[env]
  PORT = "{port}"
  DATABASE_URL = "sqlite:///{volume}/app.db"
  UPLOAD_DIR = "{volume}/uploads"

# One volume belongs to one machine, in one region; it is neither shared nor copied. With SQLite there must be one
# machine only: `fly deploy --ha=false`. With PostgreSQL (`fly secrets set DATABASE_URL=…`) and an Object Storage,
# remove this, DATABASE_URL and UPLOAD_DIR above, and have as many machines as you like.
[[mounts]]
  source = "data"
  destination = "{volume}"

# No release_command: it runs in a separate machine without the volume, so it could not reach the SQLite file.
# Migrations run when a machine starts (see Dockerfile), on any database; of machines that start at once, one migrates.

[http_service]
  internal_port = {port}
  force_https = true
  # A machine that is stopped works no tasks. With tasks that must not wait for a visitor: min_machines_running = 1.
  auto_stop_machines = "stop"
  auto_start_machines = true
  min_machines_running = 0

  [http_service.concurrency]
    type = "requests"
    soft_limit = 50
    hard_limit = 200

  # Whether the process runs. /health asks the database too: a failing one would take every machine out of service.
  [[http_service.checks]]
    grace_period = "20s"
    interval = "15s"
    timeout = "5s"
    method = "GET"
    path = "/healthz"

[[vm]]
  size = "shared-cpu-1x"
  memory = "{memory}mb"
"""

DOCKERIGNORE = """\
# Excluded from the image: secrets, data, generated files, and what is for developers only.
# Written by `python oppman.py fly init`.
.git
**/.venv
.uv
**/.env
**/.env.*
**/__pycache__
**/*.db
**/*.db-shm
**/*.db-wal
**/*.db.*
static/uploads
backups
**/node_modules
"""
FOR_DEVELOPERS = ("benchmarks", "docs", "tests")  # folders of the project that are no apps


@plain_command
def fly_init(
    name: Annotated[str | None, typer.Option(help="Name of the app at Fly. Default: the project's.")] = None,
    region: Annotated[str, typer.Option(help="Region to run in; `fly platform regions` lists them.")] = "fra",
    *,
    yes: YesOption = False,
    force: ForceOption = False,
) -> None:
    """Write fly.toml, Dockerfile, .dockerignore and requirements.txt."""
    folder = Path.cwd()
    if not (folder / "main.py").is_file():
        raise ProjectError("There is no main.py here.", hint="Run the command in the folder of your project.")
    for text, option in ((name or "app", "--name"), (region, "--region")):
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", text):
            fail(f"{option}: small letters, digits and dashes only.", status=EXIT_MISUSED)
    requirements = prepare_requirements(folder)
    name = name or project_name(folder)
    left = write_files(folder, requirements, force=force, yes=yes)
    files = [
        DeployFile("fly.toml", fly_toml(name, region)),
        DeployFile("Dockerfile", dockerfile(folder)),
        DeployFile(".dockerignore", dockerignore(folder)),
    ]
    left += write_files(folder, files, force=force, yes=yes)
    report_stale_commands(folder, requirements, left)
    say("Next:", style="green")
    say(f"  fly apps create {name}")
    say(f"  fly volumes create data --size 1 --region {region}")
    # Not `fly secrets set NAME=value`: every user of the machine can see a program's arguments.
    say("  (umask 077; python oppman.py secrets > .env.fly)")
    say("  fly secrets import < .env.fly")
    say("  fly deploy --ha=false")


def fly_toml(name: str, region: str) -> str:
    """The content of fly.toml."""
    return FLY_TOML.format(
        name=name, region=region, port=PORT, volume=f"/{FLY_VOLUME.name}", memory=MEMORY, stop_time=STOP_TIME
    )


def dockerignore(folder: Path) -> str:
    """Return the content of .dockerignore."""
    apps = {app.partition(".")[0] for app in list_apps(folder / "main.py")}
    return DOCKERIGNORE + "".join(f"{name}\n" for name in FOR_DEVELOPERS if name not in apps)
