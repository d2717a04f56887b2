"""The common data of instances: of all, and of those of one deployment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from leapcell_emulator.events import Journal
from leapcell_emulator.image import Image
from leapcell_emulator.manifest import Manifest
from leapcell_emulator.rules import Rules
from leapcell_emulator.sandbox import Sandbox


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """The common data of all instances of one deployment."""

    number: int
    image: Image
    manifest: Manifest
    variables: dict[str, str]
    """The service's environment, as the dashboard holds it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """The common data of all instances."""

    rules: Rules
    sandbox: Sandbox
    journal: Journal
    folder: Path
    """Holds a folder for each instance."""
    on_line: Callable[[str, str], None]
    """Hears the name of an instance and a line of its log."""
