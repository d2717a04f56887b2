"""Threads that work when their process is about to be stopped."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys

import pytest

from leapcell_emulator.unfinished import Work, find_work

PROGRAM = """
import socket, sys, threading, time
ours, theirs = socket.socketpair()
def compute():
    while True:
        pass
def wait():
    theirs.recv(1)
def idle():
    threading.Event().wait()
work = {"compute": compute, "sleep": lambda: time.sleep(600), "wait": wait, "idle": idle}[sys.argv[1]]
threading.Thread(target=work, daemon=True).start()
sys.stdout.write("ready")
sys.stdout.flush()
threading.Event().wait()
"""


@pytest.mark.parametrize(
    ("kind", "doing"),
    [
        ("compute", "was computing"),
        ("sleep", "was asleep"),
        ("wait", "was waiting for the network"),
        ("idle", None),
    ],
)
async def test_what_a_thread_does(kind: str, doing: str | None) -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", PROGRAM, kind, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        await process.stdout.readexactly(5)
        async with asyncio.timeout(30):
            # A busy machine may show the first thread on its way to wait.
            while {work.doing for work in find_work([process.pid])} != ({doing} if doing else set()):  # noqa: ASYNC110 - no event
                await asyncio.sleep(0.01)
        if kind == "sleep":
            assert find_work([process.pid], sleeping=False) == set()
    finally:
        process.kill()
        await process.wait()


def test_words() -> None:
    assert Work(1, "python", "python", "was asleep").words == "A thread of python, which was asleep,"
    assert Work(1, "python", "sweep", "was asleep").words == "The thread sweep of python, which was asleep,"


def test_a_process_that_has_ended() -> None:
    process = subprocess.Popen(["true"])
    process.wait()
    assert find_work([process.pid, os.getpid() + 10**7]) == set()
