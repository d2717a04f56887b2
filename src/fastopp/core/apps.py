"""An app is one vertical slice of a project: a package whose parts are found by their file names.

shop/
    __init__.py    NAVIGATION: links in the header (optional)
    models.py      SQLModel tables
    routes.py      router = APIRouter()
    admin.py       AdminView classes
    seed.py        STEPS: sample data
    tasks.py       functions with @task, run later
    commands.py    app = typer.Typer(): commands below `oppman.py shop`
    probes.py      PROBES: parts of /health
    alerts.py      RULES: rules of alerts
    checks.py      functions with @check, for `oppman.py check`
    permissions.py SESSION: entries of a browser's session
    sign_in_step.py page_for, check_code: what an account proves beside its password
    accounts.py    export_account, delete_account: its part of what belongs to a user
    account_links.py  account_links: links on the page /account
    settings.py    a class of AppSettings: environment variables
    sign_in_options.py  what the sign-in page offers beside the password
    templates/shop/…   static/shop/…
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from fastopp.core.faults import FIX, Fault, fault_of
from fastopp.errors import FastOppError

if TYPE_CHECKING:
    from fastapi import APIRouter

    from fastopp.tasks.task import Task


PACKAGE: Final = "__init__"  # the part that is the package itself


class AppError(FastOppError):
    """An app of this project cannot be loaded."""


class BrokenPart(AppError):
    """A module of an app cannot be used."""

    hint = FIX


class NavItem(NamedTuple):
    """A link in the header, shown to everyone, to those who are signed in (`user`), or to those with a role."""

    label: str
    href: str
    section: Literal["pages", "demos", "management"] = "pages"
    requires: Literal["user", "staff", "superuser"] | None = None


class StepResult(NamedTuple):
    """The result of a seed step; `message` is one sentence for people."""

    status: Literal["success", "skipped", "error"]
    message: str


class SeedStep(NamedTuple):
    """A named, idempotent piece of sample data. `run(session, storage, settings)` is one transaction."""

    name: str
    title: str
    run: Callable[[Any, Any, Any], Awaitable[StepResult]]
    destructive: bool = False
    """It deletes what people may have entered: run only when asked for by name, never as part of an init."""


Probe = Callable[[Any], Awaitable[Mapping[str, Any] | None]]
"""Looks at a part of the application, given its runtime: returns details for /health, or raises ProbeFailed."""


class CommandPlace(NamedTuple):
    """The place of an app's commands, like `shop.commands:app`, and their help."""

    place: str
    help: str


class App(NamedTuple):
    """One app of a project. Its modules are imported when they are asked for, not before."""

    package: str
    """Import path, like `demo.products`."""
    folder: Path

    @property
    def name(self) -> str:
        """The last part of the import path; the prefix of its templates and static files."""
        return self.package.rpartition(".")[2]

    @property
    def templates_dir(self) -> Path | None:
        """The folder with its templates, if it has one."""
        return self._subfolder("templates")

    @property
    def static_dir(self) -> Path | None:
        """The folder with its static files, if it has one."""
        return self._subfolder("static")

    def part(self, name: str, attribute: str | None = None, kind: Any = object) -> ModuleType | None:  # noqa: ANN401 - a class, perhaps an abstract one
        """Import one of its modules, if it has it.

        Raises BrokenPart, which names the file and the line, for a module that fails, or whose `attribute` is missing
        or of another kind.
        """
        try:
            module = self._module(name)
        except AppError:
            raise
        except Exception as error:
            message, hint = fault_of(error, self.project, self.folder / f"{name}.py") or ("", FIX)
            raise BrokenPart(message, hint=hint) from error
        if module is not None and attribute is not None and not hasattr(module, attribute):
            raise BrokenPart(f"{self._shown(name)} has no `{attribute}`.")
        if module is not None and attribute is not None and not isinstance(getattr(module, attribute), kind):
            raise BrokenPart(f"{self._shown(name)}: `{attribute}` is not a {kind.__name__}.")
        return module

    def load_models(self) -> None:
        """Import its tables, which makes SQLModel's metadata know them."""
        self.part("models")

    def router(self, module_name: str = "routes") -> APIRouter | None:
        """The `router` of its routes.py, or of another module."""
        module = self.part(module_name)
        if module is None:
            return None
        router: APIRouter | None = getattr(module, "router", None)
        if router is None:
            hint = "Add `router = APIRouter()` to it and decorate your handlers with it."
            raise AppError(f"{self.package}/{module_name}.py has no `router`.", hint=hint)
        return router

    def later(self) -> list[str]:
        """The modules beside routes.py whose routers a deprecated LATER of its package names."""
        return [name for name in getattr(self.part(PACKAGE), "LATER", ()) if name != "routes"]

    def admin_views(self) -> list[type]:
        """The views and pages that its admin.py defines, in their order there."""
        module = self.part("admin")
        if module is None:
            return []
        return [
            value
            for value in vars(module).values()
            if isinstance(value, type) and value.__module__ == module.__name__ and _is_admin_view(value)
        ]

    def seed_steps(self) -> list[SeedStep]:
        """The STEPS of its seed.py."""
        module = self.part("seed", "STEPS")
        return list(module.STEPS) if module else []

    def tasks(self) -> list[Task]:
        """The tasks that its tasks.py defines, in the order they stand there."""
        module = self.part("tasks")
        if module is None:
            return []
        from fastopp.tasks.task import Task  # noqa: PLC0415 - only where there are tasks

        # A name may be bound twice, and one task may be imported from another module of the app, but not of others.
        found = {id(value): value for value in vars(module).values() if isinstance(value, Task)}
        return [task for task in found.values() if task.function.__module__.startswith(self.package)]

    def session_entries(self) -> Mapping[str, Callable[[Any], Any]]:
        """The SESSION of its permissions.py: by key, what a browser's session holds about the user that signs in."""
        return getattr(self.part("permissions"), "SESSION", {})

    def probes(self) -> dict[str, Probe]:
        """The PROBES of its probes.py, each with the app's name before its own: `shop.payments`."""
        module = self.part("probes", "PROBES", Mapping)
        return {f"{self.name}.{name}": probe for name, probe in module.PROBES.items()} if module else {}

    def commands(self) -> CommandPlace | None:
        """Return where its commands are, without importing them: the first line of commands.py is their help."""
        path = self.folder / "commands.py"
        if not path.is_file():
            return None
        text = None
        with suppress(SyntaxError, ValueError):  # running one of them reports it
            text = ast.get_docstring(ast.parse(path.read_bytes()))
        return CommandPlace(f"{self.package}.commands:app", (text or f"Commands of {self.package}.").partition("\n")[0])

    def navigation(self) -> list[NavItem]:
        """The NAVIGATION of its package."""
        return list(getattr(self.part(PACKAGE), "NAVIGATION", ()))

    @property
    def project(self) -> Path:
        """The folder that its import path begins in."""
        return self.folder.parents[self.package.count(".")]

    def _shown(self, name: str) -> str:
        return f"{self.package.replace('.', '/')}/{name}.py"

    def _module(self, name: str) -> ModuleType | None:
        if name == PACKAGE:
            return importlib.import_module(self.package)
        return importlib.import_module(f"{self.package}.{name}") if self._has(name) else None

    def _has(self, name: str) -> bool:
        return (self.folder / f"{name}.py").is_file() or (self.folder / name / "__init__.py").is_file()

    def _subfolder(self, name: str) -> Path | None:
        folder = self.folder / name
        return folder if folder.is_dir() else None


def _is_admin_view(value: type) -> bool:
    # SQLAdmin, which is not to be imported for this, marks both kinds with `is_model`; a base class has no model yet.
    return hasattr(value, "model") or getattr(value, "is_model", None) is False


def find_apps(packages: Iterable[str]) -> tuple[App, ...]:
    """Find the named packages without importing what is in them.

    Raises AppError when one is missing, or when two share a name and so would share templates.
    """
    apps: dict[str, App] = {}
    for package in packages:
        app = App(package, _folder(package))
        if app.name in apps:
            raise AppError(
                f"Two apps are named {app.name!r}: {apps[app.name].package} and {package}.",
                hint="Rename the folder of one of them, in the project and in main.py.",
            )
        apps[app.name] = app
    return tuple(apps.values())


def _folder(package: str) -> Path:
    try:
        spec = importlib.util.find_spec(package)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{package}.".startswith(f"{error.name}."):  # what a parent package imports
            raise _broken_parent(package, error) from error
        spec = None
    except Exception as error:
        raise _broken_parent(package, error) from error
    if spec is None or not spec.submodule_search_locations:
        raise AppError(
            f"There is no app {package!r}.",
            hint=f"Make it with `python oppman.py startapp {package}`, or take it out of `apps` in main.py.",
        )
    return Path(spec.submodule_search_locations[0])


def _broken_parent(package: str, error: Exception) -> BrokenPart:
    """Return the error for a package whose own parent cannot be imported."""
    found = fault_of(error, Path.cwd()) or Fault(f"{package}: {type(error).__name__}: {error}", FIX)
    return BrokenPart(found.message, hint=found.hint)
