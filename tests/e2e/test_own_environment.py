"""`python oppman.py` where no environment is active: it goes on in the project's own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.gate import full
from tests.services.site import ROOT, copy_project

BARE = Path(sys.base_prefix) / "bin/python3"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    if subprocess.run([BARE, "-c", "import fastopp"], capture_output=True, check=False).returncode == 0:
        pytest.skip("FastOpp is not installed in an environment, but beside Python")
    return copy_project(tmp_path / "project")


def run(project: Path, *words: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name in ("HOME", "LANG", "TMPDIR")}
    return subprocess.run(
        [BARE, *words], cwd=project, env=kept | {"PATH": "/usr/bin:/bin"}, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("script", ["oppman.py", "oppdemo.py"])
def test_the_environment_of_the_project_is_used(project: Path, script: str) -> None:
    (project / ".venv").symlink_to(sys.prefix)
    done = run(project, f"{project}/{script}", "--help")
    assert done.returncode == 0, done.stderr
    assert f"Usage: {script}" in done.stdout


@pytest.mark.parametrize("script", ["oppman.py", "oppdemo.py"])
def test_without_one_the_message_names_it(project: Path, script: str) -> None:
    done = run(project, f"{project}/{script}", "--help")
    assert done.returncode == 1
    assert done.stderr.startswith(f"FastOpp is not installed in {project}/.venv.\n")
    subprocess.run([BARE, "-m", "venv", "--without-pip", project / ".venv"], check=True)
    again = run(project, f"{project}/{script}", "--help")
    assert (again.returncode, again.stderr) == (1, done.stderr), "it does not start itself again and again"


@full
def test_the_commands_of_the_readme_in_their_order(project: Path) -> None:
    (project / ".venv").symlink_to(sys.prefix)
    (project / "uv.lock").write_bytes((ROOT / "uv.lock").read_bytes())
    printed = re.findall(r"`python (op\w+\.py\s[^`]+)`", (ROOT / "README.md").read_text())
    lines = [line.split() for line in printed if "--url" not in line and "emulate" not in line]
    assert [line[1] for line in lines] == ["startapp", "destroy", "leapcell", "leapcell", "fly"]
    for line in lines:
        asks = "destroy" in line or "init" in line
        done = run(project, *line, *(["--yes"] if asks else []))
        assert done.returncode == (1 if "check" in line else 0), done.stdout + done.stderr  # there is no account yet
        assert "Traceback" not in done.stderr
