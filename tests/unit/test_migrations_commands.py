"""The command line of migrations: how arguments are understood."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from fastopp.features.migrations.commands import app
from tests.services.migrations import PREVIOUS

ROOT = Path(__file__).parents[2]


def test_a_step_back_is_no_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`-1` begins like an option, but is what the help says."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/test.db")
    run = CliRunner().invoke
    assert run(app, ["upgrade"]).exit_code == 0
    assert run(app, ["downgrade", "-1"]).exit_code == 0
    assert run(app, ["current"]).output.strip() == PREVIOUS
    assert run(app, ["downgrade", "--help"]).exit_code == 0
