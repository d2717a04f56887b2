from __future__ import annotations

from collections.abc import Iterator

import pytest

from fastopp.storage.object import ObjectStorage
from fastopp.storage.s3.client import Patience
from tests.services.moto import MotoServer
from tests.services.s3 import ACCESS_KEY, REGION, SECRET_KEY, RcloneServer
from tests.storage_conformance import StorageConformance

HASTY = Patience(connect=2, silence=2, send=3, retries=2, retry_for=4)


def open_bucket(bucket: str, endpoint: str, **options: object) -> ObjectStorage:
    keys = {"access_key": ACCESS_KEY, "secret_key": SECRET_KEY, "region": REGION, "patience": HASTY}
    return ObjectStorage(bucket, endpoint=endpoint, **{**keys, **options})


class TestOnRclone(StorageConformance):
    """A server that checks signatures, and knows no ranges."""

    # rclone lists a name twice when it has been written twenty times at once; moto does this test.
    test_many_puts_of_one_key_leave_one_whole_file = None

    @pytest.fixture
    def storage(self, rclone: RcloneServer) -> ObjectStorage:
        return open_bucket(rclone.create_bucket(), rclone.endpoint)


@pytest.fixture(scope="module")
def moto() -> Iterator[MotoServer]:
    with MotoServer() as server:
        yield server


class TestOnMoto(StorageConformance):
    """A server that does as AWS does, but checks no signatures."""

    @pytest.fixture
    def storage(self, moto: MotoServer) -> ObjectStorage:
        return open_bucket(moto.create_bucket(), moto.endpoint)
