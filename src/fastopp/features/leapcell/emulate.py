"""`oppman.py leapcell emulate` and `fastopp emulate`: the command of leapcell-emulator, with FastOpp's hints."""

from __future__ import annotations

import functools
import secrets
from pathlib import Path
from typing import Any

from fastopp.console.main_file import ProjectError
from fastopp.console.output import error_console, plain_command
from fastopp.features.leapcell.emulator_package import emulator_missing
from fastopp.platforms.leapcell import LEAPCELL

try:
    from leapcell_emulator import command
    from leapcell_emulator.environment import ENV_FILE, read_env_file
except ModuleNotFoundError as error:
    raise emulator_missing(error) from None


@functools.wraps(command.emulate)  # Typer takes the options from its signature
@plain_command
def emulate(**options: Any) -> None:  # noqa: ANN401 - each has its own type
    """Run the emulator; for a FastOpp project, set what a clone lacks, and name the command for leapcell.yaml."""
    folder = options["folder"]
    if (folder / "oppman.py").is_file():
        if not (folder / "leapcell.yaml").is_file():
            hint = "Write one with: python oppman.py leapcell init"
            raise ProjectError(f"There is no leapcell.yaml in {folder.resolve()}.", hint=hint)
        options["env"] = [*(options["env"] or []), *_missing(folder, options["env"] or [], options["env_file"])]
    command.emulate(**options)


def _missing(folder: Path, pairs: list[str], env_file: Path | None) -> list[str]:
    """Return what a clone lacks, as `NAME=VALUE` for this run: .env.leapcell, which git ignores, sets both."""
    file = env_file or folder / ENV_FILE
    given = {pair.partition("=")[0] for pair in pairs} | (read_env_file(file).keys() if file.is_file() else set())
    values = {"SECRET_KEY": secrets.token_urlsafe(32), "FASTOPP_PLATFORM": LEAPCELL.name}
    values = {name: value for name, value in values.items() if name not in given}
    for name in values:
        used = "a new one" if name == "SECRET_KEY" else LEAPCELL.name
        error_console.print(f"{name} is not set: {used} is used for this run.")  # standard output is that of --exec
    return [f"{name}={value}" for name, value in values.items()]
