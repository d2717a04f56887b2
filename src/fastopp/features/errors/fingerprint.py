"""The identity of errors: the same are those of one type that came through the same lines of the project's own code."""

from __future__ import annotations

import hashlib
import linecache
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Final, NamedTuple

from fastopp.core.faults import is_own

CAUSES: Final = 5
OWN_FRAMES: Final = 30  # the innermost; a recursion has a thousand
OTHER_FRAMES: Final = 3  # the innermost, of an error that no code of the project is part of
FILES: Final = 1000  # whose owner is remembered


class Identity(NamedTuple):
    """The group of an error, and its name for people."""

    fingerprint: str
    type: str
    place: str


class Fingerprints:
    """Identifies errors. Numbers of lines are not part of it, so code may be added above.

    Parameters
    ----------
    project: the folder of the project's own code.
    """

    def __init__(self, project: Path) -> None:
        self._project = project
        self._own: dict[str, bool] = {}

    def identify(self, error: BaseException, caller: FrameType | None = None, task: str = "") -> Identity:
        """Return the identity of an error: by its frames, or else, if it was never raised, the caller's or the task."""
        error = unwrapped(error)
        errors = causes(error)
        frames = [frame for each in reversed(errors) for frame in _frames(each)] or _stack(caller)
        own = [frame for frame in frames if self.is_own(frame[0])][-OWN_FRAMES:]
        lines = [self._described(*frame) for frame in own or frames[-OTHER_FRAMES:]]
        once = [line for line, before in zip(lines, [None, *lines], strict=False) if line != before]  # of a recursion
        name = type_name(error)
        parts = [name, *(type_name(each) for each in errors[1:]), *(once or [task])]
        digest = hashlib.sha256("\n".join(parts).encode(errors="surrogatepass")).hexdigest()[:32]
        file, _, function = own[-1] if own else frames[-1] if frames else ("", 0, "")
        return Identity(digest, name, f"{self._shown(file)}, in {function}" if file else task)

    def is_own(self, file: str) -> bool:
        """Return whether a file is the project's own."""
        if (known := self._own.get(file)) is None:
            if len(self._own) >= FILES:
                self._own.clear()
            known = self._own[file] = is_own(Path(file), self._project)
        return known

    def _described(self, file: str, line: int, function: str) -> str:
        return f"{self._shown(file)} {function} {' '.join(linecache.getline(file, line).split())}"

    def _shown(self, file: str) -> str:
        """Return a path that is the same on each machine."""
        path = Path(file)
        if path.is_relative_to(self._project):
            return path.relative_to(self._project).as_posix()
        return "/".join(path.parts[-2:])


def type_name(error: BaseException) -> str:
    """Return the name of an error's class, with its module unless that is Python's own."""
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def unwrapped(error: BaseException) -> BaseException:
    """Return the error in groups of one, as task groups make them."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def causes(error: BaseException) -> list[BaseException]:
    """Return an exception and those that led to it, the newest first."""
    found: list[BaseException] = []
    each: BaseException | None = error
    while each is not None and not any(each is other for other in found) and len(found) < CAUSES:
        found.append(each)
        each = each.__cause__ or (None if each.__suppress_context__ else each.__context__)
    return found


def _frames(error: BaseException) -> list[tuple[str, int, str]]:
    """Return file, line and function of an exception's frames, the innermost last."""
    return [_named(frame, line) for frame, line in _walk(error)]


def _walk(error: BaseException) -> Iterator[tuple[FrameType, int]]:
    return traceback.walk_tb(error.__traceback__)


def _stack(caller: FrameType | None) -> list[tuple[str, int, str]]:
    if caller is None:
        return []
    return [_named(frame, line) for frame, line in traceback.walk_stack(caller)][::-1]


def _named(frame: FrameType, line: int) -> tuple[str, int, str]:
    return frame.f_code.co_filename, line, frame.f_code.co_name
