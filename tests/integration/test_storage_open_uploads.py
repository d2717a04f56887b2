"""Multipart uploads that nobody completed, on an S3 server that checks signatures."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from fastopp.storage.object import ObjectStorage
from fastopp.storage.s3.presigned import presign
from fastopp.storage.sync.backup import backup_files
from fastopp.storage.sync.parts_journal import abort_abandoned
from tests.integration.test_storage_object import open_bucket
from tests.services.s3 import ACCESS_KEY, REGION, SECRET_KEY, RcloneServer

SENDING = """
import sys
from pathlib import Path
from fastopp.storage.sync.parts_journal import PartsJournal
with PartsJournal(Path(sys.argv[1])) as journal:
    for key in sys.argv[2:]:
        journal.note(key)
    print("noted", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "uploads"
    folder.mkdir()
    (folder / "small.txt").write_bytes(b"small")
    return folder


@pytest.fixture
def storage(rclone: RcloneServer) -> ObjectStorage:
    return open_bucket(rclone.create_bucket(), rclone.endpoint)


def begin(storage: ObjectStorage, *names: str) -> None:
    """Begin a multipart upload of each name."""
    for name in names:
        url = presign(
            "POST", f"{storage.endpoint}/{storage.bucket}/{name}", headers={}, region=REGION, access_key=ACCESS_KEY,
            secret_key=SECRET_KEY, expires=timedelta(minutes=1), query={"uploads": ""},
        )  # fmt: skip
        urlopen(Request(url, method="POST"), timeout=60).close()


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def open_names(storage: ObjectStorage) -> list[str]:
    return sorted([upload.name async for upload in storage.open_uploads().list()])


@contextmanager
def sending(folder: Path, *keys: str) -> Iterator[subprocess.Popen[str]]:
    """A process that has written down that it sends these files."""
    command = [sys.executable, "-c", SENDING, str(folder), *keys]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        assert process.stdout.readline() == "noted\n"
        yield process
    finally:
        process.kill()
        process.communicate()


async def test_what_a_killed_backup_left_is_aborted_by_the_next(storage: ObjectStorage, folder: Path) -> None:
    with sending(folder, "large.bin", "photos/larger one.bin"):
        begin(storage, "large.bin", "photos/larger%20one.bin", "of-another-program.bin")
        assert (await backup_files(storage, folder)).status == "success"  # the process lives
        assert len(await open_names(storage)) == 3
    report = await backup_files(storage, folder)
    assert (report.status, report.skipped, report.left_out) == ("success", 1, [])
    assert await open_names(storage) == ["of-another-program.bin"]
    assert names_in(folder) == ["small.txt"]


async def test_what_was_begun_long_before_the_killed_backup_stays(storage: ObjectStorage, folder: Path) -> None:
    begin(storage, "large.bin")
    after, before = (datetime.now(UTC) + timedelta(minutes=minutes) for minutes in (1, 60))
    assert await storage.open_uploads().abort("large.bin", after=after, before=before) == 0
    assert await open_names(storage) == ["large.bin"]


async def test_an_old_upload_is_aborted_whoever_began_it(storage: ObjectStorage, folder: Path) -> None:
    begin(storage, "one.bin", "two.bin")
    assert await abort_abandoned(storage, folder, now=datetime.now(UTC)) == 0
    assert await open_names(storage) == ["one.bin", "two.bin"]
    tomorrow = datetime.now(UTC) + timedelta(hours=24, seconds=5)
    assert await abort_abandoned(storage, folder, now=tomorrow) == 2
    assert await open_names(storage) == []


async def test_a_backup_goes_on_when_the_uploads_cannot_be_listed(rclone: RcloneServer, folder: Path) -> None:
    with sending(folder, "large.bin"):
        pass
    storage = open_bucket("no-such-bucket", rclone.endpoint)
    assert await storage.open_uploads().abort(before=datetime.now(UTC)) == 0
