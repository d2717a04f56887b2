"""Time limits for a storage that may not answer at all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from fastopp.storage.base import StorageUnavailable

FIRST_BYTE = 10.0
"""Seconds for a visitor's file to begin."""

UPLOAD = 25.0
"""Seconds to store what a user has sent. With `REMOVAL`, the user waits 30 seconds at most."""

COPY_SPEED = 20_000_000
"""Bytes a second that a service copies at least, in addition to `UPLOAD`: large files take longer."""

REMOVAL = 5.0
"""Seconds for a small operation, like removing a file that nothing names; one that stays is left to clean-up."""

DEAD = 60.0
"""Seconds after which a backup or a restore takes a storage that answers nothing for dead."""


@asynccontextmanager
async def within(seconds: float) -> AsyncGenerator[None]:
    """Give the storage so many seconds. Raise StorageUnavailable when they are over."""
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            yield
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise StorageUnavailable(f"The storage did not answer within {seconds:g} seconds.") from error
