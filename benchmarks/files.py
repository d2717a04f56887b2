"""Backup, nothing to back up, and restore, beside rclone and aws-cli, against the same S3 server in the same run.

The programs take turns, and nothing is deleted before the end: ext4 gives no inode away that was freed in the last
minutes, and searches past all of them for each new file (`recently_deleted` in Linux's fs/ext4/ialloc.c). Whoever came
after a deletion would pay for it, with several times the processor time.
"""

from __future__ import annotations

import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ACCESS_KEY = "benchmark-access-key"
SECRET_KEY = "benchmark-secret-key"
BUCKET = "uploads"
PROGRAMS = Path(sys.executable).parent
SETS = ((1_000, 100_000), (10_000, 4_000))  # files, bytes each
GROWTH = (1_000, 100_000)  # files, one byte each: does memory grow with them?
RCLONE_OPTIONS = ("--transfers", "32", "--checkers", "64", "--fast-list", "--config", os.devnull, "-q")
JOBS = ("backup", "nothing to do", "restore")
ROUNDS = (("FastOpp", "rclone", "aws"), ("rclone", "FastOpp"), ("FastOpp", "rclone"))  # aws takes long
ATTEMPTS = 3  # the server makes a name twice now and then when many files come at once, and answers 500

# What `oppman.py files backup` and `restore` do, without the reading of arguments and settings; as in every command
# the garbage collector is kept away (fastopp/core/garbage.py).
PROGRAM = """
from fastopp.core.garbage import lasting_objects, no_last_search

with lasting_objects():
    import asyncio, sys
    from pathlib import Path
    from fastopp.storage.object import ObjectStorage

    job, endpoint, bucket, folder, access_key, secret_key = sys.argv[1:]
    if job == "restore":
        from fastopp.storage.sync.restore import restore_files as copy_files
    else:
        from fastopp.storage.sync.backup import backup_files as copy_files

storage = ObjectStorage(bucket, endpoint=endpoint, access_key=access_key, secret_key=secret_key)
report = asyncio.run(copy_files(storage, Path(folder)))
no_last_search()
sys.exit(report.message if report.status != "success" else 0)
"""


@dataclass(frozen=True)
class Measured:
    """One run of a program."""

    seconds: float
    memory: int
    """Bytes at most."""
    processor: float
    """Seconds of processor time."""


# Linux counts the memory of the process that starts a program as the program's own, until it has more: so a small one
# starts it, which has imported nothing, and says what the program took.
WATCH = """
import os, sys, time
began = time.perf_counter()
program = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, 2, 1)])
_, status, usage = os.wait4(program, 0)
print(time.perf_counter() - began, usage.ru_maxrss * 1024, usage.ru_utime + usage.ru_stime)
sys.exit(os.waitstatus_to_exitcode(status) != 0)
"""


class ProgramFailed(Exception):
    """A measured program ended with another status than 0."""


async def run() -> None:
    """Print the tables."""
    print("Wall time, the start of each program included, peak memory, and processor time.")
    print("Peers: rclone copy with 32 transfers, 64 checkers and --fast-list; aws s3 sync.")
    # The first listing after a backup makes the server compute its ETags, unless the program made it do so before.
    print("Nothing to do: the better of two runs, for each program.")
    print(f"Medians of {len(ROUNDS)} rounds, in which the programs take turns; aws: of one.\n")
    print(f"{'':26}{'FastOpp':>26}{'rclone':>26}{'aws':>26}{'wall':>7}{'wall':>7}{'memory':>8}")
    with _place() as place:
        for files, size in SETS:
            source = place / f"{files}-{size}"
            _fill(source, files, size)
            for job, (ours, rclone, aws) in zip(JOBS, _compare(place, source), strict=True):
                print(f"{files:6,} x {size // 1000:3} KB {job:14}{_cell(ours)}{_cell(rclone)}{_cell(aws)}"
                      f"{ours.seconds / rclone.seconds:6.2f}x{ours.seconds / aws.seconds:6.2f}x"
                      f"{ours.memory / rclone.memory:7.2f}x", flush=True)  # fmt: skip
        print("\nPeak memory, files of one byte:")
        for files in GROWTH:
            source = place / f"{files}-1"
            _fill(source, files, 1)
            peaks = ", ".join(
                f"{job} {ours.memory / 2**20:.0f} MiB"
                for job, ours in zip(JOBS, _measure(place, source, "FastOpp"), strict=True)
            )
            print(f"{files:8,} files: {peaks}", flush=True)


def _compare(place: Path, source: Path) -> list[tuple[Measured, ...]]:
    """For each job, what it takes FastOpp, rclone and aws."""
    runs: dict[str, list[list[Measured]]] = {name: [] for name in ROUNDS[0]}
    for names in ROUNDS:
        for name in names:
            runs[name].append(_measure(place, source, name))
    return [tuple(_median([run[job] for run in runs[name]]) for name in runs) for job in range(len(JOBS))]


def _median(runs: list[Measured]) -> Measured:
    return Measured(
        statistics.median(run.seconds for run in runs),
        max(run.memory for run in runs),
        statistics.median(run.processor for run in runs),
    )


def _measure(place: Path, source: Path, name: str) -> list[Measured]:
    """The three jobs of a program, with a server of their own."""
    for attempt in range(1, ATTEMPTS + 1):
        here = Path(tempfile.mkdtemp(dir=place))
        with _server(here / "server") as endpoint:
            send, fetch = _commands(name, endpoint, str(source), str(here / "back"))
            try:
                measured = [_timed(send), _better(_timed(send), _timed(send)), _timed(fetch)]
                break
            except ProgramFailed as error:
                if attempt == ATTEMPTS:
                    raise
                print(f"       {name}: {error} Once more, from the beginning, with an empty server.", flush=True)
    subprocess.run(["diff", "-r", source, here / "back"], check=True)
    return measured


def _better(one: Measured, other: Measured) -> Measured:
    return min(one, other, key=lambda measured: measured.seconds)


def _commands(name: str, endpoint: str, source: str, back: str) -> tuple[list[str], list[str]]:
    if name == "FastOpp":
        ours = [sys.executable, "-c", PROGRAM]
        where = [endpoint, BUCKET]
        keys = [ACCESS_KEY, SECRET_KEY]
        return [*ours, "backup", *where, source, *keys], [*ours, "restore", *where, back, *keys]
    if name == "rclone":
        keys = f"access_key_id={ACCESS_KEY},secret_access_key={SECRET_KEY}"
        remote = f":s3,provider=Rclone,{keys},endpoint='{endpoint}':{BUCKET}"
        copy = [str(PROGRAMS / "rclone"), "copy"]
        return [*copy, source, remote, *RCLONE_OPTIONS], [*copy, remote, back, *RCLONE_OPTIONS]
    sync = [str(PROGRAMS / "aws"), "s3", "sync", "--only-show-errors", "--endpoint-url", endpoint]
    return [*sync, source, f"s3://{BUCKET}"], [*sync, f"s3://{BUCKET}", back]


def _timed(command: list[str]) -> Measured:
    keys = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY, "AWS_DEFAULT_REGION": "us-east-1"}
    environ = os.environ | keys | {"AWS_EC2_METADATA_DISABLED": "true"}
    environ.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package is compiled
    os.sync()  # what was written before is not written during this
    watch = [sys.executable, "-I", "-S", "-c", WATCH, *command]
    watched = subprocess.run(watch, env=environ, stdout=subprocess.PIPE, text=True, check=False)
    if watched.returncode:
        raise ProgramFailed(f"{Path(command[0]).name} failed.")
    seconds, memory, processor = watched.stdout.split()
    return Measured(float(seconds), int(memory), float(processor))


def _fill(folder: Path, files: int, size: int) -> None:
    for number in range(files):
        path = folder / f"photos{number % 10}" / f"{number:06}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(size))


@contextmanager
def _place() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="fastopp-benchmark-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextmanager
def _server(folder: Path) -> Iterator[str]:
    """`rclone serve s3` on an empty bucket: its address."""
    (folder / BUCKET).mkdir(parents=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [str(PROGRAMS / "rclone"), "serve", "s3", str(folder), "--addr", address, "--config", os.devnull, "-q"]
    server = subprocess.Popen([*command, "--auth-key", f"{ACCESS_KEY},{SECRET_KEY}"])
    try:
        for _ in range(300):
            try:
                socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2])), timeout=1).close()
            except OSError:
                time.sleep(0.1)
            else:
                break
        yield f"http://{address}"
    finally:
        server.kill()
        server.wait()


def _cell(measured: Measured) -> str:
    return f"{measured.seconds:8.2f}s{measured.memory / 2**20:6.0f}MiB{measured.processor:6.1f}s"
