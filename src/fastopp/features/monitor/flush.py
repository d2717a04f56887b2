"""Write the figures of this process to the database."""

from __future__ import annotations

import logging
import time
from typing import Any

from fastopp.core.runtime import Runtime
from fastopp.database.errors import TablesMissing
from fastopp.features.monitor.writing import write
from fastopp.memory import instance_memory, resident_memory

log = logging.getLogger(__name__)


async def flush(runtime: Runtime) -> None:
    """Write what was recorded since the last flush, and what an earlier one may not have written.

    Raises DatabaseUnavailable. Then the figures are kept for the next flush.
    """
    recorder = runtime.recorder
    again = recorder.is_unsure
    batch = recorder.take()
    while batch is not None:
        try:
            await write(runtime.database, batch, describe_instance(runtime))
        except TablesMissing as error:
            log.debug("Figures are kept in memory: %s", error)  # until the project is migrated
            return
        recorder.written(batch)
        batch = recorder.take() if again else None
        again = False


def describe_instance(runtime: Runtime) -> dict[str, Any]:
    """Return the row of this process, as `MonitorInstance` has it."""
    recorder, pool = runtime.recorder, runtime.database.engine.pool
    settings = runtime.settings
    checked_in, checked_out = (getattr(pool, name, lambda: 0)() for name in ("checkedin", "checkedout"))
    return {
        "id": recorder.instance,
        "platform": settings.platform.name,
        "started_at": recorder.started,
        "seen_at": int(runtime.clock.time()),
        "start_seconds": recorder.start_seconds,
        "frozen_seconds": recorder.frozen_seconds,
        "processor_seconds": time.process_time(),
        "memory": resident_memory(),
        "memory_limit": instance_memory(),
        "connections": checked_in + checked_out,
        "connections_limit": settings.db_pool_size + settings.db_max_overflow,
    }
