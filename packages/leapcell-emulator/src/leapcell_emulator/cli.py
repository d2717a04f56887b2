"""`leapcell`: the emulator's program."""

from __future__ import annotations

from typing import Annotated

import typer

from leapcell_emulator import __version__
from leapcell_emulator.capacity.command import capacity
from leapcell_emulator.command import emulate
from leapcell_emulator.cost.command import cost

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_show_locals=False)
app.command("emulate")(emulate)
app.command("cost")(cost)
app.command("capacity")(capacity)


def _print_version(*, wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def leapcell(
    *,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """LeapCell on your own machine: run any project under its rules before you deploy it."""


def main() -> None:
    """Run the command line."""
    app()
