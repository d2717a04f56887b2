"""Run a project's build command, in steps of which the first is used again while nothing that it reads has changed.

Where the sandbox can lay folders over others, each step writes to its own folder, and the result is the project
with these folders over it. There root can change the whole system too, with `apt-get install`. Elsewhere the one step
writes to the copy of the project, a virtual environment and a home folder.
"""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import shutil
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from leapcell_emulator import build_inputs
from leapcell_emulator.bubblewrap_sandbox import BubblewrapSandbox, delete_work, system_names
from leapcell_emulator.confined import NO_PORT, ConfinedProcess
from leapcell_emulator.errors import EmulatorError
from leapcell_emulator.image import Image, base_environment, own_environment
from leapcell_emulator.interpreters import Interpreter
from leapcell_emulator.kept_builds import KeptBuilds
from leapcell_emulator.manifest import Manifest
from leapcell_emulator.rules import RULES, Rules
from leapcell_emulator.sandbox import ENVIRONMENT, HOME, PROJECT, Mount, Room, Sandbox
from leapcell_emulator.tools import Tools

# What installers keep between builds; theirs to write, so that a second build is quick.
_CACHES: Final = (".cache/pip", ".cache/uv", ".cache/go-build", ".npm", "go/pkg/mod", ".cargo/registry")
_KEPT_LINES: Final = 20
_FORMAT: Final = 1  # of kept builds; a change makes all of them again
_SYSTEM_PACKAGES: Final = re.compile(r"\b(apt-get|apt|dpkg|apk|yum|dnf)\b")
# Variables that installers read; another counts where a file that they read names it.
_INSTALLERS: Final = re.compile(
    r"(PIP|UV|NPM|NODE|YARN|PNPM|PLAYWRIGHT|PUPPETEER|GO|CGO|APT|DEB|PYTHON|HTTPS?|ALL|NO|FTP)_?|C(XX|PP)?FLAGS|CC$|CXX$|LD",
    re.IGNORECASE,
)
_SYSTEM_HINT: Final = (
    "System packages can be installed in a build if root runs the emulator, with Bubblewrap and overlayfs. Or install "
    "them on this machine: the project sees its /usr."
)


class BuildFailed(EmulatorError):
    """The build command failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildPlan:
    """Everything that a build depends on besides the files."""

    manifest: Manifest
    python: Interpreter
    tools: Tools
    variables: dict[str, str]
    """Those of the user; what services add is new in each run and decides nothing."""
    services: dict[str, str]
    start: str = ""
    """The folder in the project in which the commands run."""
    time_limit: float = 0.0
    """Seconds; 0: none."""
    files: tuple[Path, ...] = ()
    """Files that variables of the services name."""
    host_tools: bool = False


def system_folders(sandbox: Sandbox, parent: Path) -> tuple[str, ...] | None:
    """The folders of the system that a build can change; None: nothing can be laid over anything here."""
    if not isinstance(sandbox, BubblewrapSandbox) or not sandbox.layers(parent):
        return None
    if os.geteuid() != 0:  # the system's files belong to a user that a namespace of ours does not have
        return ()
    return tuple(name for name in system_names() if Path("/", name).is_dir() and not Path("/", name).is_symlink())


class Builder:
    """Builds one deployment after another."""

    def __init__(
        self,
        sandbox: Sandbox,
        *,
        home: Path,
        layered: tuple[str, ...] | None,
        kept: KeptBuilds | None,
        rebuild: bool,
        tell: Callable[[str], None],
    ) -> None:
        """`layered` is what `system_folders` found; `tell` hears the output.

        Without `kept` nothing is used again; with `rebuild` nothing that was built before.
        """
        self._sandbox = sandbox
        self._home = home
        self._layered = layered
        self._kept = kept
        self._rebuild = rebuild
        self._tell = tell

    def unbuilt(self, folder: Path, plan: BuildPlan) -> Image:
        """The project without a build: its commands run in the environment that the emulator runs in."""
        own = own_environment()
        path = [own.pop("PATH"), *plan.tools.path]
        environment = base_environment(host_tools=plan.host_tools, more=path) | own
        return self._image(folder, plan, environment)

    async def build(self, folder: Path, plan: BuildPlan) -> Image:
        """Run the build command for the project in `folder / "project"`, with a virtual environment for Python.

        Raises `BuildFailed` with the last lines of its output.
        """
        try:
            async with asyncio.timeout(plan.time_limit or None):
                if self._layered is None:
                    return await self._build_in_place(folder, plan)
                return await self._build_layers(folder, plan)
        except TimeoutError:
            rule = RULES["build_timeout"]
            message = rule.message.format(limit=rule.format(plan.time_limit))
            raise BuildFailed(message, hint=f"{rule.evidence}: {rule.source}; {rule.option} changes it.") from None

    def _image(self, folder: Path, plan: BuildPlan, environment: dict[str, str]) -> Image:
        programs = (plan.python.folder, *plan.tools.folders, *plan.files)
        environment = {**environment, **plan.tools.environment}
        return Image(
            folder=folder / "project",
            home=self._home,
            environment=environment,
            start=plan.start,
            programs=programs,
            host_tools=plan.host_tools,
        )

    def _built_image(self, folder: Path, plan: BuildPlan, environment: str) -> Image:
        more = [*([f"{environment}/bin"] if plan.manifest.runtime == "python" else []), *plan.tools.path]
        variables = base_environment(host_tools=plan.host_tools, more=more)
        if plan.manifest.runtime == "python":
            variables["VIRTUAL_ENV"] = environment
        return self._image(folder, plan, variables)

    async def _build_layers(self, folder: Path, plan: BuildPlan) -> Image:
        image = self._built_image(folder, plan, ENVIRONMENT)
        project = image.folder / plan.start
        command = plan.manifest.build_command
        parts = await asyncio.to_thread(build_inputs.plan, command, project)
        python = plan.manifest.runtime == "python"
        if python or parts.known:
            layer = await self._first_layer(folder, image, plan, parts)
            image = replace(image, layers=(layer,))
        if parts.rest:
            self._tell(f"Building: {parts.rest}")
            layer = folder / "layer"
            await self._run(parts.rest, self._room(folder, image, layer), plan, image)
            await asyncio.to_thread(delete_work, layer)
            image = replace(image, layers=(*image.layers, layer))
        return image

    async def _first_layer(self, folder: Path, image: Image, plan: BuildPlan, parts: build_inputs.Plan) -> Path:
        """Return the layer that the known part of the command writes: of an earlier build, or of one now."""
        key = await asyncio.to_thread(self._key, image.folder / plan.start, plan, parts)
        if self._kept is not None and not self._rebuild and (found := await asyncio.to_thread(self._kept.find, key)):
            layer, age = found
            what = f"“{parts.known}”" if parts.known else "the virtual environment"
            self._tell(f"Nothing that {what} reads has changed: it is used again ({_words(age)} old; --rebuild)")
            return layer
        layer = await asyncio.to_thread(self._kept.begin) if self._kept is not None else folder / "first-layer"
        async with AsyncExitStack() as undo:
            if self._kept is not None:
                undo.push_async_callback(asyncio.to_thread, self._kept.discard, layer)
            room = self._room(folder, image, layer)
            if plan.manifest.runtime == "python":
                self._tell(f"Making a virtual environment with Python {plan.python.version}")
                await self._run(shlex.join([str(plan.python.program), "-m", "venv", ENVIRONMENT]), room, plan, image)
            if parts.known:
                self._tell(f"Building: {parts.known}")
                await self._run(parts.known, room, plan, image)
            await asyncio.to_thread(delete_work, layer)
            undo.pop_all()
        return await asyncio.to_thread(self._kept.keep, layer, key) if self._kept is not None else layer

    def _key(self, project: Path, plan: BuildPlan, parts: build_inputs.Plan) -> str:
        """A digest of all that the known part of a build depends on."""
        marks = [Path("/etc/os-release"), Path("/var/lib/dpkg/status")]
        system = [(str(path), path.stat().st_mtime_ns) for path in marks if path.exists()]
        read = parts.known + "".join(
            (project / name).read_text(encoding="utf-8", errors="replace")
            for name in parts.inputs
            if (project / name).is_file()
        )
        variables = [pair for pair in sorted(plan.variables.items()) if _INSTALLERS.match(pair[0]) or pair[0] in read]
        about = (_FORMAT, parts.known, plan.manifest.runtime, plan.start, plan.host_tools, variables)
        who = (os.geteuid(), self._layered, os.uname().machine, plan.tools.path, sys.platform)
        python = (str(plan.python.program), plan.python.version)
        return build_inputs.digest(project, parts.inputs, about, who, python, system)

    def _room(self, folder: Path, image: Image, layer: Path) -> Room:
        """The room of a step that writes to `layer`."""
        temp = folder / "build-tmp"
        temp.mkdir(exist_ok=True)
        temp.chmod(0o1777)  # installers run as other users too
        return Room(
            folder=image.folder,
            start=image.start,
            temp=temp,
            mounts=image.mounts(self._layered or (), upper=layer),
            caches=_caches(),
            readable=image.programs,
            host_tools=image.host_tools,
        )

    async def _build_in_place(self, folder: Path, plan: BuildPlan) -> Image:
        """Build where nothing can be laid over anything: one step, which writes to folders that the image keeps."""
        layer = folder / "layer"
        places = {ENVIRONMENT: layer / "environment", HOME: folder / "home"}
        for place in places.values():
            place.mkdir(parents=True)
        shown = ENVIRONMENT if self._sandbox.mounts else str(places[ENVIRONMENT])
        image = self._built_image(folder, plan, shown)
        mounts = [Mount(target=target, lowers=(place,), writable=True) for target, place in places.items()]
        room = replace(
            self._room(folder, image, layer),
            mounts=(Mount(target=PROJECT, lowers=(image.folder,), writable=True), *mounts),
            writable=(image.folder, *places.values()),
        )
        if not self._sandbox.mounts:
            image = replace(image, environment={**image.environment, "HOME": str(places[HOME])})
        if plan.manifest.runtime == "python":
            self._tell(f"Making a virtual environment with Python {plan.python.version}")
            await self._run(shlex.join([str(plan.python.program), "-m", "venv", shown]), room, plan, image)
        self._tell(f"Building: {plan.manifest.build_command}")
        await self._run(plan.manifest.build_command, room, plan, image)
        shutil.rmtree(room.temp, ignore_errors=True)
        return replace(image, home=places[HOME], layers=(layer,), programs=(*image.programs, places[ENVIRONMENT]))

    async def _run(self, command: str, room: Room, plan: BuildPlan, image: Image) -> None:
        """Run a command of the build as instances are run: it changes nothing else, and ends with us."""
        quiet = {
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PIP_PROGRESS_BAR": "off",
            "PIP_ROOT_USER_ACTION": "ignore",
            "DEBIAN_FRONTEND": "noninteractive",
        }
        process = ConfinedProcess(room, Rules(shared_memory=True), self._sandbox, port=NO_PORT, on_line=self._tell)
        try:
            await process.launch(command, {**image.environment, **plan.variables, **plan.services, **quiet})
            await process.ended.wait()
        finally:
            await process.close()
        if process.code != 0:
            last = "\n".join(process.lines[-_KEPT_LINES:])
            hint = _SYSTEM_HINT if not self._layered and _SYSTEM_PACKAGES.search(command) else None
            raise BuildFailed(f"The build command failed {process.exit_words}. Its last lines:\n\n{last}", hint=hint)


def _caches() -> tuple[tuple[Path, str], ...]:
    """The caches of installers in the developer's home folder, which are made if they are not there."""
    caches = []
    for name in _CACHES:
        folder = Path.home() / name
        if name in _CACHES[:2]:
            folder.mkdir(parents=True, exist_ok=True)
        if folder.is_dir():
            caches.append((folder, f"{HOME}/{name}"))
    return tuple(caches)


def _words(seconds: float) -> str:
    for size, name in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {name}"
    return f"{seconds:.0f} s"
