"""The wheel as a stranger gets it: what is in it, and a project made from nothing but it."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

from fastopp.cli.startproject import TEMPLATE

ROOT = Path(__file__).parents[2]

# In a process of its own, since hatchling works on the current folder. Nothing is downloaded.
BUILD = "import sys; from hatchling.build import build_wheel; print(build_wheel(sys.argv[1]))"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The content of the wheel in FASTOPP_WHEELS, or else of one built here, as pip unpacks it."""
    folder = tmp_path_factory.mktemp("wheel")
    wheels = os.environ.get("FASTOPP_WHEELS")
    (wheel,) = Path(wheels).glob("fastopp-*.whl") if wheels else [build(folder)]
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def build(folder: Path) -> Path:
    if find_spec("hatchling") is None:
        pytest.skip("hatchling is not installed")
    done = subprocess.run([sys.executable, "-c", BUILD, folder], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("*.whl")
    return wheel


def run(installed: Path, cwd: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Python with the wheel's fastopp in place of the checkout's."""
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(installed)}
    command = [sys.executable, *words]
    return subprocess.run(command, cwd=cwd, env=environ, capture_output=True, text=True, timeout=60, check=False)


def test_the_wheel_has_one_copy_of_every_file(installed: Path) -> None:
    template = installed / "fastopp/project_template"
    assert {path.name for path in template.iterdir()} == set(TEMPLATE)
    assert {path.name for path in installed.iterdir() if not path.name.endswith(".dist-info")} == {"fastopp"}
    for path in template.rglob("*"):
        if path.is_file():
            assert path.read_bytes() == (ROOT / path.relative_to(template)).read_bytes()
    for name in (
        "web/static/app.css",
        "web/templates/base.html",
        "cli/app_template/models.py.tmpl",
        "features/css/look.css",
        "features/css/daisyui/index.js",
        "features/css/daisyui/LICENSE",
        "features/leapcell/workflow.yml",
        "py.typed",
    ):
        assert (installed / "fastopp" / name).is_file()


def test_the_wheel_brings_its_commands(installed: Path) -> None:
    (entry_points,) = installed.glob("*.dist-info/entry_points.txt")
    lines = entry_points.read_text().splitlines()
    assert "fastopp = fastopp.cli.main:main" in lines
    assert "fastopp-startproject = fastopp.cli.main:startproject_main" in lines


def test_a_project_made_from_the_wheel_runs(installed: Path, tmp_path: Path) -> None:
    started = run(installed, tmp_path, "-m", "fastopp.cli.main", "startproject", "shop")
    assert started.returncode == 0, started.stderr
    project = tmp_path / "shop"
    which = run(installed, project, "-c", "import fastopp; print(fastopp.__file__)")
    assert which.stdout.startswith(str(installed))
    done = run(installed, project, "oppdemo.py", "init")
    assert done.returncode == 0, done.stdout + done.stderr
    page = "import main, starlette.testclient as t\nwith t.TestClient(main.app) as c: print(c.get('/').status_code)"
    assert run(installed, project, "-W", "ignore", "-c", page).stdout.strip() == "200"
