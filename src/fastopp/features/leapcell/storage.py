"""LeapCell's Object Storage, for programs. An application opens what its settings name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastopp.clock import SYSTEM_CLOCK, Clock
from fastopp.platforms.leapcell import (
    LEAPCELL_OBJECT_STORAGE,
    LEAPCELL_OBJECT_STORAGE_FILES,
    LEAPCELL_OBJECT_STORAGE_SIZE,
)
from fastopp.settings import load_settings
from fastopp.storage.base import StorageMisconfigured
from fastopp.storage.object import ObjectStorage
from fastopp.storage.s3.quota import Quota

if TYPE_CHECKING:
    from fastopp.storage.sync.report import TransferReport

ENDPOINT = LEAPCELL_OBJECT_STORAGE
REGION = "us-east-1"  # any will do
FREE_PLAN = Quota(files=LEAPCELL_OBJECT_STORAGE_FILES, size=LEAPCELL_OBJECT_STORAGE_SIZE)


class LeapCellStorage(ObjectStorage):
    """An ObjectStorage with LeapCell's address and the quota of its free plan. Pass `quota=None` on another plan.

    Every object in it can be read by anyone who knows its URL.
    """

    def __init__(
        self,
        bucket: str = "",
        *,
        access_key: str = "",
        secret_key: str = "",
        endpoint: str = ENDPOINT,
        region: str = REGION,
        cdn_url: str = "",
        prefix: str = "",
        quota: Quota | None = FREE_PLAN,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """Read the bucket and its keys from the settings where they are not given. Raises StorageMisconfigured."""
        if not (bucket and access_key and secret_key):
            settings = load_settings()
            bucket = bucket or settings.s3_bucket
            access_key = access_key or settings.s3_access_key.get_secret_value()
            secret_key = secret_key or settings.s3_secret_key.get_secret_value()
        if not (bucket and access_key and secret_key):
            raise StorageMisconfigured("Set S3_BUCKET, S3_ACCESS_KEY and S3_SECRET_KEY, or pass them.")
        super().__init__(
            bucket,
            endpoint=endpoint,
            region=region,
            access_key=access_key,
            secret_key=secret_key,
            cdn_url=cdn_url,
            prefix=prefix,
            quota=quota,
            clock=clock,
        )

    async def backup_files(self, local_path: str | Path, **options: Any) -> TransferReport:  # noqa: ANN401
        """Send everything in a folder that is not here. The options are those of `fastopp.storage.sync.backup`'s."""
        from fastopp.storage.sync.backup import backup_files  # noqa: PLC0415 - only who backs up needs it

        return await backup_files(self, Path(local_path), **options)

    async def restore_files(self, local_path: str | Path, **options: Any) -> TransferReport:  # noqa: ANN401
        """Fetch everything that a folder has not. The options are those of `fastopp.storage.sync.restore`'s."""
        from fastopp.storage.sync.restore import restore_files  # noqa: PLC0415 - only who restores needs it

        return await restore_files(self, Path(local_path), **options)
