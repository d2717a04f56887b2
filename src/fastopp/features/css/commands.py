"""`oppman.py css`: compile the CSS of the project."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Annotated

import typer

from fastopp.console.main_file import find_project_apps
from fastopp.console.output import plain_command, say
from fastopp.features.css.compiling import compile_project
from fastopp.features.css.watching import watch


@plain_command
def css(
    *, watching: Annotated[bool, typer.Option("--watch", help="Compile again when a template changes.")] = False
) -> None:
    """Compile the CSS classes that the project's templates use to static/app.css, with Tailwind and daisyUI."""
    output = compile_project(Path.cwd(), find_project_apps())
    say(f"Wrote {output.relative_to(Path.cwd())}, {output.stat().st_size // 1000} kB.")
    if watching:
        say("Waiting for changes; Ctrl+C ends it.")
        watch(Path.cwd(), threading.Event())
