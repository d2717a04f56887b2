"""How a command ends, and how it prints what somebody else has named."""

from __future__ import annotations

import pytest

from fastopp.console.output import in_one_line
from tests.services import forks

PROGRAM = """
import threading, typer
from fastopp.console.output import EXIT_FAILED, command, run_program

app = typer.Typer()

@app.command()
@command
async def leaves_a_thread():
    threading.Thread(target=threading.Event().wait).start()
    print("so far")
    raise {ending}

run_program(app)
"""


@pytest.mark.parametrize(("ending", "status"), [("typer.Exit(EXIT_FAILED)", 1), ("KeyboardInterrupt", 130)])
def test_a_program_waits_for_no_thread(ending: str, status: int) -> None:
    code = PROGRAM.format(ending=ending)
    done = forks.run(["-c", code], text=True)
    assert (done.returncode, done.stdout) == (status, "so far\n")


def test_control_characters_are_shown_and_not_obeyed() -> None:
    assert in_one_line("a\nb\x1b[2J\x9b ü :ok:") == "a\\nb\\x1b[2J\\x9b ü :ok:"
