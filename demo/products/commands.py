"""Products: the demo's catalogue."""

from __future__ import annotations

import typer

from fastopp.features.setup.step_command import step_command

app = typer.Typer()
app.command("products")(step_command("products", "Add the sample products."))
