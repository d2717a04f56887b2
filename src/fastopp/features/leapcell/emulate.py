"""`oppman.py leapcell emulate` and `fastopp emulate`: the command of leapcell-emulator, with FastOpp's hints."""

from __future__ import annotations

import functools
from typing import Any

from fastopp.console.main_file import ProjectError
from fastopp.console.output import plain_command

try:
    from leapcell_emulator import command
except ModuleNotFoundError as error:
    if error.name != "leapcell_emulator":
        raise
    hint = 'Install it with: pip install "fastopp[emulator]"'
    raise ProjectError("The emulator is not installed.", hint=hint) from None


@functools.wraps(command.emulate)  # Typer takes the options from its signature
@plain_command
def emulate(**options: Any) -> None:  # noqa: ANN401 - each has its own type
    """Run the emulator, but for a FastOpp project without a leapcell.yaml name the command that writes one."""
    folder = options["folder"]
    if (folder / "oppman.py").is_file() and not (folder / "leapcell.yaml").is_file():
        hint = "Write one with: python oppman.py leapcell init"
        raise ProjectError(f"There is no leapcell.yaml in {folder.resolve()}.", hint=hint)
    command.emulate(**options)
