"""Evaluate the rules during flushes. Imported at cold start, so it imports little."""

from __future__ import annotations

import logging
from typing import Final

from fastopp.core.runtime import Runtime
from fastopp.database.errors import TablesMissing
from fastopp.errors import FastOppError, Unavailable

log = logging.getLogger(__name__)

LAST: Final = True  # rules are about figures, which are written before

PAUSE: Final = 15.0  # seconds for which a process does not ask whether it is its turn
SOON: Final = 5.0  # seconds for which a new one does not: it has its first request to answer
FOREVER: Final = 1e12


async def flush(runtime: Runtime) -> None:
    """Evaluate the rules of alerts, if it is time. Figures are written in any case: raises nothing but Unavailable."""
    cache = runtime.cache
    if runtime.settings.alerts and not runtime.settings.alert_choice.enabled:
        return
    if cache.get("alerts", "started") is None:
        cache.keep("alerts", "started", value=True, lifetime=FOREVER)
        cache.keep("alerts", "pause", value=True, lifetime=SOON)
    if cache.get("alerts", "pause") is None:
        await evaluate_now(runtime)


async def evaluate_now(runtime: Runtime) -> bool:
    """Evaluate the rules, unless an instance has done so a moment ago. Raises Unavailable."""
    from fastopp.features.alerts.evaluation import evaluate  # noqa: PLC0415 - the tables and rules, where it is time

    runtime.cache.keep("alerts", "pause", value=True, lifetime=PAUSE)
    try:
        return await evaluate(runtime)
    except TablesMissing as error:
        log.debug("Rules are not evaluated: %s", error)  # until the project is migrated
    except Unavailable:
        raise
    except FastOppError as error:
        log.error("Rules are not evaluated: %s", error, extra={"action": "alerts_broken"})  # noqa: TRY400 - it says all
    return False
