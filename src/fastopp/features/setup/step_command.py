"""Commands that run one seed step. What a step needs is imported when one runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import typer

from fastopp.console.output import command, say

if TYPE_CHECKING:
    from fastopp.features.setup.seeding import StepOutcome


def step_command(name: str, title: str) -> Callable[..., None]:
    """Return a command that runs the seed step of that name."""

    @command
    async def run() -> None:
        await run_seed_step(name)

    run.__doc__ = title
    return run


async def run_seed_step(name: str) -> None:
    """Run a seed step of the project in the current folder; its failure ends the command with status 1."""
    from fastopp.console.project import load_project  # noqa: PLC0415 - imports pydantic
    from fastopp.core.runtime import open_runtime  # noqa: PLC0415 - imports SQLAlchemy
    from fastopp.features.setup.seeding import run_step  # noqa: PLC0415 - as above

    project = load_project()
    async with open_runtime(project.settings, project.apps) as runtime:
        outcome = await run_step(runtime, name)
    show(outcome)
    if outcome.generated_password:
        say(f"Password of the superuser, shown this once: {outcome.generated_password}")
    if outcome.status == "error":
        raise typer.Exit(1)


def show(outcome: StepOutcome) -> None:
    """Print how a step ended."""
    if outcome.status == "running":
        return
    style = {"success": "green", "skipped": "yellow", "error": "red"}[outcome.status]
    say(f"{outcome.status:8} {outcome.step}: {outcome.message}", style=style)
