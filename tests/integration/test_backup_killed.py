"""`kill -9` at random moments of a backup and of a restore: one more run makes both sides equal, byte for byte."""

from __future__ import annotations

import random
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.gate import only_full
from tests.services import forks
from tests.services.s3 import ACCESS_KEY, SECRET_KEY, RcloneServer, find_rclone

KILLS = pytest.mark.parametrize("kills", [2, *only_full(20)])
PROGRAM = """
import asyncio, sys
from pathlib import Path
from fastopp.storage.sync.backup import backup_files
from fastopp.storage.object import ObjectStorage
from fastopp.storage.sync.restore import restore_files

job, endpoint, bucket, folder, access_key, secret_key = sys.argv[1:]
storage = ObjectStorage(bucket, endpoint=endpoint, access_key=access_key, secret_key=secret_key)
print("ready", flush=True)
report = asyncio.run({"backup": backup_files, "restore": restore_files}[job](storage, Path(folder)))
print(report.copied, report.skipped, flush=True)
sys.exit(report.status != "success")
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    chance = random.Random(5)
    folder = tmp_path_factory.mktemp("killed") / "uploads"
    for number in range(150):
        path = folder / f"photos{number % 5}" / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(chance.randbytes(chance.choice((10, 4000, 60_000))))
    (folder / "large.bin").write_bytes(chance.randbytes(10_000_000))
    return folder


def start(rclone: RcloneServer, job: str, bucket: str, folder: Path) -> forks.Program:
    words = ["-c", PROGRAM, job, rclone.endpoint, bucket, folder, ACCESS_KEY, SECRET_KEY]
    process = forks.Program(words, stdout=forks.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    return process


def finish(process: forks.Program) -> list[int]:
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0, said
    return [int(number) for number in said.split()]


def assert_equal(rclone: RcloneServer, bucket: str, folder: Path) -> None:
    """As somebody else's program sees it."""
    program = find_rclone()
    assert program
    command = [program, "check", str(folder), str(rclone.bucket(bucket)), "--config", "/dev/null", "--download"]
    command += ["--exclude", ".rclone_temp_multipart_*"]  # what this server keeps of an upload that broke off
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def moments(duration: float, *, seed: int, kills: int) -> Iterator[float]:
    """Random moments of a run that takes so long."""
    chance = random.Random(seed)
    for _ in range(kills):
        yield chance.uniform(0, duration)


def kill_after(process: forks.Program, seconds: float) -> None:
    with suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    process.kill()
    process.communicate()


@KILLS
def test_a_killed_backup(rclone: RcloneServer, folder: Path, kills: int) -> None:
    bucket = rclone.create_bucket()
    began = time.monotonic()
    finish(start(rclone, "backup", bucket, folder))
    for moment in moments(time.monotonic() - began, seed=11, kills=kills):
        bucket = rclone.create_bucket()
        kill_after(start(rclone, "backup", bucket, folder), moment)
        arrived = sum(path.is_file() for path in rclone.bucket(bucket).rglob("*"))
        copied, skipped = finish(start(rclone, "backup", bucket, folder))
        assert copied + skipped == 151
        assert skipped >= arrived - 33  # all but what was on its way is not sent again
        assert_equal(rclone, bucket, folder)


@KILLS
def test_a_killed_restore(rclone: RcloneServer, folder: Path, tmp_path: Path, kills: int) -> None:
    bucket = rclone.create_bucket()
    finish(start(rclone, "backup", bucket, folder))
    began = time.monotonic()
    finish(start(rclone, "restore", bucket, tmp_path / "first"))
    for number, moment in enumerate(moments(time.monotonic() - began, seed=12, kills=kills)):
        back = tmp_path / str(number)
        kill_after(start(rclone, "restore", bucket, back), moment)
        arrived = [path for path in back.rglob("*") if path.is_file() and not path.name.startswith(".")]
        for path in arrived:  # whole, or not there
            assert path.read_bytes() == (folder / path.relative_to(back)).read_bytes()
        assert finish(start(rclone, "restore", bucket, back)) == [151 - len(arrived), len(arrived)]
        assert_equal(rclone, bucket, back)
