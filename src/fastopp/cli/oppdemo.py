"""`python oppdemo.py`: the demo, its data, and the project without it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from fastopp.console.lazy import lazy_app
from fastopp.console.output import run_program, say

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
    "users": ("fastopp.features.setup.commands:test_users", "Create the test users, on your own machine only."),
    "products": ("fastopp.features.setup.commands:products", "Add the sample products."),
    "webinars": ("fastopp.features.setup.commands:webinars", "Add the registrants of the sample webinars."),
    "download_photos": (
        "fastopp.features.setup.commands:photos",
        "Copy the demo's sample photos into the storage.",
    ),
    "registrants": ("fastopp.features.setup.commands:registrants", "Add the sample registrants with photos."),
    "clear_registrants": (
        "fastopp.features.setup.commands:clear_registrants",
        "Delete all registrants with their photos, then add the sample ones again.",
    ),
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
        "Create and verify a token for an account that can sign in.",
    ),
    "change_password": (
        "fastopp.features.accounts.commands:change_password",
        "Set a new password for an account. Prompts for the password without showing it.",
    ),
    "list_users": ("fastopp.features.accounts.commands:list_users", "List all accounts with their permissions."),
}

app = lazy_app(
    COMMANDS,
    name="oppdemo.py",
    help="Manage the demo of FastOpp and its data.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
)


async def run_full_init(project: FastOpp | None = None) -> InitReport:
    """Migrate, make the first superuser and the demo data; what is there stays. For programs.

    `project` is the FastOpp application of main.py in the current folder by default.
    """
    from fastopp.features.setup import commands as demo_commands  # noqa: PLC0415 - imports SQLAlchemy

    return await demo_commands.run_full_init(project)


@app.command("help", hidden=True)
def show_help(context: typer.Context) -> None:
    """Show this help."""
    say((context.parent or context).get_help())


def main() -> None:
    """Run the command line."""
    run_program(app)
