"""Users: the demo's accounts."""

from __future__ import annotations

import typer

from fastopp.features.setup.step_command import step_command

app = typer.Typer()
app.command("users")(step_command("users", "Create the test users, on your own machine only."))
