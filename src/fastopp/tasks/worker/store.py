"""The jobs of one worker in the database: taken, reported on, ended."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from procrastinate import exceptions, sql
from procrastinate.connector import BaseAsyncConnector

from fastopp.tasks.limits import MAX_ARGUMENTS
from fastopp.tasks.outcome import Outcome, Run
from fastopp.tasks.worker.statements import Statements

Row = dict[str, Any]


class JobStore:
    """Runs a worker's statements through a procrastinate connector. All methods raise ConnectorException.

    Parameters
    ----------
    stalled_after: seconds without a sign of life after which a worker counts as dead.
    """

    def __init__(self, connector: BaseAsyncConnector, statements: Statements, *, stalled_after: float) -> None:
        self.connector = connector
        self._statements = statements
        self._stalled_after = stalled_after

    async def fetch(self, queues: Iterable[str] | None, worker_id: int, limit: int) -> list[Row]:
        """Take the next jobs, the first to be done first."""
        try:
            rows = await self._all(
                self._statements.fetch, queues=list(queues) if queues else None, worker_id=worker_id, limit=limit
            )
        except exceptions.UniqueViolation:
            return []  # another has just taken a job with the same lock
        return sorted(rows, key=lambda row: (-row["priority"], row["id"]))

    async def claim(self, job_id: int, worker_id: int) -> Row | None:
        """Take this job, whether or not its time has come; None when it cannot be."""
        try:
            rows = await self._all(self._statements.claim, job_id=job_id, worker_id=worker_id)
        except exceptions.UniqueViolation:
            return None
        return rows[0] if rows else None

    async def held(self, worker_id: int) -> set[int]:
        """The ids of the jobs that are this worker's, as the database knows it."""
        return {row["id"] for row in await self._all(self._statements.held, worker_id=worker_id)}

    async def finish(self, outcomes: Sequence[Outcome], worker_id: int) -> set[int]:
        """Write outcomes, and return the ids of those jobs that were still this worker's."""
        text = json.dumps([outcome.as_json() for outcome in outcomes])
        rows: list[Row] = []
        for statement in self._statements.finish:
            if "RETURNING" in statement or any(outcome.run for outcome in outcomes):
                rows = await self._all(statement, outcomes=text, worker_id=worker_id)
        return {row["id"] for row in rows}

    async def place(self, job_id: int) -> dict[str, Any] | None:
        """Return the checkpoint of earlier attempts of a job."""
        rows = await self._all(self._statements.place, job_id=job_id)
        place = rows[0]["place"] if rows else None
        if isinstance(place, str):  # SQLite's
            place = json.loads(place)
        return place

    async def report(self, job_id: int, worker_id: int, run: Run) -> bool:
        """Write progress; whether the job is still this worker's."""
        arguments = {"done": run.done, "total": run.total, "message": run.message}
        return bool(await self._all(self._statements.report, job_id=job_id, worker_id=worker_id, **arguments))

    async def save_place(self, job_id: int, worker_id: int, place: dict[str, Any]) -> bool:
        """Write the place; whether the job is still this worker's. Raises TypeError, ValueError: it is no JSON."""
        text = json.dumps(place, allow_nan=False, ensure_ascii=False) if place else None
        if text and (len(text.encode()) > MAX_ARGUMENTS or "\\u0000" in text):
            raise ValueError("The checkpoint is too large, or contains a NUL character.")
        return bool(await self._all(self._statements.save_place, job_id=job_id, worker_id=worker_id, place=text))

    async def heartbeat(self, worker_id: int) -> bool:
        """Give a sign of life; whether the worker is still known."""
        return bool(await self._all(self._statements.heartbeat, worker_id=worker_id))

    async def forget_stalled_workers(self) -> None:
        """From now on they are not known, so they take nothing more when they wake up: neither what is taken over from
        them now nor anything else, until they have signed on again."""
        await self.connector.execute_query_all_async(
            sql.queries["prune_stalled_workers"], seconds_since_heartbeat=self._stalled_after
        )

    async def stalled(self) -> list[Row]:
        """Jobs whose workers give no sign of life: id, task_name, attempts, abort_requested."""
        return await self._all(self._statements.stalled, stalled_after=self._stalled_after)

    async def take_over(self, job_id: int, status: str, error: str) -> bool:
        """Take a stalled job from its worker, for everyone; False when another worker did, or it is not stalled."""
        limit = {"stalled_after": self._stalled_after}
        if not await self._all(self._statements.take_over, job_id=job_id, status=status, **limit):
            return False
        await self._all(self._statements.note, job_id=job_id, error=error)
        return True

    async def _all(self, statement: str, **arguments: Any) -> list[Row]:  # noqa: ANN401 - of many types
        return await self.connector.execute_query_all_async(statement, **arguments)
