"""`oppman.py leapcell emulate` alone, for tests that end it."""

from __future__ import annotations

import typer

from fastopp.features.leapcell.emulate import emulate

if __name__ == "__main__":
    typer.run(emulate)
