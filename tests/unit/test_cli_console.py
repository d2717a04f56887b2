"""How a command ends, and how it prints what somebody else has named."""

from __future__ import annotations

import subprocess
import sys

from fastopp.cli.console import EXIT_INTERRUPTED, in_one_line

INTERRUPTED = """
import threading
from fastopp.cli.console import command

@command
async def interrupted():
    threading.Thread(target=threading.Event().wait).start()
    print("so far")
    raise KeyboardInterrupt

interrupted()
"""


def test_an_interrupted_command_waits_for_no_thread() -> None:
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (EXIT_INTERRUPTED, "so far\n", "Aborted.\n")


def test_control_characters_are_shown_and_not_obeyed() -> None:
    assert in_one_line("a\nb\x1b[2J\x9b ü :ok:") == "a\\nb\\x1b[2J\\x9b ü :ok:"
