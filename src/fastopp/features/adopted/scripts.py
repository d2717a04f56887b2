"""Run a script of FastOpp 0.4.8 as a command."""

from __future__ import annotations

import runpy
import sys
import warnings
from collections.abc import Sequence

from fastopp.console.main_file import find_project_apps


def run_script(module: str, arguments: Sequence[str]) -> None:
    """Run a module as `python module.py arguments` would, with the tables of the project loaded."""
    for app in find_project_apps():
        app.load_models()
    before = sys.argv
    sys.argv = [module, *arguments]
    try:
        with warnings.catch_warnings():
            # The session's `execute`, which old scripts call, works and is not what SQLModel recommends.
            warnings.simplefilter("ignore", DeprecationWarning)
            runpy.run_module(module, run_name="__main__", alter_sys=True)
    finally:
        sys.argv = before
