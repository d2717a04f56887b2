"""The migration of the project's own tables, which a new database needs and an old one has already.

`python -m fastopp.cli.adopt.migrating`, in the new project's folder, writes it and brings the copied database up to
it. It runs in a separate process, since it imports the project.
"""

from __future__ import annotations

import ast
import asyncio
import json
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path

from fastopp.cli.adopt.data import DATABASE
from fastopp.cli.adopt.edits import Source
from fastopp.console.main_file import ProjectError, enter_project, find_project_apps
from fastopp.database.migrations import migrate
from fastopp.features.css.compiling import CssInvalid, TailwindMissing, compile_project
from fastopp.settings import load_settings
from fastopp.settings.child_environment import without_settings
from fastopp.settings.loading import read_own_variables

TITLE = "Tables of the adopted project"
_LACKS = '''
def lacks(table: str, column: str) -> bool:
    """Return whether a column is still to be added: an old database may have it."""
    if op.get_context().as_sql:
        return True
    return column not in {found["name"] for found in sa.inspect(op.get_bind()).get_columns(table)}

'''
_TIMES = '''
def say_that_times_are_utc() -> None:
    """Give the times of existing tables their timezone, on PostgreSQL; they were UTC."""
    if op.get_context().dialect.name != "postgresql" or op.get_context().as_sql:
        return
    for table, columns in TIMES.items():
        for column in sa.inspect(op.get_bind()).get_columns(table):
            if column["name"] in columns and not column["type"].timezone:
                name = column["name"]
                change = f'ALTER COLUMN "{name}" TYPE timestamp with time zone'
                op.execute(f"ALTER TABLE \\"{table}\\" {change} USING \\"{name}\\" AT TIME ZONE 'UTC'")

'''


class MigrationFailed(ProjectError):
    """The new project's tables could not be compared with its database. Nothing was kept."""


Problem = tuple[str, int, str]
"""A file of the new project, a line in it, and what is wrong."""


def migrate_new_project(project: Path) -> list[Problem]:
    """Write the migration and migrate the copied database; return what is wrong after that. Raises MigrationFailed."""
    done = subprocess.run(
        [sys.executable, "-m", "fastopp.cli.adopt.migrating"],
        cwd=project, env=without_settings(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"It ended with status {done.returncode}."]
        raise MigrationFailed(f"The new project does not start: {lines[-1]}", hint="\n".join(lines[-12:-1]) or None)
    return [(path, line, text) for path, line, text in json.loads(done.stdout.splitlines()[-1])]


def _import_errors() -> Iterator[Problem]:
    """Import the routes and the admin views, too."""
    for app in find_project_apps():
        for load in (app.router, app.admin_views):
            try:
                load()
            except Exception as error:  # noqa: BLE001 - any, in the project's code: it is reported with its place
                frame = traceback.extract_tb(error.__traceback__)[-1]
                path = Path(frame.filename)
                shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
                yield str(shown), frame.lineno or 0, f"{type(error).__name__}: {error}"


def _compile_css() -> Iterator[Problem]:
    """Compile the classes of the project's pages."""
    try:
        compile_project(Path.cwd(), find_project_apps())
    except (TailwindMissing, CssInvalid) as error:
        yield "static/app.css", 0, f"{error.message} Then run `python oppman.py css`."


async def _migrate(*, has_database: bool) -> list[str]:
    variables = read_own_variables()
    with tempfile.TemporaryDirectory() as folder:
        empty = load_settings({**variables, "DATABASE_URL": f"sqlite:///{folder}/empty.db"})
        await migrate.upgrade(empty)
        await migrate.make_migration(empty, TITLE)
    await asyncio.to_thread(_make_tolerant)
    if not has_database:
        return []
    settings = load_settings({**variables, "DATABASE_URL": f"sqlite:///./{DATABASE}"})
    await migrate.upgrade(settings)
    return list((await migrate.check(settings)).differences)


def _make_tolerant() -> None:
    for path in Path("alembic/versions").glob(f"*{TITLE.lower().replace(' ', '_')}.py"):
        path.write_text(tolerant(path.read_text(encoding="utf-8")), encoding="utf-8")


def tolerant(text: str) -> str:
    """Return a migration that leaves alone what exists already, and gives existing times their timezone."""
    source = Source(text)
    upgrade = next(each for each in source.tree.body if isinstance(each, ast.FunctionDef) and each.name == "upgrade")
    times: dict[str, list[str]] = {}
    helpers = set()
    for table, node in _operations(upgrade):
        operation = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        if operation in ("create_table", "create_index"):
            last = [*node.args, *(each.value for each in node.keywords)][-1]
            source.insert(source.span(last)[1], ", if_not_exists=True")
        elif operation == "add_column":
            column = next(name for name in _columns(node))
            indent = " " * (node.col_offset + 4)
            source.insert(source.span(node)[0], f"if lacks({table!r}, {column!r}):\n{indent}")
            helpers.add(_LACKS)
        if names := [name for name, type_ in _columns(node).items() if type_.startswith("sa.DateTime")]:
            times.setdefault(table, []).extend(names)
    if times:
        source.insert(source.span(upgrade.body[-1])[1], "\n    say_that_times_are_utc()")
        helpers |= {f"TIMES = {times!r}\n\n", _TIMES}
    source.insert(source.span(upgrade)[0], "".join(f"{each}\n" for each in sorted(helpers, reverse=True)))
    return source.result()


def _operations(upgrade: ast.FunctionDef) -> Iterator[tuple[str, ast.Call]]:
    """Yield the operations with their table, in order."""
    for statement in upgrade.body:
        table = ""
        for node in ast.walk(statement):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            texts = [each.value for each in node.args if isinstance(each, ast.Constant) and isinstance(each.value, str)]
            if node.func.attr in ("batch_alter_table", "create_table", "add_column") and texts:
                table = texts[0]
            if ast.unparse(node.func.value) in ("op", "batch_op"):
                yield table, node


def _columns(operation: ast.Call) -> dict[str, str]:
    """Return the columns of an operation with the text of their type."""
    return {
        each.args[0].value: ast.unparse(each.args[1])
        for each in ast.walk(operation)
        if isinstance(each, ast.Call)
        and ast.unparse(each.func) == "sa.Column"
        and len(each.args) > 1
        and isinstance(each.args[0], ast.Constant)
        and isinstance(each.args[0].value, str)
    }


if __name__ == "__main__":
    enter_project()
    found: list[Problem] = [
        ("alembic", 0, difference) for difference in asyncio.run(_migrate(has_database=Path(DATABASE).is_file()))
    ]
    sys.stdout.write("\n" + json.dumps([*found, *_import_errors(), *_compile_css()]) + "\n")
