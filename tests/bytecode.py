"""The byte code of the tests, which pytest keeps: made by one process, not by each worker at the same time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
FEW = 20
"""Files that each worker may as well compile."""


def pytest_configure(config: pytest.Config) -> None:
    """Compile many files, as in a new clone, before the workers start: it takes more than collection."""
    if not config.getoption("numprocesses", None) or sys.dont_write_bytecode:
        return
    files = [path for path in sorted(TESTS.glob("*/test_*.py")) if not is_compiled(path)]
    if len(files) > FEW:
        command = [sys.executable, "-m", "pytest", "--collect-only", "--quiet", "--numprocesses=0", *files]
        subprocess.run(command, stdout=subprocess.DEVNULL, check=False)  # the workers report what is wrong


def is_compiled(path: Path) -> bool:
    """Return whether pytest has compiled this file as it is."""
    kept = (path.parent / "__pycache__").glob(f"{path.stem}.*-pytest-*.pyc")
    return any(each.stat().st_mtime >= path.stat().st_mtime for each in kept)
