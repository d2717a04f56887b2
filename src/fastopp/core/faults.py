"""Say in two sentences what is wrong with the code of a project: where, and how to fix it."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Final, NamedTuple

FIX: Final = "Fix it and try again."
CIRCULAR: Final = (
    "Two modules import each other. Import one inside the function that needs it, or move what both need to a third."
)
GENERIC: Final = (
    "Remove `from __future__ import annotations` from the module with the model, and put the names of later models in "
    "quotes."
)


class Fault(NamedTuple):
    """An error in code, as people read it."""

    message: str
    hint: str


def fault_of(error: BaseException, project: Path, module: Path | None = None) -> Fault | None:
    """Return the place and the text of an error, or None if no code of the project is part of it.

    Parameters
    ----------
    project: the folder that paths are shown from.
    module: the file that was imported, for an error that names no other.
    """
    text = " ".join(str(error).split())
    if isinstance(error, SyntaxError):
        file = Path(error.filename) if error.filename else module
        return Fault(f"{_shown(file, project)}, line {error.lineno}: {error.msg}.", FIX) if file else None
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if is_own(Path(frame.filename), project)]
    if not frames and module is None:
        return None
    place = f"{_shown(Path(frames[-1].filename), project)}, line {frames[-1].lineno}" if frames else ""
    return Fault(f"{place or _shown(module, project)}: {type(error).__name__}: {text}", hint_for(text))


def is_own(file: Path, project: Path) -> bool:
    """Return whether a file is the project's own: in its folder, but not installed there, nor the framework's."""
    if not file.is_relative_to(project) or file.is_relative_to(Path(__file__).parents[1]):
        return False
    parts = file.relative_to(project).parts
    return "site-packages" not in parts and not any(part.startswith(".") for part in parts)


def hint_for(text: str) -> str:
    """Return how to fix an error with this text."""
    if "partially initialized module" in text:
        return CIRCULAR
    if "generic class as the argument to relationship()" in text:
        return GENERIC
    return FIX


def _shown(file: Path | None, project: Path) -> str:
    if file is None:
        return "the project"
    return (file.relative_to(project) if file.is_relative_to(project) else file).as_posix()
