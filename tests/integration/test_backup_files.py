"""Backup, restore and verify against a real S3 server: what arrives, what is sent, and what stays as it is."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import re
import resource
import tempfile
import unicodedata
from pathlib import Path

import pytest

from fastopp.features.leapcell.storage import LeapCellStorage
from fastopp.storage.local import LocalStorage
from fastopp.storage.object import ObjectStorage
from fastopp.storage.sync.backup import backup_files
from fastopp.storage.sync.compare import verify_files
from fastopp.storage.sync.lock import FolderInUse, locked
from fastopp.storage.sync.prune import (
    NothingToCompareWith,
    remove_files,
    surplus_in_folder,
    surplus_in_storage,
)
from fastopp.storage.sync.report import Progress
from fastopp.storage.sync.restore import restore_files
from tests.integration.test_storage_object import open_bucket
from tests.services import forks
from tests.services.s3 import ACCESS_KEY, SECRET_KEY, RcloneServer
from tests.services.s3_faults import Fault, FaultProxy, FullServer, OddServer

BIG = 20 * 1024 * 1024 + 17  # bytes: three parts

NAMES = [
    "plain.jpg",
    "with a space.jpg",
    "100%2Fdone%.jpg",
    "a+b=c&d.jpg",
    "(1) 'quoted' \"twice\", [x] {y} ~`!@#$^;.jpg",
    unicodedata.normalize("NFC", "größe-ñ.jpg"),
    unicodedata.normalize("NFD", "größe-ñ.jpg"),
    "写真/日本/東京.png",
    "uploads/photos/within.jpg",
    "a/b/c/d/e/f.txt",
    "-dash",
    "👍.gif",
]


def fill(folder: Path, names: list[str], *, seed: int = 1, most: int = 5000) -> dict[str, bytes]:
    """Write files with content of their own, and return it."""
    chance = random.Random(seed)
    contents = {}
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        contents[name] = chance.randbytes(chance.randrange(1, most))
        path.write_bytes(contents[name])
    return contents


def contents_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "uploads"


@pytest.fixture
def back(tmp_path: Path) -> Path:
    return tmp_path / "back"


@pytest.fixture
def bucket(rclone: RcloneServer) -> str:
    return rclone.create_bucket()


@pytest.fixture
def storage(rclone: RcloneServer, bucket: str) -> ObjectStorage:
    return open_bucket(bucket, rclone.endpoint)


async def test_everything_there_and_back(storage: ObjectStorage, folder: Path, back: Path) -> None:
    contents = fill(folder, NAMES)
    long = "/".join(["n" * 200] * 4) + "/" + "é" * 110  # 1,024 bytes
    assert len(long.encode()) == 1024
    contents |= fill(folder, [long])
    (folder / "empty.txt").write_bytes(b"")
    contents["empty.txt"] = b""
    (folder / "big.bin").write_bytes(random.Random(2).randbytes(BIG))
    contents["big.bin"] = (folder / "big.bin").read_bytes()

    told: list[Progress] = []
    report = await backup_files(storage, folder, progress=told.append)
    assert report.failed == []
    assert (report.status, report.copied, report.skipped) == ("success", len(contents), 0)
    assert report.bytes == sum(map(len, contents.values()))
    assert told[-1] == Progress(len(contents), len(contents), report.bytes)

    report = await restore_files(storage, back)
    assert report.failed == []
    assert (report.status, report.copied) == ("success", len(contents))
    assert contents_of(back) == contents
    assert (await verify_files(storage, back)).equal


async def test_what_is_there_is_not_sent_again(rclone: RcloneServer, bucket: str, folder: Path, back: Path) -> None:
    fill(folder, [f"photos/{number}.jpg" for number in range(30)])
    (folder / "big.bin").write_bytes(bytes(BIG))
    with FaultProxy(rclone) as proxy:
        storage = open_bucket(bucket, proxy.endpoint)
        assert (await backup_files(storage, folder)).copied == 31
        sent = len(proxy.asked("PUT"))
        report = await backup_files(storage, folder)
        assert (report.status, report.copied, report.skipped, report.files_count) == ("success", 0, 31, 31)
        assert len(proxy.asked("PUT")) == sent

        assert (await restore_files(storage, back)).copied == 31
        before = len(proxy.requests)
        report = await restore_files(storage, back)
        assert (report.copied, report.skipped) == (0, 31)
        assert len(proxy.requests) - before == 1  # one listing


async def test_only_what_changed_is_sent(storage: ObjectStorage, folder: Path, back: Path) -> None:
    fill(folder, NAMES)
    await backup_files(storage, folder)
    size = (folder / "plain.jpg").stat().st_size
    (folder / "plain.jpg").write_bytes(bytes(size))  # the same size
    (folder / "new.jpg").write_bytes(b"new")
    result = await verify_files(storage, folder)
    assert not result.equal
    assert (result.differing, result.missing_in_storage, result.missing_in_folder) == (["plain.jpg"], ["new.jpg"], [])
    report = await backup_files(storage, folder)
    assert (report.copied, report.skipped) == (2, len(NAMES) - 1)
    assert (await verify_files(storage, folder)).equal


async def test_a_newer_file_in_the_folder_stays(storage: ObjectStorage, folder: Path) -> None:
    fill(folder, ["a.txt", "b.txt"])
    await backup_files(storage, folder)
    for name, age in (("a.txt", 60), ("b.txt", -60)):
        stored = await storage.head(name)
        (folder / name).write_bytes(b"other")
        os.utime(folder / name, (stored.modified.timestamp() - age,) * 2)
    report = await restore_files(storage, folder)
    assert (report.status, report.copied) == ("success", 1)
    assert [remark.key for remark in report.left_out] == ["b.txt"]
    assert (folder / "b.txt").read_bytes() == b"other"
    report = await restore_files(storage, folder, overwrite=True)
    assert (report.copied, report.left_out) == (1, [])
    assert (await verify_files(storage, folder)).equal


async def test_what_is_no_file_is_left_out(storage: ObjectStorage, folder: Path, tmp_path: Path) -> None:
    fill(folder, ["a.txt"])
    fill(tmp_path / "elsewhere", ["secret.txt"])
    (folder / "link.txt").symlink_to(tmp_path / "elsewhere" / "secret.txt")
    (folder / "linked").symlink_to(tmp_path / "elsewhere")
    (folder / ".hidden").write_bytes(b"x")
    (folder / "back\\slash").write_bytes(b"x")
    (folder / ".incoming-0123").write_bytes(b"half")
    os.mkfifo(folder / "pipe")
    fill(folder, [os.fsdecode(b"\xff.txt")])
    report = await backup_files(storage, folder)
    assert (report.status, report.copied) == ("success", 1)
    assert {remark.key: remark.reason for remark in report.left_out} == {
        "link.txt": "It is a symbolic link.",
        "linked": "It is a symbolic link.",
        ".hidden": "Its name begins with a dot.",
        "back\\slash": "Its name holds a backslash or a control character.",
        "pipe": "It is not a regular file.",
        "\\udcff.txt": "Its name is not UTF-8.",
    }
    assert [file.key async for file in storage.list()] == ["a.txt"]


async def test_a_folder_that_is_not_there(storage: ObjectStorage, folder: Path) -> None:
    report = await backup_files(storage, folder)
    assert (report.status, report.files_count) == ("success", 0)


async def test_a_file_that_changes_while_it_is_sent(storage: ObjectStorage, folder: Path, back: Path) -> None:
    fill(folder, ["quiet.txt"])
    busy = folder / "busy.bin"
    busy.write_bytes(bytes(BIG))
    stop = asyncio.Event()

    async def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            await asyncio.to_thread(_scribble, busy, number)
            await asyncio.sleep(0.005)

    writer = asyncio.create_task(write())
    report = await backup_files(storage, folder)
    stop.set()
    await writer
    assert report.status == "error"
    assert [remark.key for remark in report.failed] == ["busy.bin"]
    assert report.copied == 1
    assert [file.key async for file in storage.list()] == ["quiet.txt"]  # nothing torn
    assert (await backup_files(storage, folder)).status == "success"
    assert (await verify_files(storage, folder)).equal


def _scribble(path: Path, number: int) -> None:
    with path.open("r+b") as file:
        file.seek(number * 4096 % BIG)
        file.write(number.to_bytes(8))


async def test_a_run_whose_time_is_up(rclone: RcloneServer, bucket: str, folder: Path, back: Path) -> None:
    fill(folder, [f"{number}.jpg" for number in range(60)])
    with FaultProxy(rclone) as proxy:
        storage = open_bucket(bucket, proxy.endpoint)
        runs = 0
        status = "partial"
        proxy.faults = [Fault("PUT GET", times=10_000, skip=1, delay=0.1)]
        while status == "partial":
            report = await backup_files(storage, folder, budget=0.8, concurrency=4)
            status = report.status
            runs += 1
            assert runs < 30
        assert runs > 1
        assert status == "success"
        proxy.faults = [Fault("GET", times=10_000, skip=1, delay=0.1)]
        status, runs = "partial", 0
        while status == "partial":
            status = (await restore_files(storage, back, budget=0.8, concurrency=4)).status
            runs += 1
            assert runs < 30
        assert runs > 1
    assert contents_of(back) == contents_of(folder)


async def test_some_files_do_not_arrive(rclone: RcloneServer, bucket: str, folder: Path) -> None:
    fill(folder, [f"{number}.jpg" for number in range(40)])
    with FaultProxy(rclone) as proxy:
        storage = open_bucket(bucket, proxy.endpoint)
        proxy.faults = [Fault("PUT", times=3, skip=5, refuse=(400, "EntityTooLarge"))]
        report = await backup_files(storage, folder)
        assert (report.status, report.copied, report.failed_count) == ("error", 37, 3)
        proxy.faults = [Fault("PUT", times=3, skip=5, corrupt_upload=True), Fault("PUT", times=2, drop_upload=10)]
        report = await backup_files(storage, folder)  # fixed by sending again
        assert report.status == "success"
    assert (await verify_files(open_bucket(bucket, rclone.endpoint), folder)).equal


async def test_object_storage_is_full(rclone: RcloneServer, bucket: str, folder: Path) -> None:
    fill(folder, [f"{number}.jpg" for number in range(300)])
    with FullServer(rclone, room=20) as server:
        storage = open_bucket(bucket, server.endpoint)
        report = await backup_files(storage, folder)
        assert (report.status, report.copied) == ("error", 20)  # sent again where the server was slow
        assert 0 < report.failed_count <= 64  # nothing new was begun
        server.room = 300
        report = await backup_files(storage, folder)
        assert (report.status, report.copied, report.skipped) == ("success", 280, 20)


async def test_damage_on_the_way_back(rclone: RcloneServer, bucket: str, folder: Path, back: Path) -> None:
    contents = fill(folder, [f"{number}.jpg" for number in range(10)])
    (folder / "big.bin").write_bytes(random.Random(3).randbytes(3_000_000))
    await backup_files(open_bucket(bucket, rclone.endpoint), folder)
    with FaultProxy(rclone) as proxy:
        storage = open_bucket(bucket, proxy.endpoint)
        proxy.faults = [
            Fault("GET", times=3, skip=1, corrupt_download=True),
            Fault("GET", times=3, skip=3, drop_download=100),
        ]
        report = await restore_files(storage, back)
        assert report.status == "success" or {"big.bin"} >= {remark.key for remark in report.failed}
        assert (await restore_files(storage, back)).status == "success"
    assert {name: contents_of(back)[name] for name in contents} == contents
    assert contents_of(back) == contents_of(folder)  # and no temporary file


async def test_keys_that_would_leave_the_folder(rclone: RcloneServer, bucket: str, folder: Path, back: Path) -> None:
    fill(folder, ["good.txt", "bad.txt"])
    await backup_files(open_bucket(bucket, rclone.endpoint), folder)
    for number, name in enumerate(("../outside.txt", "a/../../outside.txt", "a//b.txt", "/../outside.txt")):
        with Renaming(rclone, b"bad.txt", name.encode()) as proxy:
            storage = open_bucket(bucket, proxy.endpoint)
            report = await restore_files(storage, back)
            assert (report.status, report.copied, report.skipped) == ("error", number == 0, number > 0)
            assert [(remark.key, "leads out" in remark.reason) for remark in report.failed] == [(name, True)]
            report = await backup_files(storage, folder)  # not in its way
            assert report.status == "success"
            assert [remark.key for remark in report.left_out] == [name]
            assert (await verify_files(storage, back)).equal
            assert (await storage.usage()).files == 2
    for harmless in (b"/etc/outside.txt", b"C:\\outside.txt"):
        with Renaming(rclone, b"bad.txt", harmless) as proxy:
            await restore_files(open_bucket(bucket, proxy.endpoint), back)
    assert set(contents_of(back)) <= {"good.txt"}
    assert set(contents_of(back.parent)) == {
        "uploads/good.txt",
        "uploads/bad.txt",
        *map("back/{}".format, contents_of(back)),
    }


async def test_names_that_are_no_keys_are_listed_with_the_reason(
    rclone: RcloneServer, bucket: str, folder: Path, back: Path
) -> None:
    fill(folder, ["good.txt"])
    await backup_files(open_bucket(bucket, rclone.endpoint), folder)
    reasons = {
        "back\\slash.txt": "Its name holds a backslash.",
        ". hidden": "Its name begins with a dot.",
        "photos/.hidden.jpg": "Its name begins with a dot.",
    }
    place = rclone.bucket(bucket)
    for name in (*reasons, "tab.txt", "backups/.of the database"):
        (place / name).parent.mkdir(exist_ok=True)
        (place / name).write_bytes(b"x")
    rclone.forget()
    reasons["a\tTAB.txt"] = "Its name holds a control character."
    with Renaming(rclone, b"tab.txt", b"a&#x9;TAB.txt") as proxy:
        await check_left_out(open_bucket(bucket, proxy.endpoint), folder, back, reasons)


async def check_left_out(storage: ObjectStorage, folder: Path, back: Path, reasons: dict[str, str]) -> None:
    restored = await restore_files(storage, back)
    assert (restored.status, restored.copied) == ("success", 1)
    assert {remark.key: remark.reason for remark in restored.left_out} == reasons
    verified = await verify_files(storage, back)
    assert verified.equal
    assert {remark.key: remark.reason for remark in verified.left_out} == reasons
    again = await backup_files(storage, folder)
    assert (again.status, {remark.key: remark.reason for remark in again.left_out}) == ("success", reasons)


async def test_a_name_that_is_no_path_on_the_second_page(rclone: RcloneServer, bucket: str) -> None:
    place = rclone.bucket(bucket)
    for number in range(1150):
        (place / f"{number:04}.txt").touch()
    refused: list[str] = []
    with Renaming(rclone, b"1100.txt", b"1100//x.txt") as proxy:
        storage = open_bucket(bucket, proxy.endpoint)
        await storage.usage()  # which makes its connection
        proxy.faults = [Fault("GET", skip=2, times=2, refuse=(503, "SlowDown"))]
        keys = [file.key async for page in storage.pages(refused=refused.append) for file in page]
    assert sorted(keys) == [f"{number:04}.txt" for number in range(1150) if number != 1100]
    assert refused == ["1100//x.txt"]


class Renaming(FaultProxy):
    """Tells another name in listings."""

    def __init__(self, server: RcloneServer, old: bytes, new: bytes) -> None:
        super().__init__(server)
        self._old, self._new = old, new

    def answer(self, request):
        response = super().answer(request)
        if request.method == "GET" and "list-type" in request.path:
            response.body = response.body.replace(b"<Key>" + self._old, b"<Key>" + self._new)
        return response


async def test_what_stands_in_the_way(storage: ObjectStorage, folder: Path, back: Path, tmp_path: Path) -> None:
    fill(folder, ["a/b.txt", "c", "linked/x.txt", "good.txt"])
    await backup_files(storage, folder)
    fill(back, ["a", "c/d.txt"])
    (tmp_path / "elsewhere").mkdir()
    (back / "linked").symlink_to(tmp_path / "elsewhere")
    report = await restore_files(storage, back)
    assert report.status == "error"
    assert {remark.key for remark in report.failed} == {"a/b.txt", "c", "linked/x.txt"}
    assert (back / "good.txt").exists()
    assert list((tmp_path / "elsewhere").iterdir()) == []


async def test_an_etag_that_tells_nothing(rclone: RcloneServer, bucket: str, folder: Path, back: Path) -> None:
    contents = fill(folder, ["a.txt", "b.txt"])
    await backup_files(open_bucket(bucket, rclone.endpoint), folder)
    with Opaque(rclone) as proxy:
        storage = open_bucket(bucket, proxy.endpoint)
        report = await backup_files(storage, folder)
        assert (report.copied, report.skipped) == (0, 2)
        assert (await verify_files(storage, folder)).equal
        fill(back, ["a.txt"])  # the content of its own
        (back / "b.txt").write_bytes(bytes(len(contents["b.txt"])))
        os.utime(back / "b.txt", (0, 0))
        report = await restore_files(storage, back)
        assert (report.copied, report.skipped) == (1, 1)
    assert contents_of(back) == contents


class Opaque(FaultProxy):
    """Tells ETags in listings that are no checksums."""

    def answer(self, request):
        response = super().answer(request)
        if request.method == "GET" and "list-type" in request.path:
            response.body = re.sub(
                rb"<ETag>.*?</ETag>", b"<ETag>&#34;0123456789abcdef0123456789abcdef&#34;</ETag>", response.body
            )
        return response


async def test_what_older_versions_wrote_comes_back(
    rclone: RcloneServer, bucket: str, storage: ObjectStorage, back: Path
) -> None:
    fill(rclone.bucket(bucket), ["uploads/photos/old.jpg", "photos/direct.jpg"])
    report = await restore_files(storage, back)
    assert (report.status, report.copied) == ("success", 2)
    assert set(contents_of(back)) == {"photos/old.jpg", "photos/direct.jpg"}
    assert (await backup_files(storage, back)).copied == 0


async def test_dumps_of_the_database_are_no_uploads(
    rclone: RcloneServer, bucket: str, storage: ObjectStorage, folder: Path
) -> None:
    fill(rclone.bucket(bucket), ["backups/dump.sql", "a.txt"])
    assert (await restore_files(storage, folder)).copied == 1
    assert set(contents_of(folder)) == {"a.txt"}
    assert (await verify_files(storage, folder)).equal
    with await surplus_in_storage(storage, folder) as surplus:
        assert [*surplus.keys()] == []
    fill(folder, ["backups/mine.txt"])
    report = await backup_files(storage, folder)
    assert (report.copied, [remark.key for remark in report.left_out]) == (0, ["backups"])


async def test_odd_servers(rclone: RcloneServer, bucket: str, folder: Path, back: Path) -> None:
    contents = fill(folder, NAMES)
    with OddServer(rclone) as odd:
        odd.encodes_keys = odd.deaf_to_slashes = odd.blind_head = True
        storage = open_bucket(bucket, odd.endpoint)
        assert (await backup_files(storage, folder)).copied == len(contents)
        assert (await backup_files(open_bucket(bucket, odd.endpoint), folder)).skipped == len(contents)
        assert (await restore_files(open_bucket(bucket, odd.endpoint), back)).copied == len(contents)
    assert contents_of(back) == contents


async def test_pruning_shows_and_then_deletes(storage: ObjectStorage, folder: Path, back: Path) -> None:
    fill(folder, ["a.txt", "b.txt"])
    await backup_files(storage, folder)
    await restore_files(storage, back)
    (folder / "b.txt").unlink()
    with await surplus_in_storage(storage, folder) as surplus:
        assert [*surplus.keys()] == ["b.txt"]
        assert await remove_files(storage, surplus.keys()) == 1
    assert (await verify_files(storage, folder)).equal
    with await surplus_in_folder(storage, back) as surplus:
        assert await remove_files(LocalStorage(back), [*surplus.keys()]) == 1
    assert set(contents_of(back)) == {"a.txt"}


async def test_pruning_with_an_empty_side_is_refused(storage: ObjectStorage, folder: Path, back: Path) -> None:
    fill(folder, ["a.txt"])
    with pytest.raises(NothingToCompareWith):
        await surplus_in_folder(storage, folder)
    await backup_files(storage, folder)
    with pytest.raises(NothingToCompareWith):
        await surplus_in_storage(storage, back)


async def test_by_the_names_of_the_proposal(rclone: RcloneServer, bucket: str, folder: Path, back: Path) -> None:
    contents = fill(folder, NAMES)
    storage = LeapCellStorage(bucket, endpoint=rclone.endpoint, access_key=ACCESS_KEY, secret_key=SECRET_KEY)
    assert (await storage.backup_files(str(folder))).files_count == len(NAMES)
    assert (await storage.restore_files(str(back))).files_count == len(NAMES)
    assert contents_of(back) == contents


async def test_a_full_disk(storage: ObjectStorage, folder: Path, back: Path, caplog: pytest.LogCaptureFixture) -> None:
    contents = fill(folder, ["a.txt", "b.txt", "large.bin"])
    (folder / "large.bin").write_bytes(bytes(3_000_000))
    contents["large.bin"] = bytes(3_000_000)
    await backup_files(storage, folder)
    caplog.set_level(logging.CRITICAL)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    try:
        report = await restore_files(storage, back)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert report.status == "error"
    assert [remark.key for remark in report.failed] == ["large.bin"]
    assert set(contents_of(back)) <= {"a.txt", "b.txt"}  # nothing half-written
    assert (await restore_files(storage, back)).status == "success"
    assert contents_of(back) == contents


SOMEBODY_ELSE = """
import asyncio, os, sys
from pathlib import Path
from fastopp.storage.sync.backup import backup_files
from fastopp.storage.sync.compare import verify_files
from fastopp.storage.object import ObjectStorage

endpoint, bucket, folder, access_key, secret_key = sys.argv[1:]
storage = ObjectStorage(bucket, endpoint=endpoint, access_key=access_key, secret_key=secret_key)
asyncio.run(backup_files(storage, Path(folder, "a")))  # whatever must be imported is, while it may be
storage._objects.writing
if os.geteuid() == 0:
    os.setresuid(65534, 65534, 65534)
report = asyncio.run(backup_files(storage, Path(folder)))
print(report.status, report.copied, sorted((remark.key, remark.reason) for remark in report.failed))
print(asyncio.run(verify_files(storage, Path(folder))).failed_count)
"""


def test_what_may_not_be_read(rclone: RcloneServer, bucket: str) -> None:
    # Not in pytest's own folder, which is closed to all but its user.
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place, "uploads")
        fill(folder, ["a.txt", "closed.txt", "closed/b.txt"])
        Path(place).chmod(0o755)
        (folder / "closed.txt").chmod(0)
        (folder / "closed").chmod(0)
        words = ["-c", SOMEBODY_ELSE, rclone.endpoint, bucket, folder, ACCESS_KEY, SECRET_KEY]
        done = forks.run(words, text=True)
        (folder / "closed").chmod(0o755)
    failed = [("closed.txt", "It may not be read."), ("closed/", "It may not be read.")]
    assert done.stdout == f"error 1 {failed}\n1\n", done.stderr
    assert place not in done.stdout


def test_one_restore_at_a_time(folder: Path) -> None:
    with locked(folder), pytest.raises(FolderInUse), locked(folder):
        pass
    with locked(folder):
        pass
    assert list(folder.iterdir()) == []
