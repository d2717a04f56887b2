"""Options that several commands have."""

from __future__ import annotations

from typing import Annotated

import typer

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace existing files that have other content.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
