"""What a service runs ends with the emulator, however that ends, and leaves no file."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from leapcell_emulator.confined import ConfinedProcess
from leapcell_emulator.rules import Rules
from leapcell_emulator.sandbox import Room
from leapcell_emulator.sandbox_choice import choose_sandbox
from leapcell_emulator.services.process import ServiceFailed, ServiceProcess, make_folder

STAYS = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); open('started', 'w'); time.sleep(600)"

EMULATOR = """
import asyncio, sys
from leapcell_emulator.services.object_storage import ObjectStorage
from leapcell_emulator.services.postgres import Postgres
from leapcell_emulator.services.redis import Redis

async def main():
    async with Postgres(), ObjectStorage(), Redis():
        print("ready", flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""


def folders() -> set[Path]:
    """Those that services have made."""
    return {*Path("/tmp").glob("leapcell-*"), *Path("/var/tmp").glob("leapcell-redis-*")}


def processes_in(made: set[Path]) -> list[psutil.Process]:
    """Those that work in one of the folders, or were told of it."""
    found = []
    for process in psutil.process_iter():
        try:
            told = [*process.cmdline(), process.cwd()] if process.status() != psutil.STATUS_ZOMBIE else []
        except psutil.Error:  # it has ended
            continue
        if any(str(folder) in text for folder in made for text in told):
            found.append(process)
    return found


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not true():  # noqa: ASYNC110 - processes set no events
            await asyncio.sleep(0.02)


async def start(code: str, **options: float) -> ServiceProcess:
    """A Python of its own that runs this, and has begun."""
    folder = make_folder("test")
    process = ServiceProcess("test", [sys.executable, "-c", code], folder, **options)
    await until((folder / "started").exists)
    return process


async def test_a_program_that_ignores_the_signal_is_killed() -> None:
    process = await start(STAYS, patience=0.1)
    folder = process.log.parent
    (child,) = (found for found in processes_in({folder}) if STAYS in found.cmdline())
    assert await process.stop() == ""
    assert not child.is_running()
    assert not folder.exists()
    assert not process.running
    await process.stop()


async def test_its_children_end_with_it() -> None:
    process = await start(f"import subprocess, sys; subprocess.run([sys.executable, '-c', {STAYS!r}])", patience=0.1)
    folder = process.log.parent
    assert len(processes_in({folder})) == 3  # with the keeper
    await process.stop()
    assert not processes_in({folder})


async def test_a_program_that_fails_says_why() -> None:
    folder = make_folder("test")
    process = ServiceProcess("test", [sys.executable, "-c", "raise SystemExit('the disk is full')"], folder)
    with pytest.raises(ServiceFailed, match=r"test ended at once\. the disk is full"):
        await process.ready(never)
    assert not folder.exists()


async def test_a_program_that_does_not_exist() -> None:
    process = ServiceProcess("test", ["/nowhere/program"], make_folder("test"))
    with pytest.raises(ServiceFailed, match=r"No such file.*/nowhere/program"):
        await process.ready(never)


async def test_a_program_that_never_answers() -> None:
    process = await start(STAYS, patience=0.1)
    with pytest.raises(ServiceFailed, match=r"did not answer within 0\.1 s"):
        await process.ready(never, within=0.1)
    assert not process.running


async def never() -> bool:
    return False


async def test_ctrl_c_is_for_the_emulator() -> None:
    process = await start("import time; open('started', 'w'); time.sleep(600)")
    for found in processes_in({process.log.parent}):
        assert os.getsid(found.pid) != os.getsid(0)
    await process.stop()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
async def test_nothing_outlives_the_emulator(number: signal.Signals) -> None:
    before = folders()
    emulator = await asyncio.create_subprocess_exec(
        sys.executable, "-c", EMULATOR, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    assert emulator.stdout
    assert await emulator.stdout.readline() == b"ready\n"
    made = folders() - before
    assert {folder.name.split("-")[1] for folder in made} >= {"postgres", "storage", "redis"}
    assert len(processes_in(made)) >= 8
    emulator.send_signal(number)
    await emulator.wait()
    await until(lambda: not processes_in(made) and not any(folder.exists() for folder in made))


async def test_nothing_is_sent_to_what_has_the_number_of_an_ended_process(tmp_path: Path) -> None:
    room = Room(folder=tmp_path / "project", temp=tmp_path / "temp", writable=(tmp_path,))
    room.folder.mkdir()
    room.temp.mkdir()
    stranger = await asyncio.create_subprocess_exec("sleep", "600")
    process = ConfinedProcess(room, Rules(), choose_sandbox(), port=0, on_line=lambda _line: None)
    await process.launch("true", dict(os.environ))
    await process.ended.wait()
    process._root = os.getpid()
    assert await process.terminate()
    process.freeze()
    process.thaw()
    await process.close()
    assert psutil.Process(stranger.pid).status() == psutil.STATUS_SLEEPING
    stranger.kill()
    assert await stranger.wait() == -signal.SIGKILL
