"""Checksums that are remembered: never for a file that changed, or may have."""

from __future__ import annotations

import asyncio
import hashlib
import os
import sqlite3
import time
from pathlib import Path

import pytest

from fastopp.storage.sync import known_checksums
from fastopp.storage.sync.known_checksums import Checksums, KnownChecksums

OLD = time.time() - 60


def md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "photo.jpg"
    path.write_bytes(b"first")
    return path


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "temporary"


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file whose times cannot be set back, as its ctime, is old enough after this."""
    monkeypatch.setattr(known_checksums, "RACY", 20_000_000)


def checksums_of(place: Path, path: Path) -> Checksums:
    async def ask() -> Checksums:
        async with KnownChecksums(place) as known:
            return known.of(str(path))

    return asyncio.run(ask())


def ask(place: Path, path: Path) -> str:
    return checksums_of(place, path).md5


def unreadable(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str) -> None:
        raise AssertionError(f"{path} is read again")

    monkeypatch.setattr(known_checksums, "digest_of", refuse)


def test_a_file_is_read_once(place: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    time.sleep(0.05)
    assert ask(place, file) == md5(b"first")
    unreadable(monkeypatch)
    assert ask(place, file) == md5(b"first")
    checksums = checksums_of(place, file)
    assert checksums.matches(f'"{md5(b"first")}"')
    assert checksums.matches(f'"{md5(bytes.fromhex(md5(b"first")))}-1"')
    assert checksums.matches('"' + "0" * 32 + '"') is False
    assert checksums.matches('"odd"') is None


def test_another_content_of_the_same_size_and_date(place: Path, file: Path) -> None:
    os.utime(file, (OLD, OLD))
    time.sleep(0.05)
    assert ask(place, file) == md5(b"first")
    file.write_bytes(b"other")
    os.utime(file, (OLD, OLD))
    assert ask(place, file) == md5(b"other")


def test_what_changed_a_moment_ago_is_not_remembered(place: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known_checksums, "RACY", 60_000_000_000)
    ask(place, file)
    unreadable(monkeypatch)
    with pytest.raises(AssertionError, match="read again"):
        ask(place, file)


@pytest.mark.parametrize("damage", [b"", b"no table at all" * 1000, None])
def test_damage(place: Path, file: Path, damage: bytes | None) -> None:
    time.sleep(0.05)
    ask(place, file)
    kept = place / "checksums.sqlite"
    if damage is None:
        with sqlite3.connect(kept) as table:
            table.execute("UPDATE files SET md5 = 'Robert', of_parts = 7")
        table.close()
    else:
        kept.write_bytes(damage)
    assert ask(place, file) == md5(b"first")
    assert ask(place, file) == md5(b"first")


def test_a_place_where_others_write_is_not_used(
    place: Path, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    time.sleep(0.05)
    place.mkdir()
    place.chmod(0o777)
    assert ask(place, file) == md5(b"first")
    assert list(place.iterdir()) == []
    link = tmp_path / "link"
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    link.symlink_to(private)
    assert ask(link, file) == md5(b"first")
    assert list(private.iterdir()) == []
    assert ask(file, file) == md5(b"first")  # a file is in the way


def test_two_at_once(place: Path, file: Path) -> None:
    time.sleep(0.05)

    async def both() -> None:
        async with KnownChecksums(place) as one, KnownChecksums(place) as other:
            assert one.of(str(file)) == other.of(str(file))

    asyncio.run(both())


def test_it_does_not_grow_for_ever(place: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    time.sleep(0.05)
    ask(place, file)
    monkeypatch.setattr(known_checksums, "MOST_BYTES", 10)
    monkeypatch.setattr(known_checksums, "RACY", 3_600_000_000_000)  # so that nothing is kept
    ask(place, file)
    with sqlite3.connect(place / "checksums.sqlite") as table:
        assert table.execute("SELECT count(*) FROM files").fetchone() == (0,)
    table.close()
