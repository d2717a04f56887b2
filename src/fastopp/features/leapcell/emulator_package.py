"""The distribution leapcell-emulator, which is an extra: the answer where it is not installed."""

from __future__ import annotations

from pathlib import Path

from fastopp.console.main_file import ProjectError


def emulator_missing(error: ModuleNotFoundError) -> ModuleNotFoundError | ProjectError:
    """Return what to raise for a failed import: how to install the emulator, or the error if it is another's."""
    if error.name != "leapcell_emulator":
        return error
    if Path("script/emulator").is_file():  # a copy of FastOpp's repository
        hint = "Run ./script/emulator instead, which installs it and takes the same arguments."
    else:
        hint = 'Install it with: pip install "fastopp[emulator]"'
    return ProjectError("The emulator is not installed.", hint=hint)
