from __future__ import annotations

import pytest

from fastopp.storage.object_bucket import Patience
from fastopp.storage.object import ObjectStorage
from tests.services.s3 import ACCESS_KEY, REGION, SECRET_KEY, RcloneServer
from tests.storage_conformance import StorageConformance


HASTY = Patience(connect=2, silence=2, send=4, retries=2, retry_for=4)


def open_bucket(bucket: str, endpoint: str, **options: object) -> ObjectStorage:
    keys = {"access_key": ACCESS_KEY, "secret_key": SECRET_KEY, "region": REGION, "patience": HASTY}
    return ObjectStorage(bucket, endpoint=endpoint, **{**keys, **options})


class TestObjectStorage(StorageConformance):
    @pytest.fixture
    def storage(self, rclone: RcloneServer) -> ObjectStorage:
        return open_bucket(rclone.create_bucket(), rclone.endpoint)
