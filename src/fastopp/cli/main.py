"""`fastopp`: what can be done outside a project. Inside one, `oppman.py` and `oppdemo.py` take over."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import Annotated

import typer

from fastopp.cli.startproject import start_project
from fastopp.console.lazy import lazy_app
from fastopp.console.output import plain_command, say
from fastopp.console.platform_commands import commands_for_any_project

app = lazy_app(
    commands_for_any_project(),  # projects of other frameworks have no oppman.py
    name="fastopp",
    help="Start a FastOpp project, or run any project under a platform's rules.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
)


@app.command()
@plain_command
def startproject(
    folder: Annotated[
        Path, typer.Argument(help="Folder of the project; created if it does not exist. Default: the current folder.")
    ] = Path(),
) -> None:
    """Create a project with its demo. Never overwrites a file that has other content."""
    started = start_project(folder)
    where = "this folder" if folder == Path() else str(folder)
    say(f"Wrote {len(started.written)} files to {where}. Next:", style="green")
    steps = [] if folder == Path() else [f"cd {folder}"]
    steps += started.left_to_do
    steps += ["python oppdemo.py init", "python oppman.py runserver"]
    for step in steps:
        say(f"  {step}")


@app.command()
@plain_command
def adopt(
    old: Annotated[Path, typer.Argument(help="Folder of the FastOpp 0.4.8 project; it is not changed.")],
    new: Annotated[
        Path | None, typer.Argument(help="Folder of the new project. Default: beside the old one, with `-adopted`.")
    ] = None,
    app: Annotated[
        str | None, typer.Option(help="Name of the app with the project's code. Default: the old folder's name.")
    ] = None,
) -> None:
    """Write today's form of a FastOpp 0.4.8 project beside it, with its data. Never overwrites a file."""
    from fastopp.cli.adopt.project import adopt as adopt_project  # noqa: PLC0415 - loaded only when used

    target = new or old.resolve().with_name(f"{old.resolve().name}-adopted")
    report = adopt_project(old, target, app=app)
    for line in report.done:
        say(f"  {line}")
    for place in report.places():
        say(f"{place}", style="yellow")
    say(f"The new project is in {target}. Next:", style="green")
    say(f"  cd {target}\n  python oppman.py migrate check\n  python oppman.py runserver")


@app.command()
def version() -> None:
    """Print the version of FastOpp."""
    say(metadata.version("fastopp"))


def main() -> None:
    """Run the command line."""
    app()


def startproject_main() -> None:
    """Run `fastopp startproject` under its name of FastOpp 0.4.8, `fastopp-startproject`."""
    typer.run(startproject)


if __name__ == "__main__":
    main()
