"""Work that is finished even if its caller no longer waits for it."""

from __future__ import annotations

from contextlib import AbstractContextManager


def shielded() -> AbstractContextManager[object]:
    """A block in which no scope cancels an `await`.

    The first one of a process has anyio import its asyncio part, which takes 50 ms. What has to be quick enters one
    only where it was cancelled.
    """
    from anyio import CancelScope  # noqa: PLC0415 - as above

    return CancelScope(shield=True)
