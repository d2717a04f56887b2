"""Serve a wake-up of the application's own: claim it, give signs of life, and end the claim."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import TypeVar

from fastapi import Response
from sqlalchemy.exc import DBAPIError

from fastopp.core.runtime import Runtime
from fastopp.errors import Unavailable
from fastopp.tasks.wake_tokens import Wake, WakeClaims, WakeRunning

log = logging.getLogger(__name__)

LOOK_EVERY = 2.0  # seconds between two looks at a claim that may be dead

R = TypeVar("R", bound=Response)


async def serve_wake(
    runtime: Runtime, wake: Wake, budget: float, serve: Callable[[float, Callable[[], bool]], Awaitable[R]]
) -> R | None:
    """Serve a wake-up once; None if it was served before.

    A platform repeats a delivery about a second after its process has died; how often is unknown. So while the drain
    that has the claim may be dead, this waits for a sign of life, and takes over if there is none.

    Parameters
    ----------
    budget: seconds for all of it.
    serve: gets the seconds that are left, and a function that returns whether the claim is still its own.

    Raises WakeRunning, DatabaseUnavailable.
    """
    claims = WakeClaims(runtime.database, runtime.clock, runtime.task_process.limits)
    until = runtime.clock.monotonic() + budget
    claim = await _take(claims, wake, runtime, until)
    if claim is None:
        return None
    holder = _Holder(claims, claim)
    signs = asyncio.create_task(holder.give_signs(runtime.task_process.limits.heartbeat_interval))
    try:
        answer = await serve(until - runtime.clock.monotonic(), lambda: not holder.lost)
    except BaseException:
        await asyncio.shield(claims.release(claim))
        raise
    finally:
        signs.cancel()
        await asyncio.gather(signs, return_exceptions=True)
    failed = answer.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR
    await (claims.release(claim) if failed else claims.finish(claim))
    return answer


async def _take(claims: WakeClaims, wake: Wake, runtime: Runtime, until: float) -> str | None:
    first = None
    while True:
        try:
            return await claims.take(wake)
        except WakeRunning as running:
            first = first or running.sign
            if running.sign != first or runtime.clock.monotonic() + LOOK_EVERY >= until:
                raise
        await runtime.clock.sleep(LOOK_EVERY)


class _Holder:
    """The holder of a claim. One that was frozen for long may have lost it to another delivery."""

    def __init__(self, claims: WakeClaims, claim: str) -> None:
        self.lost = False
        self._claims, self._claim = claims, claim

    async def give_signs(self, interval: float) -> None:
        """Give signs of life until cancelled, or until the claim is lost."""
        while not self.lost:
            await asyncio.sleep(interval)
            try:
                self.lost = not await self._claims.give_sign(self._claim)
            except (Unavailable, DBAPIError) as error:
                log.debug("No sign of life could be given: %s", error)
        log.warning("This drain was frozen too long, and another delivery has taken its wake-up over")
