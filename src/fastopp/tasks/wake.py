"""Waking the application where its CPU is frozen between requests: a request to itself, through the platform's queue.

It is only a wake-up. The platform may drop it, repeat it, or deliver it late: what is to be done is in the
database, and the next wake-up, the scheduler's drain or the page that waits for the task finds it there.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from fastopp.certificates import trusted_certificates
from fastopp.clock import SYSTEM_CLOCK, Clock
from fastopp.settings import Settings

log = logging.getLogger(__name__)

DRAIN_PATH = "/async/drain"

# Seconds for all of it. The visitor whose request started the task waits meanwhile; the platform's queue only has to
# write a small message down.
TIME_LIMIT = 3.0

Waker = Callable[[], Awaitable[bool]]

# While a process drains the queue, what its tasks add to the queue is taken by this very drain.
_draining: ContextVar[bool] = ContextVar("fastopp_draining", default=False)


@contextmanager
def without_waking() -> Iterator[None]:
    """For the length of a drain."""
    token = _draining.set(True)
    try:
        yield
    finally:
        _draining.reset(token)


def waker_of(settings: Settings, *, clock: Clock = SYSTEM_CLOCK) -> Waker | None:
    """Return the function that wakes the application after queueing; None where that is unnecessary or impossible.

    It returns whether the platform took the request, and raises nothing: a task that is queued stays queued.
    """
    if settings.platform.background_cpu or not settings.wake_url:
        return None

    async def wake() -> bool:
        return False if _draining.get() else await post_wake(settings, clock=clock)

    return wake


async def post_wake(settings: Settings, *, clock: Clock = SYSTEM_CLOCK) -> bool:
    """Ask the platform to call /async/drain: whether it said that it will. Raises nothing but a cancellation."""
    import httpx  # noqa: PLC0415 - 120 ms that only a process pays that queues a task

    from fastopp.tasks.idempotency import HEADER  # noqa: PLC0415 - as above
    from fastopp.tasks.wake_tokens import SCHEME, issue_token  # noqa: PLC0415 - as above

    address = settings.wake_url.rstrip("/") + DRAIN_PATH
    # The token is for one drain already; a queue that knows the header need not deliver the request twice.
    headers = {"Authorization": f"{SCHEME} {issue_token(settings, clock=clock)}", HEADER: str(uuid.uuid4())}
    try:
        # All of it, name look-up included; httpx limits each step alone. Redirects would carry the token elsewhere.
        async with (
            asyncio.timeout(TIME_LIMIT),
            httpx.AsyncClient(verify=await trusted_certificates(), trust_env=False) as client,
        ):
            answer = await client.post(address, headers=headers)
    except (httpx.HTTPError, httpx.InvalidURL, OSError, TimeoutError) as error:
        # Its words may quote the request.
        log.warning(
            "The application could not be woken", extra={"action": "wake_failed", "reason": type(error).__name__}
        )
        return False
    if not answer.is_success:
        extra = {"action": "wake_refused", "status": answer.status_code}
        log.warning("The platform refused to wake the application", extra=extra)
    return answer.is_success
