"""The commands of `python oppdemo.py`: the demo's data, and the project without it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fastopp.console.options import JsonOption, YesOption
from fastopp.console.output import command, confirm, emit_json, plain_command, print_table, say
from fastopp.console.project import Project, load_project
from fastopp.core.runtime import Runtime, open_runtime
from fastopp.database.migrations import migrate
from fastopp.features.accounts import service as accounts
from fastopp.features.setup import demo_mode
from fastopp.features.setup.seeding import InitReport
from fastopp.features.setup.seeding import run_full_init as run_seeding
from fastopp.features.setup.step_command import show, step_command


async def run_full_init(project: Project | None = None) -> InitReport:
    """See `fastopp.cli.oppdemo.run_full_init`."""
    project = project or load_project()
    async with open_runtime(project.settings, project.apps) as runtime:
        return await run_seeding(runtime)


@command
async def init(
    *,
    if_empty: Annotated[bool, typer.Option(help="Do nothing if there are accounts.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Migrate, and create the first superuser, test users and sample data. Running it again changes nothing."""
    project = load_project()
    async with open_runtime(project.settings, project.apps) as runtime:
        if if_empty and await _has_accounts(runtime):
            return
        report = await run_seeding(runtime, progress=None if as_json else show)
    if as_json:
        results = [outcome.as_json() for outcome in report.results]
        emit_json({"success": report.success, "message": report.message, "results": results})
    else:
        say(report.message)
    if report.generated_password:
        say(f"Password of the superuser, shown this once: {report.generated_password}")
    if not report.success:
        raise typer.Exit(1)


async def _has_accounts(runtime: Runtime) -> bool:
    async with runtime.database.read() as session:
        if await migrate.current_revision(session) is None:
            return False
        return bool(await accounts.list_users(session, limit=1))


db = step_command("db", "Run all pending migrations.")
superuser = step_command("superuser", "Create the first superuser.")


@plain_command
def save() -> None:
    """Copy the demo as it is now to backups/save/."""
    backup = demo_mode.save(Path.cwd())
    say(f"Saved {backup.files} files to {backup.folder.relative_to(Path.cwd())}.")


@plain_command
def destroy(*, yes: YesOption = False) -> None:
    """Turn this into a project without the demo. Makes a backup; keeps uploads, data and other apps."""
    confirm("Move the demo away? Its folder goes to backups/destroy; uploads, data and other apps stay.", yes=yes)
    backup = demo_mode.destroy(Path.cwd())
    say(f"The demo was moved to {backup.folder.relative_to(Path.cwd())}.", style="green")
    say("Its tables and rows are still in the database. Restore the demo with `python oppdemo.py restore`.")


@plain_command
def restore() -> None:
    """Restore the demo from its newest backup."""
    backup = demo_mode.restore(Path.cwd())
    say(f"The demo is back, from {backup.folder.relative_to(Path.cwd())}.", style="green")


@plain_command
def diff(*, as_json: JsonOption = False) -> None:
    """Show changes in the demo since its newest backup; ends with status 1 if there are any."""
    backup, differences = demo_mode.diff(Path.cwd())
    if as_json:
        emit_json([{"kind": d.kind, "path": d.path} for d in differences])
    elif differences:
        print_table(["Change", "File"], [[d.kind, d.path] for d in differences])
    else:
        say(f"The demo is as in {backup.folder.relative_to(Path.cwd())}.")
    if differences:
        raise typer.Exit(1)


@plain_command
def backups(*, as_json: JsonOption = False) -> None:
    """List the backups that these commands made, newest first."""
    found = demo_mode.list_backups(Path.cwd())
    if as_json:
        emit_json([{"operation": b.operation, "folder": str(b.folder), "files": b.files} for b in found])
    elif not found:
        say("There are no backups.")
    else:
        rows = [[b.operation, str(b.folder.relative_to(Path.cwd())), str(b.files)] for b in found]
        print_table(["Operation", "Folder", "Files"], rows)
