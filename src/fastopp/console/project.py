"""The project in the current folder, imported."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import Protocol, cast

from fastopp.console.main_file import ProjectError, enter_project
from fastopp.core.apps import App
from fastopp.core.faults import FIX, fault_of
from fastopp.core.garbage import lasting_objects
from fastopp.errors import FastOppError
from fastopp.settings import Settings


class Project(Protocol):
    """A project's `FastOpp`, as far as commands need it. This module does not import it: it imports every feature."""

    @property
    def settings(self) -> Settings:
        """Its settings."""
        ...

    @property
    def apps(self) -> tuple[App, ...]:
        """Its apps."""
        ...

    @property
    def title(self) -> str:
        """The name of the site."""
        ...


def import_main() -> ModuleType:
    """Import the main.py of the current folder. Raises ProjectError with the place of a mistake."""
    try:
        return importlib.import_module("main")
    except FastOppError:
        raise
    except Exception as error:
        message, hint = fault_of(error, Path.cwd(), Path("main.py")) or (str(error), FIX)
        raise ProjectError(message, hint=hint) from error


def load_project() -> Project:
    """Import `app` from the main.py of the current folder. A misconfigured project ends the process with status 2."""
    enter_project()
    with lasting_objects():
        app = getattr(import_main(), "app", None)
    if not isinstance(getattr(app, "settings", None), Settings):
        raise ProjectError("main.py has no `app = FastOpp(...)`.", hint="See docs/apps.md for the few lines it needs.")
    return cast("Project", app)
