"""`fastopp adopt`: all of it, in order, beside the old project."""

from __future__ import annotations

import ast
import keyword
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from fastopp.cli.adopt import admin, commands, data, models, routes, statics
from fastopp.cli.adopt.dependencies import add_dependencies
from fastopp.cli.adopt.known import Known
from fastopp.cli.adopt.migrating import migrate_new_project
from fastopp.cli.adopt.old_project import Module, OldProject
from fastopp.cli.adopt.pages import Pages, referenced
from fastopp.cli.adopt.python import Rewriter
from fastopp.cli.adopt.reach import Kept, own_code
from fastopp.cli.adopt.report import FILE, Report
from fastopp.cli.startapp import RESERVED
from fastopp.cli.startproject import start_project
from fastopp.console.main_file import ProjectError, add_apps, list_apps, remove_apps

FALLBACK_NAME = "website"
TEMPLATES = frozenset({".html", ".htm", ".txt", ".xml", ".svg", ".md", ".j2", ".jinja", ".jinja2"})


class NewFolderExists(ProjectError):
    """The folder of the new project is not empty. Nothing was changed."""

    hint = "Name another folder, or remove it first."


def adopt(old: Path, new: Path, *, app: str | None = None, known: Known | None = None) -> Report:
    """Write today's form of the project in `old` to `new`, which does not exist yet. `old` is only read.

    Parameters
    ----------
    app: the name of the app with the project's code; by default made from the name of the old folder.
    known: FastOpp's own code in the old project; by default that of 0.4.1 to 0.4.8.

    Raises
    ------
    NotAnOldProject, NewFolderExists, RowsMissing, MigrationFailed, ProjectError: nothing was written.
    """
    project = OldProject(old.resolve(), known or Known.shipped())
    if new.exists() and (not new.is_dir() or any(new.iterdir())):
        raise NewFolderExists
    if app is not None and not _is_free(app):
        raise ProjectError(f"{app!r} cannot be the name of an app.", hint="Choose another one, like `shop`.")
    report = Report()
    with _written_beside(new) as folder:
        _Adoption(project, folder, app or _app_name(project.root.name), report).run()
    return report


@contextmanager
def _written_beside(new: Path) -> Iterator[Path]:
    """Yield a folder that takes the place of `new` when the block ends, and vanishes when it fails."""
    new.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(dir=new.parent, prefix=f".{new.name}."))
    try:
        folder = staging / new.name  # pyproject.toml takes its name
        folder.mkdir()
        yield folder
        folder.replace(new)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _app_name(folder: str) -> str:
    name = re.sub(r"[^a-z0-9]+", "_", folder.lower()).strip("_")
    return name if _is_free(name) else FALLBACK_NAME


def _is_free(name: str) -> bool:
    """Return whether an app may have a name: no other package has it."""
    taken = name in RESERVED or name in sys.stdlib_module_names or keyword.iskeyword(name)
    return name.isidentifier() and not taken and find_spec(name) is None


class _Adoption:
    def __init__(self, project: OldProject, folder: Path, app: str, report: Report) -> None:
        self.project, self.folder, self.app, self.report = project, folder, app, report
        self.rewriter = Rewriter(project, app, report)
        self.tables = models.find_tables(project)
        self.kept: Kept = own_code(project, _is_root)

    def run(self) -> None:
        """Write everything."""
        start_project(self.folder)
        if not self.tables.with_demo:
            remove_apps(self.folder / "main.py", list_apps(self.folder / "main.py"))
            shutil.rmtree(self.folder / "demo")
        if self.kept or self.tables.own or self.project.own_files("templates"):
            add_apps(self.folder / "main.py", [self.app], first=True)
            self._python()
            self._pages()
        values = data.copy_settings(self.project.root, self.folder, self.report)
        data.copy_uploads(self.project.root, self.folder, values, self.report)
        data.copy_others(self.project.other_files(), self.project.root, self.folder, values, self.report)
        database = data.copy_database(self.project.root, self.folder, values, self.report)
        before = data.count_rows(database) if database else {}
        for path, line, difference in migrate_new_project(self.folder):
            self.report.left(Path(f"(new) {path}"), line, difference)
        if database:
            data.compare_rows(before, data.count_rows(database), self.report)
            data.settle(database)
        self._report_rest()
        for cache in list(self.folder.rglob("__pycache__")):
            shutil.rmtree(cache)
        (self.folder / FILE).write_text(self.report.as_markdown(self.project.root), encoding="utf-8")

    def _python(self) -> None:
        self._write("__init__.py", f'"""{self.app}: adopted from FastOpp 0.4.8."""\n')
        self._write("models.py", models.write_models(self.tables, self.rewriter, self.report))
        if text := admin.write_admin(self.project, self.kept, self.tables, self.rewriter, self.report):
            self._write("admin.py", text)
        scripts = []
        for name, indexes in self.kept.items():
            module = self.project.modules[name]
            if admin.is_admin_module(name) or name == "routes":
                continue
            if commands.is_script(module):
                scripts.append(module)
            self._write(module.path.as_posix(), self._module(module, indexes))
        self._write("routes/__init__.py", routes.write_routes(self.project, self.kept, self.app, self.report))
        if scripts:
            self._write("commands.py", commands.write_commands(scripts, self.app))
            names = ", ".join(module.path.name for module in scripts)
            self.report.did(f"Scripts that are commands now, below `python oppman.py {self.app}`: {names}.")
        self._packages()
        add_dependencies(self.project.root, self.folder, self.rewriter.externals, self.report)

    def _module(self, module: Module, indexes: set[int]) -> str:
        if module.name != routes.MAIN:
            return self.rewriter.rewrite(module, indexes)
        return self.rewriter.rewrite(module, indexes, replace={"app": "router"}, prelude="router = APIRouter()\n\n\n")

    def _pages(self) -> None:
        texts = {
            path.relative_to("templates").as_posix(): (self.project.root / path).read_text(encoding="utf-8")
            for path in self.project.files("templates")
            if path.suffix in TEMPLATES
        }
        own = {path.relative_to("templates").as_posix() for path in self.project.own_files("templates")} & texts.keys()
        code = [path.read_text(encoding="utf-8") for path in (self.folder / self.app).rglob("*.py")]
        rendered = _closure(referenced(code), texts)
        for name in sorted(own - rendered):
            self.report.left(Path("templates") / name, 0, "No carried code renders this template.")
        wanted = rendered | own
        moved = statics.copy_statics(self.project, self.folder, self.app, [texts[each] for each in wanted] + code)
        pages = Pages(self.app, self.report, moved)
        for name, text in pages.rewrite_all({each: texts[each] for each in sorted(wanted)}).items():
            self._write(f"templates/{self.app}/{name}", text)
        if pages.handlers.codes:
            self._write(f"static/{self.app}/handlers.js", pages.handlers.as_javascript())
        if pages.colours:
            (self.folder / "tailwind.css").write_text(statics.tailwind(pages.colours), encoding="utf-8")
            self._write(f"static/{self.app}/theme.css", statics.theme(pages.colours, [texts[each] for each in wanted]))
        self.report.did(f"{len(wanted)} templates.")

    def _report_rest(self) -> None:
        for name in self.kept:
            if self.project.modules[name].is_frameworks:
                path = self.project.modules[name].path
                self.report.left(
                    path, 0, "FastOpp's old code, carried since the project uses it: see docs/api.md for today's."
                )
        routes.report_rest_of_main(self.project, self.kept, self.report)
        for module in self.project.modules.values():
            if module.is_frameworks and module.name != "admin.setup":
                for index in set(module.own) - self.kept.get(module.name, set()):
                    line = module.source.tree.body[index].lineno
                    self.report.left(
                        module.path, line, "Changed here, and replaced by the framework: nothing of it was carried."
                    )
        for path in self.project.own_files("tests"):
            if path.suffix == ".py":
                self.report.left(path, 0, "Tests are not carried: see docs/apps.md for a test of an app.")
        for path in self.project.own_files("alembic/versions"):
            if path.suffix == ".py":
                self.report.left(
                    path, 0, "Not carried: one new migration makes all tables. Check it for data that this one wrote."
                )

    def _packages(self) -> None:
        for path in list((self.folder / self.app).rglob("*.py")):
            for parent in path.relative_to(self.folder / self.app).parents:
                (self.folder / self.app / parent / "__init__.py").touch()

    def _write(self, name: str, text: str) -> None:
        path = self.folder / self.app / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _is_root(module: Module, statement: ast.stmt) -> bool:
    return module.name != routes.MAIN or routes.is_handler(statement)


def _closure(names: set[str], texts: dict[str, str]) -> set[str]:
    """Return the templates among `names`, and those that they include."""
    found: set[str] = set()
    waiting = set(names)
    while waiting:
        name = waiting.pop()
        if name in texts and name not in found:
            found.add(name)
            waiting |= referenced([texts[name]])
    return found
