"""A new project with a new app, tested by plain pytest: the tests that it comes with, and those in the docs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.services.site import environment, succeed

ROOT = Path(__file__).parents[2]


def test_the_tests_of_a_new_project_pass(tmp_path: Path) -> None:
    project = tmp_path / "shop"
    succeed(tmp_path, "-m", "fastopp.cli.main", "startproject", "shop")
    succeed(project, "oppman.py", "startapp", "books")
    for number, code in enumerate(
        re.findall(r"```python\n(.*?)```", (ROOT / "docs/testing.md").read_text(), re.DOTALL)
    ):
        (project / f"tests/test_docs_{number}.py").write_text(code)
    # As a developer's machine is: settings that would break a deployment, and a program of the virtual environment.
    environ = environment({"PORT": "none", "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"})
    command = [
        project / "script/test",
        "-q",
        "-W",
        "error",
        "-p",
        "no:valkey",
        "-p",
        "no:schemathesis",
        "-p",
        "no:asyncio",
    ]
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "14 passed" in done.stdout
    assert not list(project.rglob("*.db"))
