"""A library is imported where it is used: what starts, or is asked for a little, pays for no more.

The steps of a list run in one new process, from the lightest to the heaviest: each may import what an earlier one has.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WEB = ("fastapi", "starlette", "jinja2", "sqladmin", "wtforms")
DATABASE = ("sqlalchemy", "sqlmodel", "psycopg", "alembic", "croniter")
PASSWORDS = ("jwt", "pwdlib", "argon2", "bcrypt")
FILES = ("obstore", "PIL")
ALL = (*WEB, *DATABASE, *PASSWORDS, *FILES, "prometheus_client", "pydantic.v1")

# Name, program, and what it must not have imported.
Step = tuple[str, str, tuple[str, ...]]
WEB_PROCESS: list[Step] = [
    (
        "the plugin of pytest in a run that does not use it",
        "import fastopp.testing.plugin",
        (*ALL, "httpx", "pydantic", "fastopp.settings", "fastopp.core.application"),
    ),
    (
        "the health of an application that has not started",
        """
import asyncio
from fastopp import FastOpp
from fastopp.settings import load_settings
application, sent = FastOpp(settings=load_settings({})), []
async def send(message):
    sent.append(message)
asyncio.run(application({"type": "http", "method": "GET", "path": "/kaithhealth"}, None, send))
assert sent[0]["status"] == 200, sent
""",
        ALL,
    ),
    (
        "the SQLite schema of tasks",
        "import fastopp.tasks.queue.sqlite\nfastopp.tasks.queue.sqlite.schema_statements()",
        ALL,
    ),
    (
        "the newest migration",
        "from fastopp.database.migrations.migrate import head_revision\nhead_revision()",
        ("alembic",),
    ),
    (
        "photos before there is one",
        "import fastopp.storage.images, fastopp.storage.photos",
        (*WEB, *PASSWORDS, *FILES),
    ),
    (
        "a route",
        """
from fastopp.web.light_fastapi import import_fastapi
import_fastapi()
from fastapi import FastAPI
@FastAPI().get("/")
def answer() -> dict[str, str]: ...
""",
        ("sqladmin", "wtforms", *PASSWORDS, *FILES, "pydantic.v1"),
    ),
    (
        "the storage of an application",
        "import fastopp.core.runtime, fastopp.web.uploads",
        (*FILES, "pydantic.v1"),
    ),
    (
        "an application that has started and queues no task",
        """
import asyncio, tempfile
from fastopp.core.application import FastOpp
async def start(use=lambda app: None):
    with tempfile.TemporaryDirectory() as folder:
        settings = load_settings({"DATABASE_URL": f"sqlite:///{folder}/t.db", "TASK_WORKER": "false"})
        async with FastOpp(["demo.pages"], settings=settings).running() as app:
            use(app)
asyncio.run(start())
""",
        (
            "prometheus_client",
            "croniter",
            "fastopp.tasks.worker.loop",
            "fastopp.tasks.models",
            "fastopp.tasks.worker.drain",
            "sqladmin",
            "alembic",
            "PIL",
        ),
    ),
    (
        "the document of the API",
        "asyncio.run(start(lambda app: app.openapi()))",
        ("prometheus_client", "croniter", "sqladmin", "alembic", "PIL"),
    ),
    (
        "a request without a token",
        """
import fastopp.features.accounts.routes
from fastopp.features.accounts.tokens import read_token
read_token("an-ops-token", None)
""",
        PASSWORDS,
    ),
    (
        "the admin before its first request",
        "from fastopp.features.admin.mount import create_router\ncreate_router(load_settings({}))",
        ("sqladmin", "wtforms"),
    ),
]
COMMANDS: list[Step] = [
    *(
        (f"oppman.py {' '.join(words)}", f"run('oppman', {words!r})", (*WEB, *DATABASE, *PASSWORDS, "PIL"))
        for words in ([], ["--help"], ["help"], ["files", "--help"], ["env"], ["nix"])
    ),
    ("oppdemo.py --help", "run('oppdemo', ['--help'])", (*WEB, *DATABASE, *PASSWORDS, "PIL")),
]

PROGRAM = """
import contextlib, importlib, io, json, sys

def run(program, words):
    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):
        with contextlib.redirect_stderr(io.StringIO()):
            importlib.import_module("fastopp.cli." + program).app(words)

for name, code, forbidden in json.load(sys.stdin):
    exec(code)
    print(json.dumps([name, [module for module in forbidden if module in sys.modules]]), flush=True)
"""


@pytest.fixture(scope="module")
def imported() -> dict[str, list[str]]:
    """Return what each step has imported of what it must not."""
    found: dict[str, list[str]] = {}
    for steps in (WEB_PROCESS, COMMANDS):
        command = [sys.executable, "-c", PROGRAM]
        done = subprocess.run(command, cwd=ROOT, input=json.dumps(steps), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        found |= (json.loads(line) for line in done.stdout.splitlines())
    return found


@pytest.mark.parametrize("step", [name for name, _, _ in WEB_PROCESS + COMMANDS])
def test_imports_no_more_than_it_uses(step: str, imported: dict[str, list[str]]) -> None:
    assert imported[step] == []
