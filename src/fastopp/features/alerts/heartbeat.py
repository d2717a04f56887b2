"""Call HEARTBEAT_URL after a drain: a service elsewhere raises the alarm when the calls stop."""

from __future__ import annotations

import logging
from typing import Final

from fastopp.core.runtime import Runtime
from fastopp.database.errors import DatabaseUnavailable, TablesMissing
from fastopp.features.alerts import leases

log = logging.getLogger(__name__)

INTERVAL: Final = 60.0  # seconds from one call of the site to the next
LIMIT: Final = 2.0  # seconds that a drain waits


async def beat(runtime: Runtime) -> None:
    """Call the URL, if it is set and no instance has done so in the last minute. Raises nothing."""
    settings = runtime.settings
    url = settings.heartbeat_url.get_secret_value()
    if not url or not (settings.development or url.startswith("https://")):
        return
    try:
        if not await leases.take(runtime.database, leases.HEARTBEAT, runtime.clock.time(), INTERVAL):
            return
    except (DatabaseUnavailable, TablesMissing) as error:
        log.debug("No heartbeat: %s", error)
        return
    from fastopp.features.alerts.delivery import CallFailed, request  # noqa: PLC0415 - where it is set

    try:
        status = await request("GET", url, b"", {}, LIMIT)
    except CallFailed as error:
        log.warning("The heartbeat failed: %s", error.message, extra={"action": "heartbeat_failed"})
        return
    if not 200 <= status < 300:
        log.warning("The heartbeat is answered %d", status, extra={"action": "heartbeat_failed"})
