"""The storage in memory does what any storage does."""

from __future__ import annotations

import pytest

from fastopp.storage.base import Storage
from fastopp.testing import MemoryStorage
from tests.storage_conformance import KEY, StorageConformance, listed


class TestMemoryStorage(StorageConformance):
    @pytest.fixture
    def storage(self) -> Storage:
        return MemoryStorage()


async def test_each_has_its_own_files() -> None:
    await MemoryStorage().put(KEY, b"x", content_type="image/jpeg")
    assert await listed(MemoryStorage()) == {}
