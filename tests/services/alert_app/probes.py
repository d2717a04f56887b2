"""A part of /health."""

from __future__ import annotations

from typing import Any

from fastopp.features.health.probes import ProbeFailed
from tests.services.alert_app.state import State


async def shelf(_runtime: Any) -> None:
    if not State.healthy:
        raise ProbeFailed("The shelf has fallen.")


PROBES = {"shelf": shelf}
