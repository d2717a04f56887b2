from __future__ import annotations

import pytest

from fastopp.storage.cache import FileCache
from fastopp.storage.local import LocalStorage
from fastopp.storage.tiered import TieredStorage
from tests.storage_conformance import StorageConformance


class TestTieredStorage(StorageConformance):
    @pytest.fixture
    def storage(self, tmp_path):
        return TieredStorage(FileCache(tmp_path / "cache", 64_000_000), LocalStorage(tmp_path / "durable"))
