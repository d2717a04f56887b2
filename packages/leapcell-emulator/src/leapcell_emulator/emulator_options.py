"""The options of an emulator besides its rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from leapcell_emulator.documented import PORT
from leapcell_emulator.rules import Rules


@dataclass(frozen=True, slots=True, kw_only=True)
class EmulatorOptions:
    """The options besides the rules."""

    folder: Path
    """The project."""
    rules: Rules = field(default_factory=Rules)
    profile: str = "default"
    port: int = PORT
    """Of the public address; 0: any."""
    async_port: int = PORT + 1
    """Of the address for Async; 0: any."""
    build: bool = True
    """Whether to run the build command; without, the project runs in the environment of the emulator."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """The service's environment as entered in the dashboard."""
    env_file: Path | None = None
    """More of it, read again for each deployment (E19); `variables` win."""
    sandbox: str = "auto"
    save: Path | None = None
    """The folder that gets the services' data at the end."""
    record: Path | None = None
    """The file that gets a line for each request, and for each start and end of an instance."""
    load: Path | None = None
    """The folder that has them at the start."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The values of the dashboard that replace those of leapcell.yaml, by its keys."""
    python: str | None = None
    """The version of Python; None: the one that the project's files ask for."""
    root_directory: str = ""
    """The folder in the project in which its commands run."""
    save_manifest: bool = False
    """Whether to write leapcell.yaml from the settings and from what was guessed."""
    host_tools: bool = False
    """Whether the project sees the whole machine, with the developer's PATH."""
    shown: tuple[Path, ...] = ()
    """Folders of this machine that the project can read, at the same place."""
    builds: Path | None = None
    """The folder that keeps what builds install; None: it is not kept."""
    routes: tuple[str, ...] = ()
    """Paths that another emulator answers: `/api=http://127.0.0.1:8090`."""
    https: Path | None = None
    """The folder of the certificate authority; None: the public address is plain HTTP."""
    watch: bool = False
    """Whether to deploy again when a file changes."""
    latency: float = 0.0
    """Seconds from a client to the region and back."""
    rebuild: bool = False
    """Whether to use nothing that an earlier build made."""
