# ruff: noqa: ASYNC240 - a test may block: nothing else runs on its loop
from __future__ import annotations

import logging
import os
import resource
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from fastopp.storage.base import FileMissing, InvalidKey, StorageFull, StorageUnavailable
from fastopp.storage.local import LocalStorage
from tests.services import forks
from tests.storage_conformance import KEY, StorageConformance, listed, pieces

ROOT_USER = os.geteuid() == 0


class TestLocalStorage(StorageConformance):
    @pytest.fixture
    def storage(self, tmp_path: Path) -> LocalStorage:
        return LocalStorage(tmp_path / "uploads")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "uploads"


@pytest.fixture
def storage(root: Path) -> LocalStorage:
    return LocalStorage(root)


def everything(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if not path.is_dir()]


async def test_the_folder_is_made_by_the_first_file(storage: LocalStorage, root: Path) -> None:
    assert await listed(storage) == {}
    assert await storage.sweep() == 0
    await storage.delete(KEY)
    assert not root.exists()
    await storage.put(KEY, b"x", content_type="image/jpeg")
    assert (root / KEY).read_bytes() == b"x"


async def test_the_folder_may_vanish(storage: LocalStorage, root: Path) -> None:
    await storage.put(KEY, b"x", content_type="image/jpeg")
    root.rename(root.with_name("gone"))
    with pytest.raises(FileMissing):
        await storage.get(KEY)
    await storage.put(KEY, b"y", content_type="image/jpeg")
    assert await storage.get(KEY) == b"y"


async def test_a_relative_folder_stays_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    storage = LocalStorage(Path("static/uploads"))
    monkeypatch.chdir("/")
    await storage.put(KEY, b"x", content_type="image/jpeg")
    assert (tmp_path / "static/uploads" / KEY).exists()


async def test_the_folder_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "volume").mkdir()
    (tmp_path / "uploads").symlink_to("volume")
    storage = LocalStorage(tmp_path / "uploads")
    await storage.put(KEY, b"x", content_type="image/jpeg")
    assert (tmp_path / "volume" / KEY).exists()
    assert await storage.get(KEY) == b"x"
    assert list(await listed(storage)) == [KEY]


async def test_links_are_not_followed(storage: LocalStorage, root: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "key.txt").write_text("secret")
    root.mkdir(parents=True)
    (root / "out").symlink_to(secret)
    (root / "key.txt").symlink_to(secret / "key.txt")
    (root / "loop").symlink_to("loop")
    for key in ("out/key.txt", "key.txt", "out", "loop", "loop/a"):
        with pytest.raises(FileMissing):
            await storage.get(key)
        with pytest.raises(FileMissing):
            await storage.head(key)
        with pytest.raises(InvalidKey):
            await storage.put(key, b"mine", content_type="text/plain")
        await storage.delete(key)
    with pytest.raises(InvalidKey):
        await storage.put("out/new/a.txt", b"mine", content_type="text/plain")
    assert await listed(storage) == await listed(storage, "out/") == {}
    assert everything(secret) == [secret / "key.txt"]
    assert (secret / "key.txt").read_text() == "secret"


async def test_what_is_no_regular_file_is_not_there(storage: LocalStorage, root: Path) -> None:
    root.mkdir(parents=True)
    os.mkfifo(root / "pipe")
    with pytest.raises(FileMissing):
        await storage.get("pipe")
    with pytest.raises(FileMissing):
        await storage.head("pipe")
    assert await listed(storage) == {}


async def test_names_on_the_disk_that_are_no_keys_are_not_listed(storage: LocalStorage, root: Path) -> None:
    await storage.put(KEY, b"x", content_type="image/jpeg")
    (root / ".gitkeep").touch()
    (root / "back\\slash").touch()
    (root / "new\nline").touch()
    Path(os.fsdecode(os.fsencode(root) + b"/latin-\xe9")).touch()
    assert list(await listed(storage)) == [KEY]


async def test_a_file_and_a_folder_in_each_others_way(storage: LocalStorage) -> None:
    await storage.put("photos/a", b"x", content_type="image/jpeg")
    for key in ("photos", "photos/a/b", "photos/a/b/c"):
        with pytest.raises(InvalidKey):
            await storage.put(key, b"y", content_type="image/jpeg")
    assert list(await listed(storage)) == ["photos/a"]


async def test_a_name_too_long_for_the_disk(storage: LocalStorage) -> None:
    key = "photos/" + "x" * 300
    with pytest.raises(InvalidKey):
        await storage.put(key, b"x", content_type="image/jpeg")
    with pytest.raises(InvalidKey):
        await storage.get(key)


async def test_a_cancel_scope_waits_for_the_thread_and_cleans_up(storage: LocalStorage, root: Path) -> None:
    with anyio.CancelScope() as scope:

        async def endless():
            yield b"half"
            scope.cancel()
            await anyio.sleep_forever()

        await storage.put(KEY, endless(), content_type="image/jpeg")
    assert scope.cancelled_caught
    assert everything(root) == []


UPLOADER = """
import asyncio, sys
from pathlib import Path
from fastopp.storage.local import LocalStorage

async def slow():
    yield b"x" * 1_000_000
    print("half", flush=True)
    await asyncio.sleep(60)

asyncio.run(LocalStorage(Path(sys.argv[1])).put(sys.argv[2], slow(), content_type="image/jpeg"))
"""


async def test_a_killed_process_leaves_nothing_that_shows(storage: LocalStorage, root: Path) -> None:
    await storage.put(KEY, b"old", content_type="image/jpeg")
    with forks.Program(["-c", UPLOADER, root, KEY], stdout=forks.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"half\n"
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL

    assert await storage.get(KEY) == b"old"
    assert list(await listed(storage)) == [KEY]
    [leftover] = [path for path in everything(root) if path != root / KEY]
    assert leftover.stat().st_size == 1_000_000
    with pytest.raises(InvalidKey):
        await storage.get(f"photos/{leftover.name}")

    assert await storage.sweep() == 0, "it might still be written to"
    assert await storage.sweep(older_than=-1) == 1
    assert everything(root) == [root / KEY]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one megabyte, where we may mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk]
    if not ROOT_USER or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("this user may not mount a disk")
    yield disk
    subprocess.run(["umount", disk], check=True)


async def test_a_full_disk(small_disk: Path, caplog: pytest.LogCaptureFixture) -> None:
    storage = LocalStorage(small_disk / "uploads")
    await storage.put(KEY, b"old", content_type="image/jpeg")
    await assert_full_leaves_nothing_torn(storage, 2_000_000)
    assert str(storage.root) in caplog.text
    assert "Traceback" not in caplog.text  # a command prints it as it is


async def assert_full_leaves_nothing_torn(storage: LocalStorage, size: int) -> None:
    with pytest.raises(StorageFull) as raised:
        await storage.put(KEY, bytes(size), content_type="image/jpeg")
    assert raised.value.status == 507
    assert str(storage.root) not in str(raised.value)
    with pytest.raises(StorageFull):
        await storage.put("photos/new.jpg", pieces(*[bytes(size // 20)] * 20), content_type="image/jpeg")
    assert await storage.get(KEY) == b"old"
    assert everything(storage.root) == [storage.root / KEY]
    await storage.put("photos/small.jpg", b"fits", content_type="image/jpeg")


async def test_a_limit_on_file_size(storage: LocalStorage, caplog: pytest.LogCaptureFixture) -> None:
    await storage.put(KEY, b"old", content_type="image/jpeg")
    caplog.set_level(logging.CRITICAL)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        await assert_full_leaves_nothing_torn(storage, 200_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


FORBIDDEN = """
import asyncio, os, sys
from pathlib import Path
from fastopp.storage.base import StorageUnavailable
from fastopp.storage.local import LocalStorage

storage = LocalStorage(Path(sys.argv[1]))

async def main():
    # Whatever must be imported is, while it may be.
    await storage.head("photos/b.jpg")
    await storage.get("photos/b.jpg")
    (storage.root / "photos").chmod(0)
    if os.geteuid() == 0:
        os.setresuid(65534, 65534, 65534)
    async def every():
        return [file async for file in storage.list()]
    for attempt in (storage.put("photos/a.jpg", b"x", content_type="image/jpeg"), storage.get("photos/b.jpg"), every()):
        try:
            await attempt
        except StorageUnavailable as error:
            print(error)

asyncio.run(main())
"""


async def test_a_folder_without_permission() -> None:
    # Not in pytest's own folder, which is closed to all but its user.
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        await LocalStorage(Path(folder, "uploads")).put("photos/b.jpg", b"x", content_type="image/jpeg")
        result = forks.run(["-c", FORBIDDEN, f"{folder}/uploads"], text=True)
        Path(folder, "uploads", "photos").chmod(0o755)
    lines = result.stdout.splitlines()
    assert len(lines) == 3
    assert all("UPLOAD_DIR" in line and folder not in line for line in lines)
    assert "Permission denied" in result.stderr


async def test_a_read_only_place() -> None:
    with pytest.raises(StorageUnavailable):
        await LocalStorage(Path("/proc/uploads")).put(KEY, b"x", content_type="image/jpeg")


async def test_what_was_put_is_on_the_disk(storage: LocalStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    real_fsync, real_replace = os.fsync, os.replace
    monkeypatch.setattr(
        os, "fsync", lambda fd: (calls.append(str(Path(f"/proc/self/fd/{fd}").readlink())), real_fsync(fd))
    )
    monkeypatch.setattr(os, "replace", lambda *a: (calls.append("rename"), real_replace(*a)))
    await storage.put(KEY, b"x", content_type="image/jpeg")
    renamed = calls.index("rename")
    assert any(".incoming-" in call for call in calls[:renamed])
    assert str(storage.root / "photos") in calls[renamed:]
    assert str(storage.root) in calls[renamed:], "the new folder's name must survive too"
