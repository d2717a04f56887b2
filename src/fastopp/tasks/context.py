"""What a running task may ask and tell."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from sqlmodel.ext.asyncio.session import AsyncSession

if TYPE_CHECKING:
    from fastopp.runtime import Runtime


class TaskContext:
    """One try of one job: what a task gets as its first parameter, `context`, if it has one.

    A plain function, which runs in a thread, calls the asynchronous methods with `anyio.from_thread.run`; the others
    may be called from anywhere.
    """

    job_id: int
    name: str
    attempt: int
    """1 for the first try."""
    runtime: Runtime
    place: dict[str, Any]
    """What an earlier try saved; whatever JSON holds."""

    async def progress(self, done: int, total: int | None = None, message: str = "") -> None:
        """Tell how far it is. Written twice a second at most, so it may be called for every item. Raises JobLost."""
        raise NotImplementedError

    async def save_place(self, place: dict[str, Any] | None = None) -> None:
        """Keep `place` (the argument, or else `self.place` as it is now) for the next try. Raises JobLost."""
        raise NotImplementedError

    def should_stop(self) -> bool:
        """Whether to save the place and raise `Unfinished`: time is nearly up, the process is to end, somebody has
        cancelled the job, or it is no longer ours."""
        raise NotImplementedError

    def budget_left(self) -> float | None:
        """Seconds until `should_stop` will say so because of the time; None where there is no limit."""
        raise NotImplementedError

    @asynccontextmanager
    async def transaction(self, *, finish: bool = False) -> AsyncIterator[AsyncSession]:
        """A transaction that is committed only while the job is ours; raises JobLost, and rolls back, when it is not.

        `self.place` is saved by the same commit, so a later try knows what was done. With `finish`, so is the job's
        success: then what was written happened exactly once, whatever happens to the process.
        """
        raise NotImplementedError
        yield
