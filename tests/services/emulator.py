"""An emulator running one of the small projects beside this file."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx

from leapcell_emulator.emulator import Emulator
from leapcell_emulator.emulator_options import EmulatorOptions
from leapcell_emulator.events import Event
from leapcell_emulator.rules import Rules

PROJECTS = Path(__file__).parent / "emulator_projects"


class RunningEmulator:
    """An emulator, a client of it, and what it said."""

    def __init__(self, options: EmulatorOptions, **services: Any) -> None:
        self.events: list[Event] = []
        self.lines: list[tuple[str, str]] = []
        self.emulator = Emulator(
            options, **services, on_event=self.events.append, on_line=lambda name, line: self.lines.append((name, line))
        )
        self.client: httpx.AsyncClient

    def fired(self, name: str) -> list[Event]:
        return [event for event in self.events if event.name == name]

    @property
    def said(self) -> str:
        return "\n".join(event.message for event in self.events)

    def instance(self, name: str) -> dict[str, Any]:
        instances = {instance["name"]: instance for instance in self.emulator.state()["instances"]}
        return instances.get(name, {"name": name, "state": "on its way"})


@contextlib.asynccontextmanager
async def running(project: str | Path, **options: Any) -> AsyncIterator[RunningEmulator]:
    """Run a project; options that are rules are set as rules, the others are the emulator's."""
    services = {"services": options.pop("services")} if "services" in options else {}
    own = {key: options.pop(key) for key in list(options) if key in EmulatorOptions.__dataclass_fields__}
    rules = Rules.from_options("default", {"cold_start": 0.0, **options})
    folder = PROJECTS / project if isinstance(project, str) else project
    started = RunningEmulator(
        EmulatorOptions(**{"folder": folder, "port": 0, "build": False, **own}, rules=rules), **services
    )
    async with started.emulator, httpx.AsyncClient(base_url=started.emulator.url, timeout=20) as started.client:
        yield started


def write_project(
    folder: Path, start: str, *, port: int = 8080, build: str = "", runtime: str = "python", **files: str
) -> Path:
    """A project made for one test."""
    folder.mkdir(exist_ok=True)
    lines = [f"runtime: {runtime}", f"startCommand: {start}", f"port: {port}", "memory: 512mb"]
    (folder / "leapcell.yaml").write_text("\n".join([*lines, f"buildCommand: {build}"] if build else lines))
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    return folder


def copy_of(project: str, folder: Path) -> Path:
    """A project that a test may change."""
    return Path(shutil.copytree(PROJECTS / project, folder / project))


async def until(condition: Callable[[], object]) -> None:
    """Wait until it holds."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - what it waits for has no event
            await asyncio.sleep(0.01)
