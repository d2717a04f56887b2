"""Requests that carry an `Idempotency-Key`: delivered any number of times within a day, each is served once.

A key of a request that starts a task names the task's job, in the transaction that queues it. So the state of the job
says what to do with a repetition, also after the first process died: nothing is kept beside it that could disagree.
What has no job keeps its answer.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Integer,
    MetaData,
    String,
    Table,
    and_,
    delete,
    exists,
    or_,
    select,
    update,
)  # fmt: skip
from sqlalchemy.sql.elements import ColumnElement
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.sqltypes import UTCDateTime

from fastopp.database.session import Database
from fastopp.database.upsert import insert
from fastopp.errors import BadRequest, Conflict, FastOppError
from fastopp.platforms import strictest
from fastopp.tasks.clock import from_now

HEADER = "Idempotency-Key"
"""The request header (draft-ietf-httpapi-idempotency-key-header)."""

PRUNED_AT_ONCE = 500  # keys that one transaction removes
KEPT_FOR = timedelta(days=1).total_seconds()
LEASE = strictest.REQUEST_TIMEOUT
"""Seconds for which a request without a job may be served: no platform lets one last longer."""

# A quoted string of the draft, or the same without quotes.
_KEY = re.compile(r'"?[\x21\x23-\x7e]{1,255}"?')

# Not a model: a backup of the database leaves it out.
requests = Table(
    "task_requests",
    MetaData(),
    Column("digest", String(64), primary_key=True),
    Column("task", String(128), nullable=False),
    Column("job_id", BigInteger().with_variant(Integer, "sqlite")),
    Column("answer", JSON(none_as_null=True)),
    Column("claimed_at", UTCDateTime, nullable=False),
)

_live = requests.c.claimed_at >= from_now(-KEPT_FOR)


class KeyRefused(BadRequest):
    """The Idempotency-Key is not valid."""

    hint = "Send 1 to 255 printable ASCII characters without spaces, for example a UUID."


class KeyReused(FastOppError):
    """This Idempotency-Key belongs to another request."""

    status = 422
    hint = "Send a new key with each new request, and the same key only to repeat one."


class KeyRunning(Conflict):
    """The request with this Idempotency-Key is being served."""

    headers = {"Retry-After": "5"}  # noqa: RUF012 - as FastOppError has it


@dataclass(frozen=True, slots=True)
class RequestKey:
    """The key of one request, hashed: a key may be anything that its sender knows."""

    digest: str

    @classmethod
    def of(cls, given: str | None) -> RequestKey | None:
        """Return the key of a header's value; None without one. Raise KeyRefused."""
        if given is None:
            return None
        if not _KEY.fullmatch(given):
            raise KeyRefused
        return cls(hashlib.sha256(given.strip('"').encode()).hexdigest())


async def job_of(session: AsyncSession, key: RequestKey, task: str) -> int | None:
    """Return the job that a request with this key has queued. Raise KeyReused."""
    row = await _find(session, key, task)
    return None if row is None else row.job_id


async def link(session: AsyncSession, key: RequestKey, task: str, job_id: int) -> None:
    """Note the job of a request, in the transaction that queues it."""
    await _put(session, key, {"task": task, "job_id": job_id, "answer": None})


async def unlink(session: AsyncSession, job_id: int) -> None:
    """Forget the requests of a job that was discarded."""
    await (await session.connection()).execute(delete(requests).where(requests.c.job_id == job_id))


async def kept_answer(database: Database, key: RequestKey, task: str) -> dict[str, Any] | None:
    """Return the answer of a request that has no job. Raise KeyReused, TablesMissing, DatabaseUnavailable."""
    async with database.read() as session:
        row = await _find(session, key, task)
    return None if row is None else row.answer


async def keep_answer(database: Database, key: RequestKey, task: str, answer: dict[str, Any]) -> None:
    """Keep the answer of a request that has no job."""
    async with database.transaction() as session:
        await _put(session, key, {"task": task, "job_id": None, "answer": answer})


async def claim(database: Database, key: RequestKey, task: str) -> datetime | None:
    """Claim a request that has no job; None when it was served before. Raise KeyRunning, KeyReused."""
    async with database.transaction() as session:
        values = {"digest": key.digest, "task": task, "job_id": None, "answer": None, "claimed_at": from_now()}
        given_up = and_(
            requests.c.answer.is_(None), requests.c.job_id.is_(None), requests.c.claimed_at < from_now(-LEASE)
        )
        statement = (
            insert(session, requests)
            .values(**values)
            .on_conflict_do_update(index_elements=["digest"], set_=values, where=or_(given_up, ~_live))
            .returning(requests.c.claimed_at)
        )
        claimed: datetime | None = (await (await session.connection()).execute(statement)).scalar()
        if claimed is not None:
            return claimed
        row = await _find(session, key, task)
    if row is None or row.answer is None:
        raise KeyRunning
    return None


async def finish(database: Database, key: RequestKey, claimed: datetime, answer: dict[str, Any] | None) -> None:
    """End a claim: keep the answer for repetitions, or with None let the next delivery be served."""
    mine = and_(requests.c.digest == key.digest, requests.c.claimed_at == claimed)
    change = delete(requests).where(mine) if answer is None else update(requests).where(mine).values(answer=answer)
    async with database.transaction() as session:
        await (await session.connection()).execute(change)


def has_key(job_id: ColumnElement[int]) -> ColumnElement[bool]:
    """Return whether a request that may still be repeated has queued this job, as SQL."""
    return exists().where(requests.c.job_id == job_id, _live)


async def forget_expired(database: Database) -> None:
    """Remove the keys that are older than a day, in short transactions."""
    old = select(requests.c.digest).where(requests.c.claimed_at < from_now(-KEPT_FOR)).limit(PRUNED_AT_ONCE)
    removed = 1
    while removed:
        async with database.transaction() as session:
            connection = await session.connection()
            removed = (await connection.execute(delete(requests).where(requests.c.digest.in_(old)))).rowcount


async def _find(session: AsyncSession, key: RequestKey, task: str) -> Any:  # noqa: ANN401 - a row
    query = select(requests).where(requests.c.digest == key.digest, _live)
    row = (await (await session.connection()).execute(query)).first()
    if row is not None and row.task != task:
        raise KeyReused
    return row


async def _put(session: AsyncSession, key: RequestKey, values: dict[str, Any]) -> None:
    values = {**values, "claimed_at": from_now()}
    statement = (
        insert(session, requests)
        .values(digest=key.digest, **values)
        .on_conflict_do_update(index_elements=["digest"], set_=values)
    )
    await (await session.connection()).execute(statement)
