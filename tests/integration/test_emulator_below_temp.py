"""The emulator of an environment below /tmp, which instances cannot see by themselves: theirs is a private one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import leapcell_emulator
from leapcell_emulator.bubblewrap_sandbox import BubblewrapSandbox
from leapcell_emulator.rules import Rules
from leapcell_emulator.sandbox import TEMP, Room
from tests.services.emulator import running, write_project

ROOT = Path(__file__).parents[2]

APPLICATION = """
import os
from pathlib import Path

import helper
import leapcell_emulator

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        return
    import lazily  # after /tmp was emptied
    text = f"{helper.__file__} {leapcell_emulator.__file__} {lazily.__file__}"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": text.encode()})
"""

# Runs in the environment below /tmp, as `leapcell emulate` would; ends with the answers of an instance.
EMULATE = """
import asyncio, sys
from pathlib import Path
from tests.services.emulator import running

async def main():
    async with running(Path(sys.argv[1]), instances=1, sandbox="bubblewrap") as emulator:
        (instance,) = emulator.emulator.state()["instances"]
        await emulator.emulator.act("wipe", instance["name"])
        answer = await emulator.client.get("/")
        print(answer.status_code, answer.text)

asyncio.run(main())
"""


@pytest.fixture
def below_temp() -> Iterator[Path]:
    """A folder below the machine's /tmp, wherever this test run's own folders are."""
    with tempfile.TemporaryDirectory(dir=TEMP, prefix="below-") as folder:
        yield Path(folder)


@pytest.fixture
def environment(below_temp: Path) -> Path:
    """A virtual environment below /tmp with a clone of the emulator installed in it to be edited, also below /tmp."""
    clone = below_temp / "clone"
    source = Path(leapcell_emulator.__file__).parent
    shutil.copytree(source, clone / "src/leapcell_emulator", ignore=shutil.ignore_patterns("__pycache__"))
    (clone / "src/lazily.py").touch()
    (clone / "src/helper.py").touch()
    environment = below_temp / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    (packages,) = environment.glob("lib/python*/site-packages")
    libraries = [path for path in sys.path if path.endswith("site-packages")]
    (packages / "clone.pth").write_text("\n".join([str(clone / "src"), *libraries]))
    return environment


def test_an_environment_and_a_clone_below_tmp(below_temp: Path, environment: Path) -> None:
    start = "python -m uvicorn --host 0.0.0.0 --port 8080 main:app"
    project = write_project(below_temp / "project", start, main=APPLICATION)
    answer = subprocess.run(
        [environment / "bin/python", "-c", EMULATE, project],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": ""},
    )
    source = below_temp / "clone/src"
    assert answer.stdout == f"200 {source}/helper.py {source}/leapcell_emulator/__init__.py {source}/lazily.py\n", (
        answer.stderr
    )


async def test_a_built_environment_below_tmp(below_temp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where /var/tmp cannot be written, deployments are made below /tmp too."""
    monkeypatch.setattr("leapcell_emulator.workplace.shared_parent", lambda: below_temp)
    start = "$VIRTUAL_ENV/bin/python -m http.server --bind 0.0.0.0 8080"
    project = write_project(below_temp / "project", start, build="python -m venv --help > /dev/null")
    async with running(project, build=True, instances=1, sandbox="bubblewrap") as emulator:
        assert (await emulator.client.get("/")).status_code == 200


def test_what_is_below_tmp_is_read_only_there(
    below_temp: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (below_temp / "library").mkdir()
    (below_temp / "library/module.py").touch()
    (below_temp / "secret").touch()
    monkeypatch.syspath_prepend(below_temp / "library")
    folder, temp = tmp_path / "project", tmp_path / "temp"
    folder.mkdir()
    temp.mkdir()
    room = Room(folder=folder, temp=temp)
    assert below_temp / "library" in room.covered_by_temp()
    command = BubblewrapSandbox().wrap(
        ["bash", "-c", f"ls {below_temp}; ! touch {below_temp}/library/module.py 2>/dev/null && echo refused"],
        room,
        Rules(),
    )
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "library\nrefused\n"


def test_tmp_itself_stays_private(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A script in /tmp has Python look for modules there."""
    monkeypatch.syspath_prepend(TEMP)
    assert Path(TEMP) not in Room(folder=tmp_path, temp=tmp_path).covered_by_temp()
