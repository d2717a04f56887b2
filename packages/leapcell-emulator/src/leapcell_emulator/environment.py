"""The service's environment variables, as LeapCell's dashboard holds them."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from leapcell_emulator.errors import BadRequest
from leapcell_emulator.events import Journal
from leapcell_emulator.rule import format_size

ENV_FILE: Final = ".env.leapcell"
"""The file with the service's variables that is read if it exists."""

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


# What the programs that the emulator itself starts get of the developer's variables: no secret, and nothing like PGPORT
# or RCLONE_CONFIG that would change what they do.
_MACHINE: Final = ("HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "LOGNAME", "PATH", "TMPDIR", "TZ", "USER")


def machine_environment() -> dict[str, str]:
    """Return the variables for a service, a probe or git."""
    return {name: os.environ[name] for name in _MACHINE if name in os.environ}


class EnvironmentRefused(BadRequest):
    """LeapCell would not take this environment."""


def read_env_file(path: Path | None) -> dict[str, str]:
    """The variables in a `.env` file that have a value. Raises `EnvironmentRefused` when it cannot be read."""
    from dotenv import dotenv_values  # noqa: PLC0415 - not every run has a file

    if path is None:
        return {}
    try:
        with path.open(encoding="utf-8") as file:
            values = dotenv_values(stream=file, interpolate=False)
    except (OSError, UnicodeDecodeError) as error:
        raise EnvironmentRefused(f"The file {path} cannot be read: {error}.") from error
    return {name: value for name, value in values.items() if value}


def check_environment(variables: Mapping[str, str], journal: Journal) -> None:
    """Raises `EnvironmentRefused` for what no process can have, and for more than LeapCell allows (E11)."""
    for name, value in variables.items():
        if not _NAME.fullmatch(name) or "\0" in value:
            raise EnvironmentRefused(f"{name!r} cannot be an environment variable.")
    size = sum(len(name.encode()) + len(value.encode()) for name, value in variables.items())
    limit = journal.rules.max_environment
    if limit and size > limit:
        event = journal.fire("max_environment", level="error", found=format_size(size))
        raise EnvironmentRefused(event.message, hint=f"See {event.source}. Largest: {_largest(variables)}.")


def _largest(variables: Mapping[str, str]) -> str:
    """The three largest variables, by name and size: never a value."""
    ordered = sorted(variables, key=lambda name: -len(variables[name]))[:3]
    return ", ".join(f"{name} ({format_size(len(variables[name].encode()))})" for name in ordered)
