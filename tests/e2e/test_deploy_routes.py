"""Both documented routes of a project of one's own, pip and uv, to a deployment that answers.

The framework comes from its wheels in the project's git alone. The libraries that it needs are those of the tests, so
that no package index is asked.
"""

from __future__ import annotations

import asyncio
import ensurepip
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import httpx
import pytest

from fastopp.checks.check import Finding
from leapcell_emulator.emulator import Emulator
from leapcell_emulator.emulator_options import EmulatorOptions
from leapcell_emulator.loopback import free_port
from leapcell_emulator.parts import make_services
from tests.gate import full, only_full
from tests.services import checks_project as checks
from tests.services import docker_replay
from tests.services.site import ROOT, SECRET_KEY

BUILD = "import sys; from hatchling.build import build_wheel; print(build_wheel(sys.argv[1]))"
OURS = ("fastopp", "leapcell_emulator", "_editable_impl_", "__editable__", "pip", "distutils-precedence")
OPS_TOKEN = "t0ken-of-these-routes-0123456789-abcdefghijkl"
ENTRY = """
[[package]]
name = "{name}"
version = "0.5.0"
source = {{ path = "wheels/{file}" }}
wheels = [{{ filename = "{file}", hash = "sha256:{digest}" }}]
"""


@dataclass(frozen=True)
class Shelf:
    """What all routes share: the two wheels, and a Python with pip and the libraries, but without the framework."""

    wheels: Path
    libraries: Path
    python: Path

    @property
    def environ(self) -> dict[str, str]:
        """Variables for commands that see the libraries as installed, and no index."""
        return {
            "PATH": f"{self.python.parent}:{os.environ['PATH']}",
            "HOME": os.environ.get("HOME", "/root"),
            "PIP_COMPILE": "0",  # what is not imported is not compiled, which takes half of the time
            "PIP_NO_INDEX": "1",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PYTHONPATH": str(self.libraries),
            "UV_OFFLINE": "1",
        }

    def run(self, folder: Path, *words: str) -> str:
        done = subprocess.run(words, cwd=folder, env=self.environ, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
        return done.stdout


@pytest.fixture(scope="module")
def shelf() -> Iterator[Shelf]:
    if find_spec("hatchling") is None:
        pytest.skip("hatchling is not installed")
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:  # an instance in the emulator has another /tmp
        yield fill_shelf(Path(folder))


def fill_shelf(folder: Path) -> Shelf:
    for place in (ROOT, ROOT / "packages/leapcell-emulator"):
        subprocess.run([sys.executable, "-c", BUILD, folder / "wheels"], cwd=place, check=True, capture_output=True)
    (folder / "libraries").mkdir()
    (site_packages,) = {Path(str(find_spec(name).origin)).parents[1] for name in ("fastapi",)}  # type: ignore[union-attr]
    for entry in site_packages.iterdir():
        if not entry.name.startswith(OURS) and entry.suffix != ".pth":
            (folder / "libraries" / entry.name).symlink_to(entry)
    (pip,) = Path(ensurepip.__file__).parent.glob("_bundled/pip-*.whl")
    with zipfile.ZipFile(pip) as wheel:
        wheel.extractall(folder / "libraries")
    new_environment(folder / "environment")
    shelf = Shelf(folder / "wheels", folder / "libraries", folder / "environment/bin/python")
    shelf.run(folder, "pip", "install", "--quiet", "--no-deps", *map(str, (folder / "wheels").glob("*.whl")))
    return shelf


def start_with_pip(shelf: Shelf, folder: Path) -> None:
    """`pip install ./fastopp` and `fastopp startproject`: the wheels are made by `init`."""
    shelf.run(folder.parent, "fastopp", "startproject", folder.name)


def start_with_uv(shelf: Shelf, folder: Path) -> None:
    """`uv build` of the wheels, which hides them from git, and `uv add` of their files, which locks everything."""
    shelf.run(folder.parent, "fastopp", "startproject", folder.name)
    shutil.copytree(shelf.wheels, folder / "wheels")
    (folder / "wheels/.gitignore").write_text("*")
    (folder / ".python-version").write_text(f"3.{sys.version_info.minor}\n")
    lock = (ROOT / "uv.lock").read_text()
    parts = re.split(r"(?=^\[\[package\]\]$)", lock, flags=re.MULTILINE)
    kept = [part for part in parts if not re.match(r'\[\[package\]\]\nname = "(fastopp|leapcell-emulator)"', part)]
    (framework,) = (part for part in parts if re.match(r'\[\[package\]\]\nname = "fastopp"', part))
    (wheel,) = shelf.wheels.glob("fastopp-*.whl")
    entry = ENTRY.format(name="fastopp", file=wheel.name, digest=hashlib.sha256(wheel.read_bytes()).hexdigest())
    (dependencies,) = re.findall(r"^dependencies = \[\n(?:    .*\n)*\]\n", framework, flags=re.MULTILINE)
    root = f'\n[[package]]\nname = "{folder.name}"\nversion = "0.1.0"\nsource = {{ virtual = "." }}\n'
    (folder / "uv.lock").write_text(
        "".join(kept) + entry + dependencies + root + 'dependencies = [{ name = "fastopp" }]\n'
    )


ROUTES = {"pip": start_with_pip, "uv": start_with_uv}


def clone(shelf: Shelf, route: str, folder: Path, *init: str) -> Path:
    """Start a project, have `oppman.py` write its files, commit it, and return a clone: what a platform gets."""
    project = folder / "shop"
    ROUTES[route](shelf, project)
    shelf.run(project, "python", "oppman.py", *init)
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.com"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "x"]):
        subprocess.run([*git, *words], cwd=project, check=True)
    subprocess.run([*git, "clone", "-q", project, folder / "clone"], check=True)
    return folder / "clone"


async def mistakes(project: Path) -> list[Finding]:
    """Return what the checks of the requirements files find, but those that ask an index."""
    local = checks.local(project)
    return [found for number in ("E321", "E322", "E325") for found in await checks.run_async(number, local)]


@full
@pytest.mark.parametrize("route", ROUTES)
async def test_a_route_ends_in_the_emulator(route: str, shelf: Shelf, tmp_path: Path) -> None:
    folder = clone(shelf, route, tmp_path, "leapcell", "init", "--yes", "--superuser-email", "owner@example.com")
    assert await mistakes(tmp_path / "shop") == []
    libraries = {name: shelf.environ[name] for name in ("PIP_NO_INDEX", "PYTHONPATH")}
    variables = {"FASTOPP_PLATFORM": "leapcell", "SECRET_KEY": SECRET_KEY, "OPS_TOKEN": OPS_TOKEN, **libraries}
    lines: list[str] = []
    emulator = Emulator(
        EmulatorOptions(folder=folder, port=0, async_port=0, variables=variables),
        services=make_services(database=True, object_storage=True, cron=None),
        on_line=lambda name, line: lines.append(f"{name} | {line}"),
    )
    try:
        headers = {"Authorization": f"Bearer {OPS_TOKEN}"}
        async with emulator, httpx.AsyncClient(base_url=emulator.url, headers=headers, timeout=60) as client:
            assert (await client.post("/async/migrate")).status_code == 200
            health = await client.get("/health")
            assert (health.status_code, health.json()["platform"]) == (200, "leapcell")
    except Exception as error:
        error.add_note("\n".join(lines[-60:]))
        raise


@pytest.mark.parametrize("route", ["uv", *only_full("pip")])
def test_a_route_ends_on_fly(route: str, shelf: Shelf, tmp_path: Path) -> None:
    """Each step of the Dockerfile in an empty folder, and its command in fly.toml's environment."""
    folder = clone(shelf, route, tmp_path, "fly", "init", "--yes")
    assert asyncio.run(mistakes(tmp_path / "shop")) == []
    new_environment(tmp_path / "image")
    environ = shelf.environ | {"PATH": f"{tmp_path}/image/bin:{os.environ['PATH']}"}
    image = docker_replay.build(folder, tmp_path / "app", environ)
    assert image.user == "app"
    (tmp_path / "volume").mkdir()
    toml = tomllib.loads((folder / "fly.toml").read_text())
    given = {name: value.replace("/data/", f"{tmp_path}/volume/") for name, value in toml["env"].items()}
    given |= {"FLY_APP_NAME": "shop", "SECRET_KEY": SECRET_KEY, "PORT": str(free_port())}
    with started(image, environ | given, tmp_path / "log") as process:
        url = f"http://127.0.0.1:{given['PORT']}"
        path = toml["http_service"]["checks"][0]["path"]
        assert wait_for(f"{url}{path}", process).status_code == 200
        health = httpx.get(f"{url}/health", timeout=30).json()
        assert health["status"] == "healthy", "migrated, and the volume can be written to"
        process.send_signal(getattr(signal, toml["kill_signal"]))
        process.wait(int(toml["kill_timeout"].removesuffix("s")))
    migrations = len(list((ROOT / "alembic/versions").glob("*.py")))
    assert f"{migrations} migration(s) applied" in (tmp_path / "log").read_text()
    assert (tmp_path / "volume/app.db").is_file()


@full
@pytest.mark.parametrize("route", ROUTES)
def test_docker_builds_the_image(route: str, shelf: Shelf, tmp_path: Path) -> None:
    """Where there is a Docker; it downloads the base image and the libraries."""
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "info"], capture_output=True, check=False).returncode:
        pytest.skip("no Docker daemon runs here")
    folder = clone(shelf, route, tmp_path, "fly", "init", "--yes")
    subprocess.run([docker, "build", "--quiet", "--tag", f"fastopp-route-{route}", folder], check=True)
    words = ["python", "-c", "import os, main; assert os.getuid() == 1000"]
    environ = ["--env", f"SECRET_KEY={SECRET_KEY}", "--env", "FLY_APP_NAME=shop"]
    subprocess.run([docker, "run", "--rm", *environ, f"fastopp-route-{route}", *words], check=True)


def new_environment(folder: Path) -> None:
    """Make a virtual environment that runs the shelf's pip, which takes a fifth of the time of a copy."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (folder / "bin/pip").write_text('#!/bin/sh\nexec "$(dirname "$0")/python" -m pip "$@"\n')
    (folder / "bin/pip").chmod(0o755)


@contextmanager
def started(image: docker_replay.Image, environ: Mapping[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    with (
        log.open("wb") as output,
        subprocess.Popen(
            image.command, cwd=image.folder, env=dict(environ), stdout=output, stderr=subprocess.STDOUT
        ) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


def wait_for(url: str, process: subprocess.Popen[bytes]) -> httpx.Response:
    deadline = time.monotonic() + 60
    while True:
        assert process.poll() is None
        assert time.monotonic() < deadline
        with suppress(httpx.TransportError):
            return httpx.get(url)
        time.sleep(0.1)
