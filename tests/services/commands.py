"""Commands of a project, one after the other in one forked process: what each imports is imported once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from subprocess import CompletedProcess
from types import TracebackType
from typing import Self

from tests.services import forks

LOOP = """
import contextlib, io, json, sys
for line in sys.stdin:
    words, out, err, status = json.loads(line), io.StringIO(), io.StringIO(), None
    sys.argv = ["oppman.py", *words]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            from fastopp.cli.oppman import main
            main()
        except SystemExit as leaving:
            status = leaving.code
    print(json.dumps([words, status or 0, out.getvalue(), err.getvalue()]), file=sys.__stdout__, flush=True)
"""


class Commands:
    """`oppman.py`, for a test that needs many of its commands. A test of a start or an end runs a process a command."""

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        words = ["-W", "error", "-c", LOOP]
        self._program = forks.Program(
            words, cwd=folder, env=environ, stdin=forks.PIPE, stdout=forks.PIPE, stderr=forks.PIPE, text=True
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        _, err = self._program.communicate(timeout=60)
        assert not err, err

    def run(self, *words: str) -> CompletedProcess[str]:
        """Run a command to its end."""
        assert self._program.stdin
        assert self._program.stdout
        self._program.stdin.write(json.dumps(words) + "\n")
        self._program.stdin.flush()
        line = self._program.stdout.readline()
        assert line, self._program.communicate(timeout=60)
        return CompletedProcess(*json.loads(line))

    def succeed(self, *words: str) -> str:
        """Run a command that must work; its output."""
        done = self.run(*words)
        assert done.returncode == 0, f"{words}: {done.stdout}\n{done.stderr}"
        return done.stdout
