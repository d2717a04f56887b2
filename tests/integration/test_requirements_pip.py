"""The requirements files, installed by pip itself, without a network."""

from __future__ import annotations

import hashlib
import os
import shutil
import site
import subprocess
import sys
from pathlib import Path

import pytest

from fastopp.checks.errors import CannotCheck
from fastopp.checks.requirement_lines import REQUIREMENTS, UNHASHED, install_commands, install_line
from fastopp.features.deployment.deploy_files import requirements_files
from tests.gate import full
from tests.services import checks_project as checks
from tests.services import tiny_backend
from tests.services.emulator import running, write_project

ROOT = Path(__file__).parents[2]
OFFLINE = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "wheels", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
LOCK = """\
version = 1
requires-python = ">=3.11"

[[package]]
name = "shop"
version = "0.1"
source = {{ editable = "." }}
dependencies = [{{ name = "tomato" }}]

[[package]]
name = "tomato"
version = "1.0"
source = {{ registry = "https://pypi.org/simple" }}
wheels = [{{ url = "https://files.example/tomato-1.0-py3-none-any.whl", hash = "sha256:{hash}" }}]
"""
PYPROJECT = """\
[project]
name = "shop"
version = "0.1"
dependencies = ["tomato"]

[build-system]
requires = []
build-backend = "tiny_backend"
backend-path = ["."]
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with pip that also sees the packages of the tests' own."""
    folder = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    own = site.getsitepackages()[0]
    (packages / "own.pth").write_text(f"import site; site.addsitedir({own!r})\n")
    return folder / "bin/python"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project that is a package, with what it needs in a folder of wheels."""
    folder = tmp_path / "project"
    (folder / "wheels").mkdir(parents=True)
    wheel = tiny_backend.write_wheel(folder / "wheels", "tomato", "1.0")
    (folder / "uv.lock").write_text(LOCK.format(hash=hashlib.sha256(wheel.read_bytes()).hexdigest()))
    (folder / "pyproject.toml").write_text(PYPROJECT)
    shutil.copy(str(tiny_backend.__file__), folder)
    for file in requirements_files(folder):
        (folder / file.name).write_text(file.text)
    return folder


def install(python: Path, project: Path, name: str) -> subprocess.CompletedProcess[str]:
    """Run the command for one of the two files, with a folder of the project as the place to install to."""
    pip = [str(python), "-m", "pip", "install", "--target", "installed"]
    (command,) = (each for each in install_commands(pip, both=True) if each[-1] == name)
    return subprocess.run(
        command, cwd=project, env=os.environ | OFFLINE, capture_output=True, text=True, check=False, timeout=120
    )


@full
def test_pip_installs_both_files(python: Path, project: Path) -> None:
    for name in (REQUIREMENTS, UNHASHED):
        done = install(python, project, name)
        assert done.returncode == 0, done.stderr
    assert {path.name for path in (project / "installed").glob("*.py")} == {"tomato.py", "shop.py"}


@full
def test_pip_refuses_another_file_than_the_locked_one(python: Path, project: Path) -> None:
    wheel = tiny_backend.write_wheel(project / "wheels", "tomato", "1.0")
    wheel.write_bytes(wheel.read_bytes() + b"\0")
    done = install(python, project, REQUIREMENTS)
    assert done.returncode == 1
    assert "DO NOT MATCH THE HASHES" in done.stderr
    assert not (project / "installed").exists()


@full
def test_pip_wants_a_hash_for_each_line(python: Path, project: Path) -> None:
    """So the project itself cannot be in the first file."""
    with (project / REQUIREMENTS).open("a") as file:
        file.write(".\n")
    done = install(python, project, REQUIREMENTS)
    assert done.returncode == 1
    assert "hashes" in done.stderr
    assert not (project / "installed").exists()


def test_a_dry_run_finds_what_no_index_has(python: Path, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An index without packages answers; then there is none, which proves nothing."""
    monkeypatch.setenv("PATH", f"{python.parent}:/usr/bin:/bin")  # pip, and no uv
    for name in ("PIP_NO_INDEX", "UV_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    (project / "index").mkdir()
    monkeypatch.setenv("PIP_INDEX_URL", (project / "index").as_uri())
    (project / UNHASHED).unlink()
    (project / REQUIREMENTS).write_text("./wheels/tomato-1.0-py3-none-any.whl\n")
    assert checks.run("E326", checks.local(project)) == []
    (project / REQUIREMENTS).write_text("fastopp>=99\n")
    (finding,) = checks.run("E326", checks.local(project))
    assert finding.message.startswith("requirements.txt cannot be installed: Could not find a version")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:1/simple")
    with pytest.raises(CannotCheck, match="No package index answers"):
        checks.run("E326", checks.local(project))


@full
async def test_the_emulator_builds_with_both_files(project: Path) -> None:
    exports = " ".join(f"{name}={value}" for name, value in OFFLINE.items())
    build = f"export {exports} && {install_line(both=True)} && python -c 'import shop, tomato'"
    write_project(project, "python -m http.server 8080", build=build)
    async with running(project, instances=1, build=True) as service:
        assert (await service.client.get("/requirements.txt")).text == (project / REQUIREMENTS).read_text()


@full
def test_leapcell_build_installs_both_files(python: Path, project: Path) -> None:
    (project / "main.py").write_text("from fastopp.core.application import FastOpp\n\napp = FastOpp(apps=[])\n")
    shutil.copy(ROOT / "oppman.py", project)
    done = subprocess.run(
        [python, "oppman.py", "leapcell", "build", "--no-check"],
        cwd=project, env=os.environ | OFFLINE, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for name in (REQUIREMENTS, UNHASHED):
        assert f"Installed {name}." in done.stdout
    subprocess.run([python, "-c", "import shop, tomato"], cwd="/", check=True)
