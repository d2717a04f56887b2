"""Commands that are imported when they are run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import typer.main
from typer.testing import CliRunner

from fastopp.cli import oppdemo, oppman
from fastopp.console.lazy import lazy_app

ROOT = Path(__file__).parents[2]
HEAVY = ("fastapi", "starlette", "sqladmin", "sqlalchemy", "sqlmodel", "alembic", "PIL")


@pytest.mark.parametrize("program", [oppman, oppdemo])
def test_the_help_says_of_a_command_what_the_command_says_of_itself(program: Any) -> None:
    group: Any = typer.main.get_command(program.app)
    for name, (_, help_text) in program.COMMANDS.items():
        assert " ".join(group.commands[name].help.split()) == help_text, name


def test_a_command_that_does_not_exist() -> None:
    result = CliRunner().invoke(oppman.app, ["fils"])
    assert result.exit_code == 2
    assert "Did you mean 'files'" in result.output


def test_groups_and_functions() -> None:
    places = {
        "files": ("fastopp.features.files.commands:app", "Files."),
        "demo": ("fastopp.cli.own_project:demo", "The demo."),
    }
    small = lazy_app(places, add_completion=False)
    assert "The demo." in CliRunner().invoke(small, ["--help"]).output
    assert "oppdemo.py" in CliRunner().invoke(small, ["demo"]).output
    assert "verify" in CliRunner().invoke(small, ["files", "--help"]).output
