"""A command that was asked for JSON prints it when it fails, too."""

from __future__ import annotations

import json

import pytest
import typer

from fastopp.console.output import command, plain_command
from fastopp.errors import FastOppError


@command
async def ask(*, as_json: bool = False) -> None:
    raise FastOppError("The Object Storage cannot be reached.", hint="Try again.")


@plain_command
def ask_plainly(*, as_json: bool = False) -> None:
    raise FastOppError("The Object Storage cannot be reached.", hint="Try again.")


@pytest.mark.parametrize("run", [ask, ask_plainly])
def test_an_error_is_json_where_json_was_asked_for(run, capsys: pytest.CaptureFixture[str]) -> None:
    for as_json in (True, False):
        with pytest.raises(typer.Exit) as end:
            run(as_json=as_json)
        printed = capsys.readouterr()
        assert end.value.exit_code == 1
        assert "cannot be reached" in printed.err
        if not as_json:
            assert printed.out == ""
            continue
        assert json.loads(printed.out) == {
            "status": "error", "message": "The Object Storage cannot be reached.", "hint": "Try again.",
        }  # fmt: skip
