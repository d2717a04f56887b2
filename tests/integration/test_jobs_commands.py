"""`oppman.py tasks` and `oppman.py worker`, as somebody at a shell or a service manager runs them."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from fastopp.console.main_file import add_apps
from tests.services import forks
from tests.services.commands import Commands
from tests.services.site import copy_project, environment, run_command, start_command, succeed
from tests.services.task_app import write_app

QUEUE = """
import asyncio, json, sys
from main import app
from fastopp.core.runtime import open_runtime

async def main():
    async with open_runtime(app.settings, app.apps) as runtime:
        for line in sys.argv[1:]:
            name, _, args = line.partition(" ")
            print((await runtime.tasks.queue(name, **json.loads(args or "{}"))).id)

asyncio.run(main())
"""
PATIENCE = 30  # seconds


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    project = copy_project(tmp_path_factory.mktemp("cli-tasks") / "project")
    write_app(project)
    add_apps(project / "main.py", ["chores"])
    succeed(project, "oppman.py", "db")
    succeed(project, "oppman.py", "tasks", "drain")  # what is due by a time table
    return project


@pytest.fixture
def project(seeded: Path) -> Path:
    """The project with an empty queue."""
    with closing(sqlite3.connect(seeded / "test.db")) as connection, connection:
        connection.execute("DELETE FROM procrastinate_jobs")
    return seeded


@pytest.fixture
def oppman(project: Path) -> Iterator[Commands]:
    """Its commands, for tests of what they do; those of a start and an end have a process each."""
    with Commands(project, environment()) as commands:
        yield commands


def queue(project: Path, *tasks: str) -> list[str]:
    """Queue tasks, each with its arguments behind its name; their numbers."""
    return succeed(project, "-c", QUEUE, *tasks).split()


def tasks_json(oppman: Commands, *words: str) -> Any:
    return json.loads(oppman.succeed("tasks", *words, "--json"))


def test_list_show_cancel_retry_drain(project: Path, oppman: Commands) -> None:
    good, bad, gone = queue(project, 'add {"a": 40}', "break", "add")
    listed = tasks_json(oppman, "list")
    assert [(str(task["id"]), task["status"]) for task in listed] == [
        (gone, "waiting"),
        (bad, "waiting"),
        (good, "waiting"),
    ]
    lines = oppman.succeed("tasks", "list").splitlines()
    assert lines[0].split("\t") == ["Id", "State", "Task", "Attempts", "Message"]
    assert lines[3].split("\t")[:3] == [good, "waiting", "add"]

    assert "cancelled" in oppman.succeed("tasks", "cancel", gone)

    drained = oppman.run("tasks", "drain", "--json")
    assert drained.returncode == 1  # one has failed
    report = json.loads(drained.stdout)
    assert (report["done"], report["failed"], report["left"]) == (1, 1, 0)

    assert tasks_json(oppman, "show", good)["result"] == 42
    shown = oppman.succeed("tasks", "show", bad)
    assert "ValueError: the <b>reason</b>" in shown
    assert "1/3 so far" in shown
    filters = ("--status", "failed", "--name", "break", "--queue", "weak", "--before", gone, "--limit", "1")
    assert [str(task["id"]) for task in tasks_json(oppman, "list", *filters)] == [bad]
    assert tasks_json(oppman, "list", "--status", "succeeded", "--before", good) == []

    assert "is waiting again" in oppman.succeed("tasks", "retry", bad)
    done = oppman.run("tasks", "retry", good)
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    assert status_of(project, bad) == "todo"
    assert oppman.run("tasks", "drain", "--limit", "1").returncode == 1
    queued = oppman.succeed("tasks", "queue", "add", "--args", '{"a": 1}', "--json")
    assert json.loads(queued)["args"] == {"a": 1}
    assert "1 done, 0 failed" in oppman.succeed("tasks", "drain", "--seconds", "60", "--limit", "5")


def test_misuse_is_said_in_words(oppman: Commands) -> None:
    for words, status in (
        (("queue", "no-such"), 1),
        (("queue", "add", "--args", "[1]"), 2),
        (("cancel", "999999"), 1),
        (("retry", "999999"), 1),
        (("list", "--status", "odd"), 2),
    ):
        done = oppman.run("tasks", *words)
        assert (done.returncode, "Traceback" in done.stderr) == (status, False), words
        assert done.stderr


def test_without_the_tables(tmp_path: Path) -> None:
    project = copy_project(tmp_path / "project")
    for command in (("tasks", "list"), ("tasks", "drain"), ("tasks", "queue", "clean-up")):
        done = run_command(project, "oppman.py", *command)
        assert (done.returncode, "Traceback" in done.stderr) == (1, False), done.stderr
        assert "migrate" in done.stderr


def status_of(project: Path, task: str) -> str:
    """As it is in the database."""
    with closing(sqlite3.connect(project / "test.db")) as connection:
        (status,) = connection.execute("SELECT status FROM procrastinate_jobs WHERE id = ?", [task]).fetchone()
    return str(status)


def until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def worker(project: Path, *words: str) -> forks.Program:
    process = start_command(project, "oppman.py", "worker", *words)
    assert process.stdout
    assert "Working" in process.stdout.readline()
    return process


def ended(process: forks.Program) -> int:
    try:
        process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    return process.returncode


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_works_and_stops(project: Path, number: signal.Signals) -> None:
    (first,) = queue(project, "add")
    process = worker(project)
    try:
        until(lambda: status_of(project, first) == "succeeded")
        (second,) = queue(project, "add")
        until(lambda: status_of(project, second) == "succeeded")
        process.send_signal(number)
        assert ended(process) == 0
    finally:
        process.kill()


def test_a_worker_takes_only_its_queue(project: Path) -> None:
    strong, weak = queue(project, "add", "break")
    process = worker(project, "--queue", "weak", "--concurrency", "2")
    try:
        until(lambda: status_of(project, weak) == "failed")
        assert status_of(project, strong) == "todo"
        process.terminate()
        assert ended(process) == 0
    finally:
        process.kill()


def catches_ctrl_c(process: forks.Program) -> bool:
    (caught,) = re.findall(r"SigCgt:\s*(\w+)", Path(f"/proc/{process.pid}/status").read_text())
    return bool(int(caught, 16) & 1 << signal.SIGINT - 1)


@pytest.mark.parametrize("blocks", [False, True])
def test_the_second_ctrl_c_ends_at_once(project: Path, tmp_path: Path, blocks: bool) -> None:
    """Also while a task blocks the loop."""
    begun = tmp_path / "begun"
    queue(project, f"stubborn {json.dumps({'begun': str(begun), 'blocks': blocks})}")
    process = worker(project)
    try:
        until(begun.exists)
        os.kill(process.pid, signal.SIGINT)
        until(lambda: not catches_ctrl_c(process))  # two signals that come before it looks are one
        assert process.poll() is None  # it waits for the task
        os.kill(process.pid, signal.SIGINT)
        assert ended(process) == -signal.SIGINT
    finally:
        process.kill()
