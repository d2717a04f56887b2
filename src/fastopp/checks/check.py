"""The definition of a check, and of its findings."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

from fastopp.checks.context import CheckContext

PAGE: Final = "docs/checks.md"


class Level(StrEnum):
    """The severity of a finding. A check's id begins with the first letter."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"

    @property
    def severity(self) -> int:
        """For comparing: the higher, the worse."""
        return list(Level).index(self)


class Mode(StrEnum):
    """The requirements of a check beyond the project's files."""

    STATIC = "static"
    LIVE = "live"
    """It connects to the database or the Object Storage."""
    MEASURE = "measure"
    """It starts the application on this machine."""
    DRIFT = "drift"
    """It asks the deployed site."""
    INSTALL = "install"
    """It asks the package index."""


class Scope(StrEnum):
    """The commands that run a check. The name of a platform means those of this platform only."""

    PROJECT = "project"
    """`check`, and the platforms' commands."""
    DEPLOYMENT = "deployment"
    """The platforms' commands only."""


class Subject(StrEnum):
    """The subject of a check."""

    SETTINGS = "settings"
    DATABASE = "database"
    MIGRATIONS = "migrations"
    STORAGE = "storage"
    ACCOUNTS = "accounts"
    MANIFEST = "manifest"
    REQUIREMENTS = "requirements"
    SOURCE = "source"
    TEMPLATES = "templates"
    SPEED = "speed"
    MAIL = "mail"
    APP = "app"


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem that a check found, with a separate fix if the check's does not apply."""

    message: str
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, or worth knowing."""

    id: str
    level: Level
    message: str
    hint: str
    link: str

    def as_json(self) -> dict[str, str]:
        """For programs."""
        return {
            "id": self.id,
            "level": self.level.value,
            "message": self.message,
            "hint": self.hint,
            "link": self.link,
        }


CheckFunction = Callable[[CheckContext], Iterator[Problem] | AsyncIterator[Problem]]


@dataclass(frozen=True, slots=True)
class Check:
    """A function that looks at one thing, with what is said about it everywhere."""

    id: str
    title: str
    """The problem that it finds, in a few words."""
    means: str
    """The reason why that matters: the function's docstring."""
    fix: str
    subject: Subject
    scope: str
    mode: Mode
    function: CheckFunction
    link: str = ""
    """The address of its section in the docs."""

    @property
    def level(self) -> Level:
        """As its id says."""
        letter = self.id.rpartition(".")[2][0].lower()
        return next(level for level in Level if level.value.startswith(letter))

    async def run(self, context: CheckContext) -> list[Finding]:
        """Look. Raises CannotCheck, and what else keeps it from looking: a FastOppError."""
        found = self.function(context)
        problems = [each async for each in found] if isinstance(found, AsyncIterator) else list(found)
        return [self._finding(problem) for problem in problems]

    def _finding(self, problem: Problem) -> Finding:
        hint = self.fix if problem.hint is None else problem.hint
        return Finding(self.id, self.level, problem.message, hint, self.link)


def check(
    check_id: str,
    title: str,
    *,
    fix: str,
    subject: Subject = Subject.APP,
    scope: str = Scope.PROJECT,
    mode: Mode | Literal["static", "live"] = Mode.STATIC,
    link: str = "",
) -> Callable[[CheckFunction], Check]:
    """Make a generator of problems a check. Its docstring says why it matters.

    Parameters
    ----------
    check_id: the app's name (`fastopp` for a feature), a dot, a letter for the level (E, W, I) and three digits.
    title: what is wrong when it fires, in a few words.
    scope: one of `Scope`, or the name of a platform.
    fix: what to do about it, for the docs, and for problems without a hint.
    mode: `live` for a check that connects to a service; it runs with `--live` only.
    link: a page with more about it, shown with each finding.
    """

    def make(function: CheckFunction) -> Check:
        means = " ".join(inspect.cleandoc(function.__doc__ or "").split())
        page = link or (f"{PAGE}#{check_id.replace('.', '').lower()}" if check_id.startswith("fastopp.") else "")
        return Check(check_id, title, means, fix, subject, scope, Mode(mode), function, page)

    return make
