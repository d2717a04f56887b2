"""`python oppman.py`: everything about a project but its demo."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from fastopp.cli import clean as cleaning
from fastopp.cli import configuration, database, files, migrations, server, startapp, users
from fastopp.cli.console import command, confirm, fail, plain_command, say
from fastopp.cli.migrations import run_migrate_leapcell
from fastopp.cli.oppdemo import YesOption, step_command
from fastopp.settings import load_settings

app = typer.Typer(
    name="oppman.py",
    help="Manage a FastOpp project: server, database, migrations, accounts, configuration.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
)


async def migrate_leapcell() -> None:
    """Run the migrations the way LeapCell needs it. For programs; `oppman.py migrate leapcell` is the command."""
    await run_migrate_leapcell(load_settings())


@command
async def start_app(name: Annotated[str, typer.Argument(help="Its import path, like `shop`.")]) -> None:
    """Make a new app: table, page, API, admin view, sample data; it runs at once."""
    for path in startapp.start_app(Path.cwd(), name):
        say(f"  {path.relative_to(Path.cwd())}")
    say(f"The app {name} is in main.py. Next:", style="green")
    say(f'  python oppman.py migrate\n  python oppman.py makemigrations "Add {name}"\n  python oppman.py migrate')


@plain_command
def demo() -> None:
    """Say where the commands of the demo are."""
    say("The demo has its own commands: python oppdemo.py --help")


@plain_command
def clean(
    *,
    yes: YesOption = False,
    name: Annotated[str, typer.Option(prompt="Name of the project")] = "My project",
    author: Annotated[str, typer.Option(prompt="Author")] = "",
    description: Annotated[str, typer.Option(prompt="What it does, in a sentence")] = "",
) -> None:
    """Make this repository your own project: the demo and FastOpp's own files move to backups/clean/."""
    names = cleaning.cleanable(Path.cwd())
    if not names:
        fail("There is nothing to clean: README.md is the project's own already.")
    confirm(f"Move {', '.join(names)} to backups/clean? .git and your data stay.", yes=yes)
    folder = cleaning.clean(Path.cwd(), name=name, author=author, description=description)
    say(f"Everything was moved to {folder.relative_to(Path.cwd())}.", style="green")


COMMANDS: dict[str, Callable[..., None]] = {
    "runserver": server.runserver,
    "stopserver": server.stopserver,
    "production": server.production,
    "compile": server.compile_ahead,
    "db": database.db,
    "backup": database.backup,
    "restore": database.restore,
    "delete": database.delete,
    "makemigrations": migrations.makemigrations,
    "sqlmigrate": migrations.sqlmigrate,
    "showmigrations": migrations.showmigrations,
    "superuser": step_command("superuser", "Make the first superuser."),
    "check_users": users.check_users,
    "list_users": users.list_users,
    "test_auth": users.test_auth,
    "change_password": users.change_password,
    "emergency": configuration.emergency,
    "startapp": start_app,
    "secrets": configuration.secrets,
    "env": configuration.env,
    "settings": configuration.settings,
    "demo": demo,
    "clean": clean,
}
for _name, _function in COMMANDS.items():
    app.command(_name)(_function)
app.add_typer(migrations.app, name="migrate")
app.add_typer(files.app, name="files")


@app.command("help", hidden=True)
def show_help(context: typer.Context) -> None:
    """Show this help."""
    say((context.parent or context).get_help())


def main() -> None:
    """Run the command line."""
    app()
