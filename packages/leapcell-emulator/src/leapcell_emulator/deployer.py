"""Make deployments: copy the project, find what its runtime needs, and build it."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from leapcell_emulator import build_inputs
from leapcell_emulator.build import Builder, BuildPlan, system_folders
from leapcell_emulator.emulator_options import EmulatorOptions
from leapcell_emulator.errors import BadRequest
from leapcell_emulator.events import Journal
from leapcell_emulator.image import Image, ProjectMissing, copy_project
from leapcell_emulator.interpreters import Interpreter, find_python, read_wanted
from leapcell_emulator.kept_builds import KeptBuilds
from leapcell_emulator.manifest import FILE_NAME, Manifest, read_manifest, save_manifest
from leapcell_emulator.sandbox import Sandbox
from leapcell_emulator.tools import Tools, find_tools
from leapcell_emulator.workplace import Workplace


class Deployer:
    """Makes the images of one emulator: `async with Deployer(…) as deployer:`."""

    def __init__(
        self,
        options: EmulatorOptions,
        *,
        sandbox: Sandbox,
        work: Workplace,
        journal: Journal,
        tell: Callable[[str], None],
    ) -> None:
        """`tell` hears the output of builds."""
        self._options = options
        self._sandbox = sandbox
        self._work = work
        self._journal = journal
        self._tell = tell
        self._kept: KeptBuilds | None = None
        self._builder: Builder
        self._last: tuple[object, Image] | None = None

    async def __aenter__(self) -> Self:
        options = self._options
        if options.rules.tmp_size and not self._sandbox.mounts:
            self._journal.say("--tmp-size has no effect: only Bubblewrap limits /tmp.", level="warning")
        layered = await asyncio.to_thread(system_folders, self._sandbox, self._work.folder)
        if options.builds is not None and layered is not None:
            with contextlib.suppress(OSError):  # then nothing is kept
                self._kept = await asyncio.to_thread(KeptBuilds, options.builds)
        self._builder = Builder(
            self._sandbox,
            home=self._work.home,
            layered=layered,
            kept=self._kept,
            rebuild=options.rebuild,
            tell=self._tell,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> None:
        if self._kept is not None:
            await asyncio.to_thread(self._kept.close)

    async def make(
        self, number: int, manifest: Manifest, variables: Mapping[str, str], services: Mapping[str, str]
    ) -> Image:
        """Copy and build the project as it is now. Raises `BuildFailed`, `PythonMissing`."""
        options = self._options
        folder = self._work.deployment(number)
        try:
            self._remark_on(await asyncio.to_thread(copy_project, options.folder, folder / "project"))
            building = options.build and manifest.build_command != ""
            plan = BuildPlan(
                manifest=manifest,
                python=await asyncio.to_thread(self._find_python, manifest, building=building),
                tools=self._find_tools(manifest.runtime),
                variables=dict(variables),
                services=dict(services),
                start=options.root_directory,
                time_limit=options.rules.build_timeout,
                files=(*options.shown, *(Path(value) for value in services.values() if value.startswith("/"))),
                host_tools=options.host_tools,
            )
            if not building:
                return self._builder.unbuilt(folder, plan)
            key = (plan, await asyncio.to_thread(build_inputs.digest_of_all, folder / "project"))
            if self._last is not None and self._last[0] == key and not options.rebuild:
                await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
                if self._last[1].folder.is_dir():
                    self._tell("No file has changed: the build is used again (--rebuild)")
                    return self._last[1]
                (folder / "project").mkdir(parents=True)
                await asyncio.to_thread(copy_project, options.folder, folder / "project")
            image = await self._builder.build(folder, plan)
        except BaseException:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
            raise
        self._last = (key, image)
        return image

    def _find_python(self, manifest: Manifest, *, building: bool) -> Interpreter:
        wanted = read_wanted(source_of(self._options), self._options.python) if manifest.runtime == "python" else None
        if wanted is not None and not building and self._options.python:
            raise BadRequest("--python has no effect without a build.", hint="Leave out --no-build, or --python.")
        return find_python(wanted if building else None)

    def _find_tools(self, runtime: str) -> Tools:
        tools = find_tools(runtime)
        for name in tools.missing:
            message = f"The runtime {runtime} needs {name}, which is not installed on this machine: install {name}."
            self._journal.say(message, level="warning")
        return tools

    def _remark_on(self, uncommitted: list[str]) -> None:
        if uncommitted:
            names = ", ".join(uncommitted[:5]) + (f" and {len(uncommitted) - 5} more" if len(uncommitted) > 5 else "")
            self._journal.say(f"Not committed yet, so LeapCell would not see it: {names}", level="warning")


def source_of(options: EmulatorOptions) -> Path:
    """The folder in the project in which its commands run. Raises `BadRequest`, `ProjectMissing`."""
    root = options.folder.resolve()
    source = (root / options.root_directory).resolve()
    if not source.is_relative_to(root):
        raise BadRequest(f"--root-directory {options.root_directory} is not in {root}.")
    if not source.is_dir():
        raise ProjectMissing(f"There is no folder {source}.")
    return source


def read_settings(options: EmulatorOptions) -> Manifest:
    """Read leapcell.yaml and what stands in its place. Raises `ManifestError`, `BadRequest`, `ProjectMissing`."""
    return read_manifest(source_of(options), options.settings)


def show_guessed(manifest: Manifest, options: EmulatorOptions, journal: Journal) -> None:
    """Print what was guessed, and keep it if that is wanted. Raises `ManifestError`."""
    if manifest.guessed:
        lines = [f"Guessed, since {FILE_NAME} does not say it:", *(f"  {line}" for line in manifest.guessed)]
        if not options.save_manifest:
            lines.append(f"Options like --start-command change it; --save-manifest writes {FILE_NAME}.")
        journal.say("\n".join(lines))
    if options.save_manifest:
        journal.say(f"Written: {save_manifest(manifest, source_of(options))}")
