"""`oppman.py release`: the id that a build gives to this code."""

from __future__ import annotations

from pathlib import Path

from fastopp.console.main_file import ProjectError
from fastopp.console.output import console, plain_command
from fastopp.core.release_id import content_id


@plain_command
def release() -> None:
    """Print the id of this code, which a build gives to the release and `/health` shows."""
    if not Path("main.py").is_file():
        raise ProjectError("There is no main.py here.", hint="Run the command in the folder of your project.")
    console.print(content_id(Path.cwd()), markup=False, highlight=False)
