"""`python oppman.py`: everything about a project but its demo."""

from __future__ import annotations

import typer

from fastopp.cli.lazy import lazy_app
from fastopp.console.output import run_program, say

COMMANDS = {
    "runserver": (
        "fastopp.cli.server:runserver",
        "Serve the project on this machine and restart it when a file changes.",
    ),
    "stopserver": (
        "fastopp.cli.server:stopserver",
        "Stop the server that runserver or production started in this folder.",
    ),
    "production": (
        "fastopp.cli.server:production",
        "Serve the project as a platform would: no reload, on every address, proxy headers honoured.",
    ),
    "compile": (
        "fastopp.cli.server:compile_ahead",
        "Compile byte code and templates, as a build does for a disk that cannot be written to later.",
    ),
    "worker": (
        "fastopp.features.jobs.worker_command:worker",
        "Work tasks until it is told to stop (SIGTERM, Ctrl+C). The task in hand gets its time, then it is put back.",
    ),
    "backup": (
        "fastopp.features.database_backups.local:backup",
        "Back the database up while it is in use: a portable file, or a copy beside a SQLite database.",
    ),
    "restore": (
        "fastopp.features.database_backups.local:restore",
        "Bring a backup back into an empty database, SQLite or PostgreSQL; all of it or nothing.",
    ),
    "delete": (
        "fastopp.features.database_backups.local:delete",
        "Delete the SQLite database after making a backup. Migrations stay.",
    ),
    "makemigrations": (
        "fastopp.features.migrations.commands:makemigrations",
        "Write a migration for what changed in the models. What they do not know stays in the database.",
    ),
    "sqlmigrate": (
        "fastopp.features.migrations.commands:sqlmigrate",
        "Print the SQL of a migration without running it.",
    ),
    "showmigrations": (
        "fastopp.features.migrations.commands:showmigrations",
        "List the migrations and mark those that the database has.",
    ),
    "superuser": ("fastopp.features.setup.commands:superuser", "Make the first superuser."),
    "check_users": (
        "fastopp.features.accounts.commands:check_users",
        "Count the accounts; fails when nobody could sign in.",
    ),
    "list_users": ("fastopp.features.accounts.commands:list_users", "List every account with its rights."),
    "test_auth": (
        "fastopp.features.accounts.commands:test_auth",
        "Make and read a token for an account that can sign in, as a request would.",
    ),
    "change_password": (
        "fastopp.features.accounts.commands:change_password",
        "Set a new password for an account. The password is asked for, never shown.",
    ),
    "emergency": (
        "fastopp.cli.configuration:emergency",
        "Print the token for /oppman/emergency, and what to do with it.",
    ),
    "startapp": (
        "fastopp.cli.own_project:start_app",
        "Make a new app: table, page, API, admin view, sample data; it runs at once.",
    ),
    "secrets": (
        "fastopp.cli.configuration:secrets",
        "Generate a SECRET_KEY and an OPS_TOKEN to set; nothing is written.",
    ),
    "env": (
        "fastopp.cli.configuration:env",
        "Show the platform, how it was detected, and every setting with secrets masked. Status 2 if any is wrong.",
    ),
    "settings": (
        "fastopp.cli.configuration:settings",
        "Print every setting with its default and meaning, as the Markdown table of docs/settings.md.",
    ),
    "check": (
        "fastopp.cli.check:check",
        "Look for mistakes in the settings, the migrations and, with --live, in what they lead to.",
    ),
    "demo": ("fastopp.cli.own_project:demo", "Say where the commands of the demo are."),
    "clean": (
        "fastopp.cli.own_project:clean",
        "Make this repository your own project: the demo and FastOpp's own files move to backups/clean/.",
    ),
    "db": (
        "fastopp.features.database_backups.commands:app",
        "Make the tables, or bring them up to date: the same as `migrate upgrade`. Below it: backups.",
    ),
    "migrate": (
        "fastopp.features.migrations.commands:app",
        "Change the tables, step by step. Without a subcommand: upgrade.",
    ),
    "files": (
        "fastopp.features.files.commands:app",
        "Uploaded files: to the Object Storage, back, and whether both are the same.",
    ),
    "leapcell": ("fastopp.cli.leapcell:app", "LeapCell: get ready for it, check and build for it."),
    "fly": ("fastopp.cli.fly:app", "Fly.io: get ready for it."),
    "remote": (
        "fastopp.cli.remote:app",
        "A deployed project: its state, migrations, sample data, backups and tasks, without a shell.",
    ),
    "tasks": ("fastopp.features.jobs.commands:app", "Tasks: what waits, runs and failed; cancel, retry, work them."),
}

app = lazy_app(
    COMMANDS,
    name="oppman.py",
    help="Manage a FastOpp project: server, database, migrations, accounts, configuration.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
)


async def migrate_leapcell() -> None:
    """Run the migrations the way LeapCell needs it. For programs; `oppman.py migrate leapcell` is the command."""
    from fastopp.features.migrations.commands import run_migrate_leapcell  # noqa: PLC0415 - imports Alembic
    from fastopp.settings import load_settings  # noqa: PLC0415 - imports Pydantic

    await run_migrate_leapcell(load_settings())


@app.command("help", hidden=True)
def show_help(context: typer.Context) -> None:
    """Show this help."""
    say((context.parent or context).get_help())


def main() -> None:
    """Run the command line."""
    run_program(app)
