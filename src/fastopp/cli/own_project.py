"""Commands that make this repository a project of your own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fastopp.cli import clean as cleaning
from fastopp.cli import startapp
from fastopp.console.options import YesOption
from fastopp.console.output import command, confirm, fail, plain_command, say
from fastopp.errors import FastOppError


@command
async def start_app(name: Annotated[str, typer.Argument(help="Its import path, like `shop`.")]) -> None:
    """Create a new app that runs immediately: table, page, API, admin view, sample data, tests."""
    for path in startapp.start_app(Path.cwd(), name):
        say(f"  {path.relative_to(Path.cwd())}")
    say(f"The app {name} is in main.py. Next:", style="green")
    say(f'  python oppman.py migrate\n  python oppman.py makemigrations "Add {name}"\n  python oppman.py migrate')


@plain_command
def demo() -> None:
    """Print where to find the demo's commands."""
    say("The demo has its own commands: python oppdemo.py --help")


@plain_command
def clean(
    *,
    yes: YesOption = False,
    name: Annotated[str | None, typer.Option(help="Name of the project; prompted for without --yes.")] = None,
    author: Annotated[str | None, typer.Option(help="Author of the project; prompted for too.")] = None,
    description: Annotated[str | None, typer.Option(help="Description in one sentence; prompted for too.")] = None,
) -> None:
    """Turn this repository into your own project: the demo and FastOpp's own files move to backups/clean/."""
    names = cleaning.cleanable(Path.cwd())
    if not names:
        hint = "`python oppdemo.py destroy` removes the demo. The name and the description are in main.py."
        fail(FastOppError("Nothing to clean: FastOpp's own files are not here.", hint=hint))
    confirm(f"Move {', '.join(names)} to backups/clean? .git and your data stay.", yes=yes)

    def known(given: str | None, question: str, default: str) -> str:
        if given is not None:
            return given
        return default if yes else typer.prompt(question, default=default)

    folder = cleaning.clean(
        Path.cwd(),
        name=known(name, "Name of the project", "My project"),
        author=known(author, "Author", ""),
        description=known(description, "What it does, in a sentence", ""),
    )
    say(f"Moved everything to {folder.relative_to(Path.cwd())}.", style="green")
