"""The code that an exception came through, innermost last."""

from __future__ import annotations

import linecache
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from fastopp.core.faults import is_own
from fastopp.web.developer_errors.masking import Masking

AROUND = 4  # lines of source before and after the one that ran
LOCALS = 40
CAUSES = 5
FRAMES = 30  # of the project's own; a recursion has a thousand


@dataclass(frozen=True, slots=True)
class Step:
    """One frame: where it is, and what it ran."""

    frame: FrameType
    line: int

    @property
    def file(self) -> Path:
        """Its file, which may be a template."""
        return Path(self.frame.f_code.co_filename)

    def is_of(self, project: Path) -> bool:
        """Return whether it is the project's own code, and neither a library's nor the framework's."""
        return is_own(self.file, project)

    def names(self) -> list[tuple[str, object]]:
        """Return its local names and their values."""
        return [(name, value) for name, value in self.frame.f_locals.items() if not name.startswith("__")][:LOCALS]

    def source(self) -> str:
        """Return the line that ran."""
        return linecache.getline(str(self.file), self.line).strip()


@dataclass(frozen=True, slots=True)
class ShownFrame:
    """A frame as the page shows it, with secrets masked."""

    place: str
    function: str
    lines: list[tuple[int, str]]
    line: int
    names: list[tuple[str, str]]


def causes(error: BaseException) -> list[BaseException]:
    """Return an exception and those that led to it, the newest first."""
    found: list[BaseException] = []
    each: BaseException | None = error
    while each is not None and each not in found and len(found) < CAUSES:
        found.append(each)
        each = each.__cause__ or (None if each.__suppress_context__ else each.__context__)
    return found


def steps(error: BaseException) -> Iterator[Step]:
    """Yield the frames of an exception, the innermost last."""
    return (Step(frame, line) for frame, line in traceback.walk_tb(error.__traceback__))


def own_steps(error: BaseException, project: Path) -> list[Step]:
    """Return the frames of the project's own code; of a recursion, the last ones."""
    return [step for step in steps(error) if step.is_of(project)][-FRAMES:]


def place_of(step: Step, project: Path) -> str:
    """Return the file and line of a frame, as people write it."""
    file = step.file.relative_to(project) if step.file.is_relative_to(project) else step.file
    return f"{file.as_posix()}, line {step.line}"


def shown(step: Step, project: Path, masking: Masking) -> ShownFrame:
    """Return what the page shows of a frame."""
    every = linecache.getlines(str(step.file))
    first = max(step.line - AROUND, 1)
    lines = [
        (number, masking.source(text.rstrip("\n")))
        for number, text in enumerate(every[first - 1 : step.line + AROUND], first)
    ]
    return ShownFrame(
        place_of(step, project),
        step.frame.f_code.co_name,
        lines,
        step.line,
        [(name, masking.value(name, value)) for name, value in step.names()],
    )
