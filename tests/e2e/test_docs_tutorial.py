"""Every command and every file of docs/tutorial.md, in their order, from an empty folder to the emulator.

What the page installs is there already: `pip` only looks whether it is, so that nothing is downloaded.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import httpx
import pytest
from PIL import Image

from leapcell_emulator.loopback import free_port
from tests.gate import full
from tests.services import forks, tutorial
from tests.services.site import PATIENCE, ROOT, Site, form_token_of

PYTHON3 = """#!/bin/sh
test "$*" = "-m venv .venv"
mkdir -p .venv/bin
touch .venv/bin/activate
"""
PIP = """#!{python} -IS
import os, sys
from importlib.metadata import version
sys.path += {path!r}
assert sys.argv[1] == "install", sys.argv
for name in sys.argv[2:]:
    assert os.path.exists(os.path.join(name, "pyproject.toml")) if name.startswith("./") else version(name), name
"""
PROGRAMS = {
    "fastopp": '#!/bin/sh\nexec python -m fastopp.cli.main "$@"\n',
    "pytest": '#!/bin/sh\nexec python -m pytest -p no:schemathesis -p no:valkey "$@"\n',
}
LONGEST = 180  # seconds for the commands of a section, on a busy machine
EMULATOR = 9  # its section
EMULATE = "python oppman.py leapcell emulate --no-build"
OWNER = "ada@example.com"
BOOK = {"title": "Kindred", "author_id": "1", "price": "8.00"}


class Student:
    """Someone who follows the page in a folder that was empty."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.project = folder / "bookshop"
        programs = folder / "programs"
        programs.mkdir()
        (folder / "fastopp").symlink_to(ROOT)
        forks.write_shim(programs / "python")
        for name, text in {
            **PROGRAMS,
            "python3": PYTHON3,
            "pip": PIP.format(python=sys.executable, path=sys.path),
        }.items():
            (programs / name).write_text(text)
            (programs / name).chmod(0o755)
        self.environ = {
            "HOME": str(folder),
            "PATH": os.pathsep.join([str(programs), str(Path(sys.executable).parent), os.environ["PATH"]]),
            "PIP_NO_INDEX": "1",
        } | {f"GIT_{who}_{what}": OWNER for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}

    def follow(self, parts: list[tutorial.Step], **addresses: str) -> str:
        """Run steps that must succeed; what they print."""
        port = free_port()
        text = tutorial.script(parts, {"127.0.0.1:8000": f"127.0.0.1:{port}", **addresses})
        log = self.folder / "output.log"
        with log.open("w") as output:
            shell = subprocess.Popen(
                ["sh", "-c", text],
                cwd=self.project if self.project.is_dir() else self.folder,
                env=self.environ | {"PORT": str(port)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                status = shell.wait(LONGEST)
            finally:
                with suppress(ProcessLookupError):  # nothing was left running
                    os.killpg(shell.pid, signal.SIGKILL)
                shell.wait()
        assert status == 0, log.read_text()
        return log.read_text()


PRINTED = ("4 passed", " checks: nothing found.")


@pytest.fixture
def student() -> Iterator[Student]:
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:  # an instance in the emulator has another /tmp
        yield Student(Path(folder))


def steps(*, serving: bool) -> list[tutorial.Step]:
    """Return the steps before the emulator, with or without those that look at pages of a server."""
    return [step for step in tutorial.steps() if step.section < EMULATOR and (serving or not step.serves)]


def cover() -> bytes:
    data = BytesIO()
    Image.new("RGB", (400, 600), "#2563eb").save(data, "JPEG")
    return data.getvalue()


def add_a_book(client: httpx.Client) -> None:
    """Add a book in the form of the page, which refuses what is wrong first."""
    page = client.get("/shop/new")
    assert page.status_code == 200, page.text
    client.headers["X-CSRF-Token"] = form_token_of(client, "/shop/new")
    assert "Enter a price, like 9.90." in client.post("/shop/new", data=BOOK | {"price": "much"}).text
    broken = client.post("/shop/new", data=BOOK, files={"cover": ("cover.jpg", b"no picture")})
    assert "The file is not a JPEG, PNG, WebP or GIF picture." in broken.text
    assert client.post("/shop/new", data=BOOK, files={"cover": ("cover.jpg", cover())}).status_code == 303


def assert_the_cover_is_shown(client: httpx.Client) -> None:
    page = client.get("/shop").text
    found = re.search(r'<img class="book-cover" src="([^"]+)" alt="Cover of Kindred">', page)
    assert found, page
    picture = client.get(found[1])
    assert picture.status_code == 200
    assert Image.open(BytesIO(picture.content)).size == (400, 600)


def test_the_shop_is_made(student: Student) -> None:
    """Without the emulator: the book and its cover are on the page, and the classes have rules."""
    printed = student.follow(steps(serving=False))
    assert [line for line in (*PRINTED, *tutorial.printed()) if line not in printed] == [], printed
    rules = (student.project / "static/app.css").read_text()
    for rule in (".book-cover", "aspect-ratio:2/3", ".price"):
        assert rule in rules
    with Site(student.project) as site, site.signed_in() as client:
        add_a_book(client)
        assert_the_cover_is_shown(client)
        assert "Ursula K. Le Guin" in client.get("/admin/author/list").text
        assert "photos/" in client.get("/admin/book/list").text


@full
@pytest.mark.timeout(600)
def test_the_shop_runs_in_the_emulator(student: Student) -> None:
    student.follow(steps(serving=True))
    parts = [step for step in tutorial.steps() if step.section == EMULATOR]
    at = next(number for number, step in enumerate(parts) if step.text.startswith(EMULATE))
    student.follow(parts[:at])
    address = f"127.0.0.1:{free_port()}"
    command = [*EMULATE.split(), "--port", address.rpartition(":")[2], "--async-port", "0"]
    with (student.folder / "emulator.log").open("w") as log:
        emulator = subprocess.Popen(command, cwd=student.project, env=student.environ, stdout=log, stderr=log)
    try:
        with httpx.Client(base_url=f"http://{address}", timeout=PATIENCE) as client:
            wait_for(client, emulator)
            printed = student.follow(parts[at + 1 :], **{"127.0.0.1:8080": address})
            password = re.search(rf"Superuser {OWNER}, password (\S+)", printed)
            assert password, printed
            signed_in = client.post("/login", data={"username": OWNER, "password": password[1]})
            assert signed_in.status_code == 302, signed_in.text
            add_a_book(client)
            for name in running_instances(client):
                order = {"action": "kill", "instance": name}
                client.post("/__emulator/act", json=order, headers={"X-Leapcell-Emulator": "1"}).raise_for_status()
            assert_the_cover_is_shown(client)
    except BaseException as error:
        error.add_note((student.folder / "emulator.log").read_text()[-4000:])
        raise
    finally:
        emulator.terminate()
        emulator.wait(PATIENCE)


def wait_for(client: httpx.Client, emulator: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + LONGEST
    while True:
        with suppress(httpx.TransportError):
            if client.get("/kaithhealth").status_code == 200:
                return
        assert emulator.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)


def running_instances(client: httpx.Client) -> list[str]:
    instances = client.get("/__emulator/state").json()["instances"]
    return [each["name"] for each in instances if not each["ended"]]
