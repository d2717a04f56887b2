"""`oppman.py leapcell init`: the files that LeapCell wants."""

from __future__ import annotations

import re
import secrets
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated

import typer

from fastopp.checks.project_python import allowed_minors
from fastopp.checks.requirement_lines import install_line
from fastopp.console.checking import env_file_of
from fastopp.console.main_file import ProjectError
from fastopp.console.options import ForceOption, YesOption
from fastopp.console.output import EXIT_MISUSED, fail, plain_command, say
from fastopp.features.deployment.deploy_files import (
    SECRET,
    DeployFile,
    hide_from_git,
    prepare_requirements,
    report_stale_commands,
    tool_requirement,
    write_files,
)
from fastopp.features.deployment.vendored import WHEELS, find_wheels
from fastopp.platforms.leapcell import LEAPCELL, LEAPCELL_MAX_MEMORY, LEAPCELL_MIN_MEMORY, LEAPCELL_PORT
from fastopp.settings import read_variables
from fastopp.settings.database_url import DatabaseURL, DatabaseURLError

MEMORY = 512  # MB, as in LeapCell's own examples
ENV_FILE = env_file_of(LEAPCELL)
EMULATOR = "leapcell-emulator"
KEY_BYTES = 32  # 256 bits
OLDEST_PYTHON = "3.11"
WORKFLOW = ".github/workflows/leapcell.yml"
MONITOR = ".github/workflows/monitor.yml"

MANIFEST = """\
# What LeapCell does with this project. Written by `python oppman.py leapcell init`.
runtime: python
buildCommand: {install} && python oppman.py leapcell build --no-install
startCommand: python -m uvicorn main:app --host 0.0.0.0 --port {port}
port: {port}
memory: {memory}mb
"""

ENV_HEAD = """\
# The variables of this service on LeapCell: paste them into its environment in the dashboard, all 3 KB at most.
# They are secret; git does not see this file. Written by `python oppman.py leapcell init`.
"""


@dataclass(frozen=True, slots=True)
class Variable:
    """A value that only the dashboard shows, and its place there."""

    name: str
    where: str
    secret: bool = False


ASKED = (
    Variable("DATABASE_URL", "PostgreSQL, Connection", secret=True),
    Variable("S3_BUCKET", "Object Storage; empty for none"),
    Variable("S3_ACCESS_KEY", "Object Storage", secret=True),
    Variable("S3_SECRET_KEY", "Object Storage", secret=True),
    Variable("S3_CDN_URL", "Object Storage: its public address, bucket name included"),
    Variable("SUPERUSER_EMAIL", "the first superuser, who gets a generated password"),
    Variable("LEAPCELL_ASYNC_URL", "the service's async endpoint, https://NAME.leapcell-async.dev; empty for none"),
)
GENERATED = ("SECRET_KEY", "OPS_TOKEN")


@plain_command
def leapcell_init(
    database_url: Annotated[str | None, typer.Option(help="The database URL, as the dashboard shows it.")] = None,
    s3_bucket: Annotated[str | None, typer.Option(help="Bucket of the Object Storage.")] = None,
    s3_access_key: Annotated[str | None, typer.Option(help="Access key of the Object Storage.")] = None,
    s3_secret_key: Annotated[str | None, typer.Option(help="Secret key of the Object Storage.")] = None,
    s3_cdn_url: Annotated[str | None, typer.Option(help="Public address of the bucket.")] = None,
    superuser_email: Annotated[str | None, typer.Option(help="Email address of the first superuser.")] = None,
    leapcell_async_url: Annotated[str | None, typer.Option(help="Async endpoint of the service.")] = None,
    memory: Annotated[
        int, typer.Option(min=LEAPCELL_MIN_MEMORY, max=LEAPCELL_MAX_MEMORY, help="Memory of an instance in MB.")
    ] = MEMORY,
    *,
    github: Annotated[
        bool, typer.Option("--github", help=f"Write {WORKFLOW} too: check, test in the emulator, deploy.")
    ] = False,
    monitor: Annotated[
        bool, typer.Option("--monitor", help=f"Write {MONITOR} too: ask the site each quarter of an hour how it is.")
    ] = False,
    yes: YesOption = False,
    force: ForceOption = False,
) -> None:
    """Write leapcell.yaml, requirements.txt and .env.leapcell; ask for values that only the dashboard shows."""
    folder = Path.cwd()
    if not (folder / "main.py").is_file():
        raise ProjectError("There is no main.py here.", hint="Run the command in the folder of your project.")
    options = {
        "DATABASE_URL": database_url,
        "S3_BUCKET": s3_bucket,
        "S3_ACCESS_KEY": s3_access_key,
        "S3_SECRET_KEY": s3_secret_key,
        "S3_CDN_URL": s3_cdn_url,
        "SUPERUSER_EMAIL": superuser_email,
        "LEAPCELL_ASYNC_URL": leapcell_async_url,
    }
    given = {name: value for name, value in options.items() if value is not None}
    if not yes and not sys.stdin.isatty():
        fail("No terminal to ask on: add --yes, and pass known values as options.", status=EXIT_MISUSED)
    if mistake := _mistake("DATABASE_URL", given.get("DATABASE_URL", "")):
        fail(f"--database-url: {mistake}", status=EXIT_MISUSED)
    _, present = read_variables({}, env_file=folder / ENV_FILE)
    variables = complete(present | given, ask=not yes, asked=[each for each in ASKED if each.name not in given])
    hide_from_git(folder, ENV_FILE.name)
    requirements = prepare_requirements(folder, EMULATOR)
    install = install_line(both=len(requirements) > 1)
    files = [
        DeployFile("leapcell.yaml", MANIFEST.format(install=install, port=LEAPCELL_PORT, memory=memory)),
        *requirements,
        DeployFile(ENV_FILE.name, env_text(variables), SECRET),
    ]
    workflows = [WORKFLOW] * github + [MONITOR] * monitor
    files += [DeployFile(place, workflow_text(folder, place, install)) for place in workflows]
    left = write_files(folder, files, force=force, yes=yes)
    report_stale_commands(folder, requirements, left)
    _say_what_is_next(variables, [file.name for file in requirements], [WHEELS] if find_wheels(folder) else [])
    for place in workflows:
        say(f"  {place} lists at its top the variables and secrets that it needs.")


def workflow_text(folder: Path, place: str, install: str) -> str:
    """Return a workflow for a project.

    Parameters
    ----------
    install: the command that installs the requirements.
    """
    name = "workflow.yml" if place == WORKFLOW else "monitor.yml"
    text = resources.files("fastopp.features.leapcell").joinpath(name).read_text(encoding="utf-8")
    text = text.replace(install_line(both=False), install)
    text = text.replace(OLDEST_PYTHON, f"3.{max(11, allowed_minors(folder)[0])}")
    return text.replace(f"pip install {EMULATOR}", f"pip install {shlex.quote(tool_requirement(folder, EMULATOR))}")


def complete(present: Mapping[str, str], *, ask: bool, asked: list[Variable]) -> dict[str, str]:
    """All variables of the service: those that are known, those that were asked for, and generated secrets."""
    variables = {"FASTOPP_PLATFORM": LEAPCELL.name} | dict(present)
    for variable in asked if ask else ():
        variables[variable.name] = _ask(variable, variables.get(variable.name, ""))
    for name in GENERATED:
        # An existing one is kept: another SECRET_KEY would sign out all users and make backups unreadable.
        variables[name] = variables.get(name) or secrets.token_urlsafe(KEY_BYTES)
    return variables


def env_text(variables: Mapping[str, str]) -> str:
    """The content of .env.leapcell; what is not known yet is a comment that says where it is."""
    lines = [ENV_HEAD, f"FASTOPP_PLATFORM={_quoted(variables['FASTOPP_PLATFORM'])}"]
    lines += [f"{name}={_quoted(variables[name])}" for name in GENERATED]
    for variable in ASKED:
        value = variables.get(variable.name, "")
        lines.append(f"{variable.name}={_quoted(value)}" if value else f"# {variable.name}=  ({variable.where})")
    own = variables.keys() - {"FASTOPP_PLATFORM", *GENERATED, *(variable.name for variable in ASKED)}
    lines += [f"{name}={_quoted(variables[name])}" for name in sorted(own)]
    return "\n".join(lines) + "\n"


def _ask(variable: Variable, known: str) -> str:
    while True:
        keep = "; Enter keeps the current value" if known else ""
        text: str = typer.prompt(
            f"{variable.name} ({variable.where}{keep})", default=known, show_default=False, hide_input=variable.secret
        )
        value = text.strip()
        mistake = _mistake(variable.name, value)
        if not mistake:
            return value
        say(mistake, style="red")


def _mistake(name: str, value: str) -> str:
    """Return the mistake in a value, or nothing."""
    if "\n" in value or "'" in value:
        return "A line break or a single quote cannot be written into the file."
    if name == "DATABASE_URL" and value:
        try:
            if DatabaseURL.parse(value).backend == "sqlite":
                return "SQLite is not persistent there. Use a PostgreSQL."
        except DatabaseURLError as error:
            return str(error)
    return ""


def _quoted(value: str) -> str:
    """A value as python-dotenv reads it back; quoted only where it must be, since dashboards may take quotes along."""
    return value if re.fullmatch(r"[^\s#'\"`$\\]*", value) else f"'{value}'"


def _say_what_is_next(variables: Mapping[str, str], requirements: list[str], wheels: list[str]) -> None:
    say("Next:", style="green")
    if not variables.get("DATABASE_URL"):
        say("  Set DATABASE_URL in .env.leapcell: LeapCell's dashboard shows it.")
    say(f"  git add {' '.join(['leapcell.yaml', *requirements, *wheels])} && git commit, and push")
    say("  python oppman.py leapcell check --live")
    say("  In the dashboard: paste .env.leapcell into the service's environment, and deploy.")
