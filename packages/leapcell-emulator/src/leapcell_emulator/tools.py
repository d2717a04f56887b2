"""The programs that a runtime needs and that are not Python: node, go, cargo. They are those of this machine."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from leapcell_emulator.image import PATH

# runtime: (programs that must be there, those that are used if they are there)
_PROGRAMS: Final = {
    "node": (("node",), ("npm", "npx", "yarn", "pnpm", "corepack", "bun")),
    "javascript": (("node",), ("npm", "npx", "yarn", "pnpm", "corepack", "bun")),
    "go": (("go",), ()),
    "rust": (("cargo",), ("rustc",)),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """The places of a runtime's programs."""

    path: tuple[str, ...] = ()
    """Folders for PATH."""
    folders: tuple[Path, ...] = ()
    """Folders that they need, outside the system's."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables that they need."""
    missing: tuple[str, ...] = ()
    """Needed programs that are not installed."""


def find_tools(runtime: str) -> Tools:
    """Find the programs of a runtime on the developer's PATH."""
    needed, used = _PROGRAMS.get(runtime, ((), ()))
    path: list[str] = []
    folders: list[Path] = []
    environment: dict[str, str] = {}
    for name in (*needed, *used):
        found = shutil.which(name)
        if found is None:
            continue
        folder = str(Path(found).parent)
        if folder in PATH.split(":") or folder in path:
            continue
        path.append(folder)
        folders.append(Path(found).parent)
        target = Path(found).resolve()
        if target.parent != Path(found).parent or name == "go":  # npm is a link into its folder; go's has a library
            folders.append(target.parent.parent)
    if path and runtime == "rust":  # rustup's programs look for a compiler there
        rustup = Path(os.environ.get("RUSTUP_HOME", Path.home() / ".rustup"))
        environment["RUSTUP_HOME"] = str(rustup)
        folders.append(rustup)
    missing = tuple(name for name in needed if shutil.which(name) is None)
    return Tools(path=tuple(path), folders=tuple(folders), missing=missing, environment=environment)
