"""Every `sh` block of the README and the guides is run, in the order of its page, in a clean copy of the project.

Each line must succeed. A line that starts the server runs in the background until the end of the page. What a page
supposes to be there is made by a comment `<!-- setup: command -->`. The environment is there already, so `uv` is
replaced by a program that does nothing: nothing is downloaded.
"""

from __future__ import annotations

import compileall
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from leapcell_emulator.loopback import free_port
from tests.gate import full
from tests.services import forks

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
SERVES = re.compile(r"\./script/server|python oppman\.py runserver")
ADDRESS = "127.0.0.1:8000"  # as the pages write it
PATIENCE = 90  # seconds for a page, on a busy machine

# Runs a line in the background and returns once it answers.
SERVE = """
serve() {
    "$@" >server.log 2>&1 &
    for _ in $(seq 300); do
        if curl --silent --fail --output /dev/null "http://127.0.0.1:$PORT/healthz"; then return; fi
        sleep 0.1
    done
    cat server.log >&2
    return 1
}
"""


def commands(page: Path) -> Iterator[str]:
    """What a page says to run, line by line."""
    for token in MarkdownIt().parse(page.read_text(encoding="utf-8")):
        if token.type == "html_block":
            yield from re.findall(r"<!-- setup: (.+?) -->", token.content)
        elif token.type == "fence" and token.info.strip() == "sh":
            yield from filter(None, token.content.splitlines())


SHORT = {"README.md", "apps.md", "tasks.md"}  # the gate runs these
ELSEWHERE = {"tutorial.md"}  # from an empty folder: test_docs_tutorial.py
RUN_PAGES = [page for page in PAGES if any(commands(page)) and page.name not in ELSEWHERE]


def script(page: Path, port: int) -> str:
    """The page as a shell script."""
    lines = [line.replace(ADDRESS, f"127.0.0.1:{port}") for line in commands(page)]
    return SERVE + "set -eux\n" + "\n".join(f"serve {line}" if SERVES.match(line) else line for line in lines) + "\n"


@pytest.fixture(scope="module")
def clean_copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the repository, and nothing that has come about since."""
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed (apt install curl)")
    folder = tmp_path_factory.mktemp("docs") / "project"
    listing = ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    compileall.compile_dir(folder / "src", quiet=1)  # once, instead of for each page
    compileall.compile_dir(folder / "demo", quiet=1)
    uv = folder.parent / "bin/uv"
    uv.parent.mkdir()
    uv.write_text("#!/bin/sh\n")
    uv.chmod(0o755)
    forks.write_shim(uv.with_name("python"))
    return folder


def run(page: Path, clean_copy: Path) -> tuple[int, str]:
    """Run a page in a copy of its own."""
    project = clean_copy.parent / page.stem
    shutil.copytree(clean_copy, project)
    environ = {
        "HOME": os.environ.get("HOME", str(project)),
        "PATH": os.pathsep.join([str(clean_copy.parent / "bin"), str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PORT": str(port := free_port()),
        "PYTHONPATH": str(project / "src"),  # this copy's framework, not the one that is installed
        "UV_PROJECT_ENVIRONMENT": sys.prefix,
    }
    log = clean_copy.parent / f"{page.stem}.log"
    with log.open("w") as output:
        # A session of its own, so that the server can be ended with everything that it started.
        shell = subprocess.Popen(
            ["sh", "-c", script(page, port)],
            cwd=project,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            status = shell.wait(timeout=PATIENCE)
        finally:
            with suppress(ProcessLookupError):  # nothing was left running
                os.killpg(shell.pid, signal.SIGKILL)
            shell.wait()
    return status, log.read_text()


def test_some_pages_are_run() -> None:
    assert {page.name for page in RUN_PAGES} >= {"README.md", "apps.md", "accounts.md"}


@pytest.mark.parametrize(
    "page", [pytest.param(page, id=page.name, marks=[] if page.name in SHORT else [full]) for page in RUN_PAGES]
)
def test_what_a_page_says_works(page: Path, clean_copy: Path) -> None:
    status, output = run(page, clean_copy)
    assert status == 0, output
