"""The programs that a runtime needs and that are not Python: node, go, cargo. They are those of this machine."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
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
    """Where a runtime's programs are."""

    path: tuple[str, ...] = ()
    """Folders for PATH."""
    folders: tuple[Path, ...] = ()
    """Folders that they need, outside the system's."""
    missing: tuple[str, ...] = ()
    """Needed programs that are not installed."""


def find_tools(runtime: str) -> Tools:
    """Find the programs of a runtime on the developer's PATH."""
    needed, used = _PROGRAMS.get(runtime, ((), ()))
    path: list[str] = []
    folders: list[Path] = []
    for name in (*needed, *used):
        found = shutil.which(name)
        if found is None:
            continue
        folder = str(Path(found).parent)
        if folder in PATH.split(":") or folder in path:
            continue
        path.append(folder)
        # A program is a link into its own folder: ~/.nvm/versions/node/v20/bin/node.
        folders += [Path(found).parent, Path(found).resolve().parent.parent]
    missing = tuple(name for name in needed if shutil.which(name) is None)
    return Tools(path=tuple(path), folders=tuple(folders), missing=missing)
