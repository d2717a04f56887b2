"""`python oppdemo.py`: the demo, its data, and the project without it."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

import typer

from fastopp.console.lazy import lazy_app
from fastopp.console.main_file import project_apps
from fastopp.console.output import fail, run_program, say
from fastopp.core.apps import App
from fastopp.errors import FastOppError

if TYPE_CHECKING:
    from fastopp.core.application import FastOpp
    from fastopp.features.setup.seeding import InitReport

COMMANDS = {
    "init": (
        "fastopp.features.setup.commands:init",
        "Migrate, and create the first superuser, test users and sample data. Running it again changes nothing.",
    ),
    "db": ("fastopp.features.setup.commands:db", "Run all pending migrations."),
    "superuser": ("fastopp.features.setup.commands:superuser", "Create the first superuser."),
    "save": ("fastopp.features.setup.commands:save", "Copy the demo as it is now to backups/save/."),
    "destroy": (
        "fastopp.features.setup.commands:destroy",
        "Turn this into a project without the demo. Makes a backup; keeps uploads, data and other apps.",
    ),
    "restore": ("fastopp.features.setup.commands:restore", "Restore the demo from its newest backup."),
    "diff": (
        "fastopp.features.setup.commands:diff",
        "Show changes in the demo since its newest backup; ends with status 1 if there are any.",
    ),
    "backups": ("fastopp.features.setup.commands:backups", "List the backups that these commands made, newest first."),
    "check_users": (
        "fastopp.features.accounts.commands:check_users",
        "Count the accounts; fails if no superuser can sign in.",
    ),
    "test_auth": (
        "fastopp.features.accounts.commands:test_auth",
        "Create and verify a token for an account that can sign in. It has no session, so it opens nothing.",
    ),
    "change_password": (
        "fastopp.features.accounts.commands:change_password",
        "Set a new password for an account. Prompts for the password without showing it.",
    ),
    "list_users": ("fastopp.features.accounts.commands:list_users", "List all accounts with their permissions."),
}


def program(apps: Iterable[App] = ()) -> typer.Typer:
    """Return the program with its own commands and those of the demo's apps."""
    made = lazy_app(
        COMMANDS,
        name="oppdemo.py",
        help="Manage the demo of FastOpp and its data.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_show_locals=False,
    )
    for module in filter(None, (each.part("commands", "app", typer.Typer) for each in apps)):
        made.add_typer(module.app)
    made.command("help", hidden=True)(show_help)
    return made


async def run_full_init(project: FastOpp | None = None) -> InitReport:
    """Migrate, make the first superuser and the demo data; what is there stays. For programs.

    `project` is the FastOpp application of main.py in the current folder by default.
    """
    from fastopp.features.setup import commands as demo_commands  # noqa: PLC0415 - imports SQLAlchemy

    return await demo_commands.run_full_init(project)


def show_help(context: typer.Context) -> None:
    """Show this help."""
    say((context.parent or context).get_help())


app = program()


def main() -> None:
    """Run the command line."""
    try:
        run = program(app for app in project_apps() if app.package.startswith("demo."))
    except FastOppError as error:
        wanted = next((word for word in sys.argv[1:] if not word.startswith("-")), None)
        if wanted not in (None, "help", *COMMANDS):
            fail(error)  # it may be a command of the demo
        run = app
    run_program(run)
