"""`oppman.py shell`, `run` and `dbshell`."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer
from typer.testing import CliRunner

from fastopp.core.apps import find_apps
from fastopp.database.migrations import migrate
from fastopp.features.shell import commands
from fastopp.features.shell.console import AwaitingConsole
from fastopp.settings.database_url import DatabaseURL
from tests.services.migrations import ROOT, settings_for

ADD = "session.add(Product(name='{}', price=1)); await session.flush()"
COUNT = "print('found', len((await session.exec(select(Product))).all()), settings.platform.name)"


@pytest.fixture
def project(tmp_path, monkeypatch):
    settings = settings_for(f"sqlite:///{tmp_path}/test.db")
    asyncio.run(migrate.upgrade(settings, folder=ROOT / "alembic"))
    monkeypatch.setattr(
        commands,
        "load_project",
        lambda: SimpleNamespace(settings=settings, apps=find_apps(["demo.products"]), title="Shop"),
    )
    return tmp_path


def rows(folder):
    connection = sqlite3.connect(folder / "test.db")
    found = [name for (name,) in connection.execute("SELECT name FROM products")]
    connection.close()
    return found


def type_in(monkeypatch, *lines):
    left = iter(lines)

    def read(_prompt=""):
        if (line := next(left, None)) is None:
            raise EOFError
        return line

    monkeypatch.setattr("builtins.input", read)
    commands.shell()


def test_a_shell_awaits_and_forgets_what_is_not_committed(project, monkeypatch, capsys):
    type_in(monkeypatch, ADD.format("kept"), "await session.commit()", ADD.format("lost"), COUNT, "await no_such_name")
    said = capsys.readouterr()
    assert "found 2 local" in said.out
    assert "NameError" in said.err
    assert rows(project) == ["kept"]


def test_an_exit_closes_what_is_open(project, monkeypatch):
    with pytest.raises(SystemExit):
        type_in(monkeypatch, ADD.format("lost"), "exit()")
    assert rows(project) == []


def test_a_line_without_await_and_one_of_several_lines(capsys):
    with asyncio.Runner() as runner:
        console = AwaitingConsole({}, runner)
        for line in ("async def twice(x):", "    return 2 * x", "", "await twice(21)", "1 + 1"):
            console.push(line)
    assert capsys.readouterr().out.split() == ["42", "2"]


def run_script(project: Path, text: str, *arguments: str):
    script = project / "script.py"
    script.write_text(text)
    app = typer.Typer()
    app.command()(commands.run)
    return CliRunner().invoke(app, [str(script), *arguments])


def test_a_script_is_one_transaction(project):
    done = run_script(project, f"import sys\n{ADD.format('a')}\n{COUNT}\nprint(sys.argv[1:], __name__)\n", "x")
    assert done.exit_code == 0, done.output
    assert "found 1 local\n['x'] __main__" in done.output
    failed = run_script(project, f"{ADD.format('b')}\nraise ValueError('no')\n")
    assert isinstance(failed.exception, ValueError)
    assert rows(project) == ["a"]


def test_a_script_that_is_not_there(project, capsys):
    with pytest.raises(typer.Exit):
        commands.run(project / "none.py")
    assert "none.py cannot be read" in capsys.readouterr().err


def test_the_databases_own_shell(project, monkeypatch, tmp_path):
    client = tmp_path / "bin/sqlite3"
    client.parent.mkdir()
    client.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/called\nexit 3\n')
    client.chmod(0o755)
    monkeypatch.setenv("PATH", str(client.parent))
    with pytest.raises(typer.Exit) as ended:
        commands.dbshell()
    assert ended.value.exit_code == 3
    assert (tmp_path / "called").read_text().strip() == f"{tmp_path}/test.db"


def test_no_client_is_one_sentence(project, monkeypatch, capsys):
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    with pytest.raises(typer.Exit):
        commands.dbshell()
    assert "sqlite3 is not installed" in capsys.readouterr().err


def test_a_password_is_no_argument():
    url = DatabaseURL.parse("postgresql://me:s3cr%40t@db.test/app?sslmode=require")
    program, arguments, environment = commands.database_client(url)
    assert (program, environment) == ("psql", {"PGPASSWORD": "s3cr@t"})
    assert arguments == ["postgresql://me@db.test:5432/app?sslmode=require"]
