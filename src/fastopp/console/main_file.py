"""The list of apps in a project's main.py, read and changed without running it."""

from __future__ import annotations

import ast
import json
import os
import secrets
import stat
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, cast

from fastopp.core.app_settings import app_settings
from fastopp.core.apps import App, CommandPlace, find_apps
from fastopp.errors import FastOppError

if TYPE_CHECKING:
    from fastopp.settings import AppSettings


class ProjectError(FastOppError):
    """This folder does not hold a FastOpp project."""


def find_project_apps() -> tuple[App, ...]:
    """The apps of the project in the current folder, without running main.py and so without its settings."""
    enter_project()
    return find_apps(list_apps(Path("main.py")))


def project_apps() -> tuple[App, ...]:
    """Return the same; none where there is no project."""
    return find_project_apps() if Path("main.py").is_file() else ()


def project_commands() -> dict[str, CommandPlace]:
    """Return the commands of the apps of the project in the current folder, by app; none where there is no project.

    Raises
    ------
    ProjectError, AppError: for a main.py that cannot be read, and for an app that does not exist.
    """
    return {app.name: place for app in project_apps() if (place := app.commands())}


def project_settings() -> list[type[AppSettings]]:
    """Return the settings classes of the apps of the project in the current folder; none where there is no project.

    Raises as `project_commands` does.
    """
    return app_settings(project_apps())


def enter_project() -> None:
    """Have Python import from the current folder. Raises ProjectError if it holds no project."""
    if not Path("main.py").is_file():
        raise ProjectError("There is no main.py here.", hint="Run the command in the folder of your project.")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))


def list_apps(main: Path) -> list[str]:
    """The apps that main.py lists, read without running it."""
    return [entry.value for entry in _entries(main.read_text(encoding="utf-8"))]


def add_apps(main: Path, apps: Iterable[str], *, first: bool = False) -> None:
    """Write apps into the list in main.py, at its end or its start, unless they are there."""
    source = main.read_text(encoding="utf-8")
    present = [entry.value for entry in _entries(source)]
    new = [app for app in apps if app not in present]
    if new:
        _replace_list(main, source, new + present if first else present + new)


def remove_apps(main: Path, apps: Iterable[str]) -> None:
    """Take apps out of the list in main.py."""
    source = main.read_text(encoding="utf-8")
    gone = set(apps)
    present = [entry.value for entry in _entries(source)]
    if gone & set(present):
        _replace_list(main, source, [app for app in present if app not in gone])


def set_title(main: Path, title: str, description: str) -> None:
    """Write the site's name and description into the call of `FastOpp` in main.py. Raises ProjectError."""
    for name, value in (("description", description), ("title", title)):
        source = main.read_text(encoding="utf-8")
        call = _call(source)
        literal = json.dumps(value, ensure_ascii=False)
        present = next((keyword.value for keyword in call.keywords if keyword.arg == name), None)
        if present is not None:
            _replace(main, source, present, literal)
        else:
            first = call.keywords[0]  # `apps`, or what stands before it
            _replace(main, source, first, f"{name}={literal}, {ast.get_source_segment(source, first)}")


def read_title(main: Path) -> str | None:
    """Return the site's name that main.py gives, read without running it. Raises ProjectError."""
    values = [keyword.value for keyword in _call(main.read_text(encoding="utf-8")).keywords if keyword.arg == "title"]
    return next((each.value for each in values if isinstance(each, ast.Constant) and isinstance(each.value, str)), None)


_HINT = 'Write it as `app = FastOpp(apps=["…"])`, or change the list by hand.'


class _Entry(ast.Constant):
    value: str


def _entries(source: str) -> list[_Entry]:
    return [cast("_Entry", element) for element in _list(source).elts]


def _call(source: str) -> ast.Call:
    """The call of `FastOpp(apps=[...])`. Raises ProjectError."""
    try:
        tree = ast.parse(source)
    except SyntaxError as error:
        raise ProjectError(f"main.py, line {error.lineno}: {error.msg}.", hint="Fix it and try again.") from None
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    for call in calls:
        lists = [each for each in call.keywords if each.arg == "apps" and isinstance(each.value, ast.List)]
        if lists and ast.unparse(call.func).endswith("FastOpp"):
            return call
    raise ProjectError("main.py has no `FastOpp(apps=[...])` that can be changed.", hint=_HINT)


def _list(source: str) -> ast.List:
    """The list literal of `FastOpp(apps=[...])`."""
    found = next(keyword.value for keyword in _call(source).keywords if keyword.arg == "apps")
    if isinstance(found, ast.List) and all(
        isinstance(each, ast.Constant) and isinstance(each.value, str) for each in found.elts
    ):
        return found
    raise ProjectError("The list of apps in main.py holds more than plain names.", hint=_HINT)


def _replace_list(main: Path, source: str, apps: list[str]) -> None:
    node = _list(source)
    line = source.splitlines()[node.lineno - 1]
    indent = " " * (len(line) - len(line.lstrip()))
    items = "".join(f"{indent}    {_quoted(app)},\n" for app in apps)
    _replace(main, source, node, f"[\n{items}{indent}]" if apps else "[]")


def _replace(main: Path, source: str, node: ast.expr | ast.keyword, text: str) -> None:
    """Write other text in place of a node, whose columns are counted in bytes."""
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line.encode()))
    data = source.encode()
    begin = starts[node.lineno - 1] + node.col_offset
    end = starts[cast("int", node.end_lineno) - 1] + cast("int", node.end_col_offset)
    write_atomically(main, data[:begin] + text.encode() + data[end:])


def _quoted(app: str) -> str:
    return f'"{app}"'


def write_atomically(path: Path, data: bytes, *, mode: int | None = None) -> None:
    """Replace a file as a whole: after a crash it has the old content or the new.

    Without `mode` it keeps its mode, and a new file has the one that the umask gives, as with `open`.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    if mode is None and path.exists():
        mode = stat.S_IMODE(path.stat().st_mode)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666 if mode is None else mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if mode is not None:
            temporary.chmod(mode)  # the umask may have taken something away
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
