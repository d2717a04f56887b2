"""`oppman.py tasks` and `oppman.py worker`, as somebody at a shell or a service manager runs them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fastopp.cli.project import add_apps
from tests.services.site import copy_project, run_command, start_command, succeed
from tests.services.task_app import write_app

QUEUE = """
import asyncio, json, sys
from main import app
from fastopp.runtime import open_runtime

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
    return project


@pytest.fixture
def project(seeded: Path) -> Path:
    """The project with an empty queue."""
    succeed(
        seeded,
        "-c",
        "import sqlite3; c = sqlite3.connect('test.db'); c.execute('DELETE FROM procrastinate_jobs'); c.commit()",
    )
    return seeded


def queue(project: Path, *tasks: str) -> list[str]:
    return succeed(project, "-c", QUEUE, *tasks).split()


def tasks_json(project: Path, *words: str) -> Any:
    return json.loads(succeed(project, "oppman.py", "tasks", *words, "--json"))


def test_list_show_cancel_retry_drain(project: Path) -> None:
    assert tasks_json(project, "list") == []
    good, bad, gone = queue(project, 'add {"a": 40}', "break", "add")
    listed = tasks_json(project, "list")
    assert [(str(task["id"]), task["status"]) for task in listed] == [
        (gone, "waiting"),
        (bad, "waiting"),
        (good, "waiting"),
    ]
    lines = succeed(project, "oppman.py", "tasks", "list").splitlines()
    assert lines[0].split("\t") == ["Id", "State", "Task", "Attempts", "Message"]
    assert lines[3].split("\t")[:3] == [good, "waiting", "add"]

    assert "cancelled" in succeed(project, "oppman.py", "tasks", "cancel", gone)
    assert run_command(project, "oppman.py", "tasks", "cancel", gone).returncode == 1

    drained = run_command(project, "oppman.py", "tasks", "drain", "--json")
    assert drained.returncode == 1  # one has failed
    report = json.loads(drained.stdout)
    assert (report["done"], report["failed"], report["left"]) == (1, 1, 0)

    assert tasks_json(project, "show", good)["result"] == 42
    shown = succeed(project, "oppman.py", "tasks", "show", bad)
    assert "ValueError: the <b>reason</b>" in shown
    assert "1/3 so far" in shown
    assert [str(task["id"]) for task in tasks_json(project, "list", "--status", "failed")] == [bad]
    assert [str(task["id"]) for task in tasks_json(project, "list", "--name", "add", "--limit", "1")] == [gone]
    assert [str(task["id"]) for task in tasks_json(project, "list", "--before", bad)] == [good]
    assert [str(task["id"]) for task in tasks_json(project, "list", "--queue", "weak")] == [bad]

    assert "waits again" in succeed(project, "oppman.py", "tasks", "retry", bad)
    twice = run_command(project, "oppman.py", "tasks", "retry", bad)
    assert (twice.returncode, "Traceback" in twice.stderr) == (1, False)
    assert tasks_json(project, "show", bad)["status"] == "waiting"
    assert run_command(project, "oppman.py", "tasks", "drain").returncode == 1
    assert "0 done, 0 failed" in succeed(project, "oppman.py", "tasks", "drain")


def test_misuse_is_said_in_words(project: Path) -> None:
    for words, status in (
        (("show", "999999"), 1),
        (("cancel", "999999"), 1),
        (("retry", "999999"), 1),
        (("show", "one"), 2),
        (("list", "--status", "odd"), 2),
        (("drain", "--seconds", "0"), 2),
    ):
        done = run_command(project, "oppman.py", "tasks", *words)
        assert (done.returncode, "Traceback" in done.stderr) == (status, False), words
        assert done.stderr


def test_without_the_tables(tmp_path: Path) -> None:
    project = copy_project(tmp_path / "project")
    for command in (("tasks", "list"), ("tasks", "drain"), ("worker",)):
        done = run_command(project, "oppman.py", *command)
        assert (done.returncode, "Traceback" in done.stderr) == (1, False), done.stderr
        assert "migrate" in done.stderr


def until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def worker(project: Path, *words: str) -> subprocess.Popen[str]:
    process = start_command(project, "oppman.py", "worker", *words)
    assert process.stdout
    assert "Working" in process.stdout.readline()
    return process


def ended(process: subprocess.Popen[str]) -> int:
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
        until(lambda: tasks_json(project, "show", first)["status"] == "succeeded")
        (second,) = queue(project, "add")
        until(lambda: tasks_json(project, "show", second)["status"] == "succeeded")
        process.send_signal(number)
        assert ended(process) == 0
    finally:
        process.kill()


def test_a_worker_takes_only_its_queue(project: Path) -> None:
    strong, weak = queue(project, "add", "break")
    process = worker(project, "--queue", "weak", "--concurrency", "2")
    try:
        until(lambda: tasks_json(project, "show", weak)["status"] == "failed")
        assert tasks_json(project, "show", strong)["status"] == "waiting"
        process.terminate()
        assert ended(process) == 0
    finally:
        process.kill()


def test_the_second_ctrl_c_ends_at_once(project: Path) -> None:
    (task,) = queue(project, 'slow {"steps": 1, "pause": 60}')
    process = worker(project)
    try:
        until(lambda: tasks_json(project, "show", task)["status"] == "running")
        os.kill(process.pid, signal.SIGINT)
        time.sleep(0.5)
        assert process.poll() is None  # it waits for the task
        os.kill(process.pid, signal.SIGINT)
        assert ended(process) == -signal.SIGINT
    finally:
        process.kill()
