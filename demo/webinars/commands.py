"""Webinars: the demo's registrants and their photos."""

from __future__ import annotations

import typer

from fastopp.console.options import YesOption
from fastopp.console.output import command, confirm
from fastopp.features.setup.step_command import run_seed_step, step_command

app = typer.Typer()
app.command("webinars")(step_command("webinars", "Add the registrants of the sample webinars."))
app.command("download_photos")(step_command("photos", "Copy the demo's sample photos into the storage."))
app.command("registrants")(step_command("registrants", "Add the sample registrants with photos."))


@app.command("clear_registrants")
@command
async def clear_registrants(*, yes: YesOption = False) -> None:
    """Delete all registrants with their photos, then add the sample ones again."""
    confirm("Delete all registrants and their photos?", yes=yes)
    await run_seed_step("clear_registrants")
