"""`oppman.py startapp`: the files of a new app that runs at once."""

from __future__ import annotations

import keyword
import re
import sys
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from string import Template

from fastopp.console.main_file import ProjectError, add_apps, list_apps

# Names whose addresses, templates or static files FastOpp has itself.
RESERVED = frozenset({"account", "accounts", "admin", "api", "async", "debug", "docs", "health", "invitation", "login",
                      "logout", "mail", "oppdemo", "oppman", "ops", "static", "templates", "tests", "demo", "main",
                      "alembic"})  # fmt: skip


def start_app(project: Path, package: str) -> list[Path]:
    """Write an app with a table, a page, an API, an admin view, sample data and tests; add it to main.py.

    Parameters
    ----------
    project: the folder with main.py.
    package: its import path, like `shop` or `apps.shop`.

    Returns the files written. Raises ProjectError, and writes nothing, when the name cannot be used.
    """
    name = package.rpartition(".")[2]
    folder = project.joinpath(*package.split("."))
    _check(package, name, folder, project)
    values = {"package": package, "name": name, "title": name.replace("_", " ").capitalize(), "model": _camel(name)}
    written = []
    for source in sorted(resources.files("fastopp.cli").joinpath("app_template").iterdir(), key=lambda s: s.name):
        file_name = source.name.removesuffix(".tmpl").replace("test_app", f"test_{name}")
        target = folder / "templates" / name / file_name if file_name.endswith(".html") else folder / file_name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(Template(source.read_text(encoding="utf-8")).substitute(values), encoding="utf-8")
        written.append(target)
    for parent in list(folder.relative_to(project).parents)[:-1]:
        (project / parent / "__init__.py").touch()
    add_apps(project / "main.py", [package])
    return written


def _check(package: str, name: str, folder: Path, project: Path) -> None:
    hint = "Choose a name of small letters, digits and _, like `shop`."
    if not re.fullmatch(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*", package) or any(
        map(keyword.iskeyword, package.split("."))
    ):
        raise ProjectError(f"{package!r} cannot be the name of an app.", hint=hint)
    if name in RESERVED:
        raise ProjectError(f"{name!r} is a name that FastOpp uses itself.", hint=hint)
    if folder.exists():
        raise ProjectError(f"The folder {folder.relative_to(project)} already exists.", hint="Choose another name.")
    if any(app.rpartition(".")[2] == name for app in list_apps(project / "main.py")):
        raise ProjectError(f"An app named {name!r} already exists.", hint="Choose another name.")
    top = package.partition(".")[0]
    if top in sys.stdlib_module_names or (find_spec(top) is not None and not (project / top).is_dir()):
        raise ProjectError(f"{top!r} would hide the Python package of that name.", hint="Choose another name.")


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_") if part) + "Entry"
