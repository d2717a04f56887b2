"""`python oppman.py`: everything about a project but its demo."""

from __future__ import annotations

import sys
from collections.abc import Mapping

import typer

from fastopp.console.lazy import Place, lazy_app
from fastopp.console.main_file import project_commands
from fastopp.console.output import fail, run_program, say
from fastopp.console.platform_commands import platform_commands
from fastopp.errors import FastOppError

COMMANDS: dict[str, Place] = {
    "runserver": (
        "fastopp.cli.server:runserver",
        "Serve the project on this machine, and restart when a file changes.",
    ),
    "stopserver": (
        "fastopp.cli.server:stopserver",
        "Stop the server that runserver or production started in this folder.",
    ),
    "production": (
        "fastopp.cli.server:production",
        "Serve the project as in production: no reload, on all addresses, with proxy headers.",
    ),
    "compile": (
        "fastopp.cli.server:compile_ahead",
        "Compile CSS, byte code and templates, for a build whose disk is read-only later.",
    ),
    "css": (
        "fastopp.features.css.commands:css",
        "Compile the CSS classes that the project's templates use to static/app.css, with Tailwind and daisyUI.",
    ),
    "worker": (
        "fastopp.features.jobs.worker_command:worker",
        "Run queued tasks until SIGTERM or Ctrl+C. Running tasks get time to finish, then return to the queue.",
    ),
    "shell": (
        "fastopp.features.shell.commands:shell",
        "Open Python with the models, a session and the settings at hand. `await` works.",
    ),
    "run": (
        "fastopp.features.shell.commands:run",
        "Run a Python file with the names of `shell`, in one transaction that is committed at its end.",
    ),
    "dbshell": (
        "fastopp.features.shell.commands:dbshell",
        "Open the database's own shell: sqlite3 or psql, whichever fits DATABASE_URL.",
    ),
    "backup": (
        "fastopp.features.database_backups.local:backup",
        "Back up the database while it is in use, to a portable file, or to a copy next to a SQLite database.",
    ),
    "restore": (
        "fastopp.features.database_backups.local:restore",
        "Restore a backup into an empty database, SQLite or PostgreSQL; either everything or nothing.",
    ),
    "delete": (
        "fastopp.features.database_backups.local:delete",
        "Delete the SQLite database after making a backup. Keeps the migrations.",
    ),
    "makemigrations": (
        "fastopp.features.migrations.commands:makemigrations",
        "Write a migration for changes in the models. Columns and tables that are not in the models are kept.",
    ),
    "sqlmigrate": (
        "fastopp.features.migrations.commands:sqlmigrate",
        "Print the SQL of a migration without running it.",
    ),
    "showmigrations": (
        "fastopp.features.migrations.commands:showmigrations",
        "List the migrations and mark the applied ones.",
    ),
    "superuser": ("fastopp.features.setup.commands:superuser", "Create the first superuser."),
    "check_users": (
        "fastopp.features.accounts.commands:check_users",
        "Count the accounts; fails if no superuser can sign in.",
    ),
    "list_users": ("fastopp.features.accounts.commands:list_users", "List all accounts with their permissions."),
    "test_auth": (
        "fastopp.features.accounts.commands:test_auth",
        "Create and verify a token for an account that can sign in. It has no session, so it opens nothing.",
    ),
    "change_password": (
        "fastopp.features.accounts.commands:change_password",
        "Set a new password for an account. Prompts for the password without showing it.",
    ),
    "user": (
        "fastopp.features.accounts.user_commands:app",
        "Manage accounts, their sessions and their API tokens.",
    ),
    "emergency": (
        "fastopp.features.configuration.commands:emergency",
        "Print the token for /oppman/emergency, and how to use it.",
    ),
    "startapp": (
        "fastopp.cli.own_project:start_app",
        "Create a new app that runs immediately: table, page, API, admin view, sample data, tests.",
    ),
    "secrets": (
        "fastopp.features.configuration.commands:secrets",
        "Generate a SECRET_KEY and an OPS_TOKEN and print them. Writes nothing.",
    ),
    "env": (
        "fastopp.features.configuration.commands:env",
        "Show the platform, how it was detected, and every setting with secrets masked. Status 2 if any is invalid.",
    ),
    "settings": (
        "fastopp.features.configuration.commands:settings",
        "Print all settings with defaults and meanings, as the Markdown table of docs/settings.md.",
    ),
    "check": (
        "fastopp.cli.check:check",
        "Check the settings and migrations and, with --live, the database and storage that they name.",
    ),
    "cost": (
        "fastopp.features.leapcell.estimates:cost",
        "Estimate what traffic costs a month in each place, and what to change first.",
    ),
    "capacity": (
        "fastopp.features.leapcell.estimates:capacity",
        "Simulate the site under load: what breaks first, in one region or three, and which sizes avoid it.",
    ),
    "release": (
        "fastopp.features.deployment.release_command:release",
        "Print the id of this code, which a build gives to the release and `/health` shows.",
    ),
    "demo": ("fastopp.cli.own_project:demo", "Print where to find the demo's commands."),
    "clean": (
        "fastopp.cli.own_project:clean",
        "Turn this repository into your own project: the demo and FastOpp's own files move to backups/clean/.",
    ),
    "db": (
        "fastopp.features.database_backups.commands:app",
        "Create or update the tables, like `migrate upgrade`. Subcommands manage backups and indexes.",
    ),
    "migrate": (
        "fastopp.features.migrations.commands:app",
        "Manage migrations. Without a subcommand: upgrade.",
    ),
    "files": (
        "fastopp.features.files.commands:app",
        "Back up, restore and compare uploaded files.",
    ),
    "static": (
        "fastopp.features.static_files.commands:app",
        "Static files at a CDN: put them there, and check that they are there.",
    ),
    "remote": (
        "fastopp.cli.remote:app",
        "Manage a deployed project without a shell: state, migrations, data, backups, tasks, errors, slow queries.",
    ),
    "tasks": ("fastopp.features.jobs.commands:app", "Manage tasks: list, run, cancel and retry them."),
    "alerts": (
        "fastopp.features.alerts.commands:app",
        "Alerts: list incidents and rules, and send a test message.",
    ),
    "errors": (
        "fastopp.features.errors.commands:app",
        "Errors that were recorded: list, show, resolve and ignore them.",
    ),
    "cache": ("fastopp.features.cache.commands:app", "The cache: remove what was cached."),
    "mail": ("fastopp.features.mail.commands:app", "Mail: send a test, and list what was sent."),
} | platform_commands()


def program(commands: Mapping[str, Place] = COMMANDS) -> typer.Typer:
    """Return the program with these commands."""
    made = lazy_app(
        commands,
        name="oppman.py",
        help="Manage a FastOpp project: server, database, migrations, accounts, configuration.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_show_locals=False,
    )
    made.command("help", hidden=True)(show_help)
    return made


def show_help(context: typer.Context) -> None:
    """Show this help."""
    say((context.parent or context).get_help())


app = program()


async def migrate_leapcell() -> None:
    """Migrate in the time that a request has. For programs; a command below `oppman.py migrate` does the same."""
    from fastopp.features.migrations.commands import upgrade_within_request  # noqa: PLC0415 - imports Alembic
    from fastopp.settings import load_settings  # noqa: PLC0415 - imports Pydantic

    await upgrade_within_request(load_settings())


def main() -> None:
    """Run the command line: the framework's commands, and those of the project's apps."""
    try:
        added = {name: place for name, place in project_commands().items() if name not in COMMANDS}
    except FastOppError as error:
        wanted = next((word for word in sys.argv[1:] if not word.startswith("-")), None)
        if wanted not in (None, "help", *COMMANDS):
            fail(error)  # it may be a command of an app
        added = {}
    run_program(program(COMMANDS | added))
