"""`oppman.py leapcell emulate`, as people and CI run it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fastopp.emulator.rules import RULES
from tests.services.emulator import PROJECTS, copy_of, write_project

NO_SERVICES = ("--no-database", "--no-object-storage")
QUICK = ("--no-build", "--instances", "1", "--port", "0", "--async-port", "0")


def emulate(
    *options: str, folder: Path = PROJECTS / "plain_http", timeout: float = 60
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.services.emulate", "--folder", str(folder), *options]
    environment = {**os.environ, "COLUMNS": "200", "NO_COLOR": "1"}
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False, env=environment)


def test_every_rule_is_an_option() -> None:
    text = emulate("--help").stdout
    for rule in RULES.values():
        assert rule.option in text
        assert rule.id + ":" in text


@pytest.mark.parametrize("code", [0, 7])
def test_exec_ends_with_the_commands_status(code: int) -> None:
    run = f"curl -s $LEAPCELL_URL/hello && echo '' $LEAPCELL_ASYNC_URL $GREETING && exit {code}"
    done = emulate(*QUICK, *NO_SERVICES, "--env", "GREETING=hello", "--exec", run)
    assert done.returncode == code
    pid, path, url, greeting = done.stdout.split()
    assert pid.isdigit()
    assert (path, greeting) == ("/hello", "hello")
    assert url.startswith("http://127.0.0.1:")
    # What the emulator says is not in the way of what the command says.
    assert "plain_http is at http://127.0.0.1:" in done.stderr


def test_exec_is_told_to_end_too() -> None:
    command = [sys.executable, "-m", "tests.services.emulate", "--folder", str(PROJECTS / "plain_http"), *QUICK]
    command += [*NO_SERVICES, "--exec", "echo begun; exec sleep 100"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 130


def test_the_database_and_the_bucket_are_kept(tmp_path: Path) -> None:
    """And with them goes the way an application is told of them."""
    program = tmp_path / "program.py"
    program.write_text("""\
import asyncio, os, sys, obstore.store, psycopg

store = obstore.store.S3Store(
    os.environ["S3_BUCKET"], endpoint=os.environ["S3_ENDPOINT_URL"], region=os.environ["S3_REGION"],
    access_key_id=os.environ["S3_ACCESS_KEY"], secret_access_key=os.environ["S3_SECRET_KEY"],
    virtual_hosted_style_request=False, client_options={"allow_http": True},
)
with psycopg.connect(os.environ["DATABASE_URL"], prepare_threshold=None) as connection:
    if sys.argv[1] == "write":
        connection.execute("create table kept (word text)")
        connection.execute("insert into kept values ('row')")
        store.put("photos/a.txt", b"file")
    else:
        print(connection.execute("select word from kept").fetchone()[0], bytes(store.get("photos/a.txt").bytes()))
""")
    kept = tmp_path / "kept"
    done = emulate(*QUICK, "--save", str(kept), "--exec", f"{sys.executable} {program} write")
    assert done.returncode == 0, done.stderr
    done = emulate(*QUICK, "--load", str(kept), "--exec", f"{sys.executable} {program} read")
    assert done.stdout == "row b'file'\n", done.stderr


def test_the_users_own_database_is_left_alone(tmp_path: Path) -> None:
    project = copy_of("plain_http", tmp_path)
    (project / ".env.leapcell").write_text("DATABASE_URL=postgresql://real.leapcellpool.com/real\nOTHER=1\n")
    done = emulate(*QUICK, "--no-object-storage", "--exec", "echo $DATABASE_URL $OTHER", folder=project)
    assert "real" not in done.stdout
    assert done.stdout.startswith("postgresql://")
    assert done.stdout.endswith(" 1\n")


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        (["--folder", "/nowhere"], 1, "There is no leapcell.yaml in /nowhere."),
        (["--profile", "loose"], 1, "There is no profile loose."),
        (["--instances", "0"], 1, "--instances is 0."),
        (["--pooler", "statement"], 1, "--pooler is statement."),
        (["--max-header", "much"], 2, "much is no size"),
        (["--env", "GREETING"], 2, "--env GREETING is not NAME=VALUE."),
        (["--env-file", "/nowhere"], 1, "The file /nowhere cannot be read"),
        (["--load", "/nowhere"], 1, "There is no folder /nowhere."),
        (["--cron", "/nowhere"], 1, "The cron file /nowhere cannot be read"),
        (["--sandbox", "none"], 1, "There is no sandbox none."),
    ],
)
def test_a_mistake_gets_one_message(options: list[str], status: int, message: str) -> None:
    done = emulate(*QUICK, *NO_SERVICES, *options)
    assert done.returncode == status
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_start_that_fails_ends_the_emulator(tmp_path: Path) -> None:
    project = write_project(tmp_path / "project", "echo no luck; exit 9")
    done = emulate(*QUICK, *NO_SERVICES, folder=project)
    assert done.returncode == 1
    assert "The start command ended with code 9 before it answered /kaithhealth." in done.stderr
    assert "Traceback" not in done.stderr
