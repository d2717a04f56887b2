"""The context of checks: a project's folder and the settings it will run with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from fastopp.checks.errors import CannotCheck
from fastopp.checks.lockfile import Lock, read_lock
from fastopp.checks.source import SourceFile, read_sources
from fastopp.checks.trial_run import TrialRun
from fastopp.core.app_settings import app_settings
from fastopp.core.apps import App
from fastopp.errors import FastOppError
from fastopp.platforms.base import Platform
from fastopp.platforms.detection import PLATFORMS, detect_platform
from fastopp.platforms.local import LOCAL
from fastopp.settings import AppSettings, Settings, SettingsError, load_settings, read_variables
from fastopp.settings.database_url import DatabaseURL
from fastopp.settings.loading import from_variables
from fastopp.settings.problem import SettingProblem

T = TypeVar("T")

# What `load_settings` says of the size of all variables; there is a check for that, which counts more exactly.
THE_ENVIRONMENT = "the environment"
DATABASE = ("DATABASE_URL", "DATABASE_DSN")
NO_DATABASE = "postgresql://nothing.invalid/nothing"  # for checks of other settings; `CheckContext.database` refuses it


def is_fastopp_project(folder: Path) -> bool:
    """Return whether a folder has a project of FastOpp, and not of another framework."""
    return (folder / "oppman.py").is_file()


@dataclass
class CheckContext:
    """A project, and the settings that it is checked with. What costs time to read is read once, when asked for."""

    folder: Path
    variables: Mapping[str, str] = field(default_factory=dict)
    """The variables that were set: the content of the env file, or FastOpp's variables of the process."""
    platform: Platform = LOCAL
    configuration: Settings | None = None
    """None when the settings have mistakes."""
    setting_problems: tuple[SettingProblem, ...] = ()
    load_apps: Callable[[], tuple[App, ...]] = tuple
    load_main: Callable[[], object] = tuple
    """Imports main.py."""
    app_settings: tuple[type[AppSettings], ...] = ()
    """The settings classes of the apps; none when one of them is faulty."""
    names: frozenset[str] = frozenset()
    """Of all variables, those of the operating system and of other programs included."""
    site: str = ""
    """The address of the deployed site; SITE_URL if it is empty."""
    trial_run: TrialRun | None = None
    """The measurement, once it was made."""
    _found: dict[Callable[[CheckContext], Any], Any] = field(default_factory=dict, init=False, repr=False)

    @classmethod
    def read(
        cls,
        folder: Path,
        *,
        environ: Mapping[str, str] | None = None,
        env_file: Path | None = None,
        platform: Platform | None = None,
        load_apps: Callable[[], tuple[App, ...]] = tuple,
        load_main: Callable[[], object] = tuple,
    ) -> CheckContext:
        """Read the settings, be they right or wrong.

        Parameters
        ----------
        environ: the variables; the process's own by default.
        env_file: as for `load_settings`.
        platform: judge them as those of a service there, wherever this runs.
        """
        kinds: list[type[AppSettings]] = []
        with suppress(FastOppError):  # a check reports it
            kinds = app_settings(load_apps())
        variables, ours = read_variables(environ, env_file=env_file, app_settings=kinds)
        if platform and detect_platform(variables).title != platform.title:  # it is none of the platform's kinds
            variables |= {"FASTOPP_PLATFORM": platform.name}
        forced = variables.get("FASTOPP_PLATFORM", "").strip().lower()
        found = PLATFORMS.get(forced) or detect_platform(variables)
        settings: Settings | None = None
        problems: tuple[SettingProblem, ...] = ()
        try:
            settings = load_settings(variables, env_file=Path("/nonexistent"), app_settings=kinds)
        except SettingsError as error:
            problems = tuple(problem for problem in error.problems if problem.variable != THE_ENVIRONMENT)
            if not problems:  # they are too many, and nothing else: that is no reason not to look further
                settings = from_variables(variables, found, kinds)
            elif all(problem.variable in DATABASE for problem in problems):  # the others can be judged without it
                known = variables | {"DATABASE_URL": NO_DATABASE, "DATABASE_DSN": ""}
                settings = load_settings(known, env_file=Path("/nonexistent"), app_settings=kinds)
        return cls(folder, ours, found, settings, problems, load_apps, load_main, tuple(kinds), frozenset(variables))

    @property
    def settings(self) -> Settings:
        """The settings. Raises CannotCheck when they have mistakes."""
        if self.configuration is None:
            raise CannotCheck("The settings are invalid.")
        return self.configuration

    @property
    def database(self) -> DatabaseURL:
        """The URL of the database. Raises CannotCheck when it is missing or has mistakes."""
        return self.database_settings.database

    @property
    def database_settings(self) -> Settings:
        """The settings, for a check that connects to the database. Raises CannotCheck as `database` does."""
        if self.problems_of(*DATABASE):
            raise CannotCheck("DATABASE_URL is missing or invalid.")
        return self.settings

    def problems_of(self, *variables: str) -> tuple[SettingProblem, ...]:
        """The mistakes in these variables."""
        return tuple(problem for problem in self.setting_problems if problem.variable in variables)

    @cached_property
    def apps(self) -> tuple[App, ...]:
        """The project's apps."""
        return self.load_apps()

    @cached_property
    def lock(self) -> Lock | None:
        """The project's uv.lock, if it has one. Raises LockUnreadable."""
        path = self.folder / "uv.lock"
        return read_lock(path) if path.is_file() else None

    @cached_property
    def sources(self) -> tuple[SourceFile, ...]:
        """The Python files that are served: main.py and the apps."""
        folders = [app.folder for app in self.apps]
        return tuple(read_sources(self.folder, folders))

    def once(self, find: Callable[[CheckContext], T]) -> T:
        """Return what `find` returns for this project. Several checks share one call of it."""
        if find not in self._found:
            self._found[find] = find(self)
        found: T = self._found[find]
        return found

    def as_subject(self) -> dict[str, Any]:
        """Return the checked values, for programs; no secrets."""
        return {"folder": str(self.folder), "platform": self.platform.name}
