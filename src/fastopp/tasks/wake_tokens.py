"""The token of a request that wakes the application: signed, for one drain, and for an hour.

It lets its holder do one thing, once: have the queue worked. What has been served is a row, kept until the token
has expired. A platform may deliver a request twice, late, or after others, and its process may die in the middle:

- not served yet: the first to claim it serves it;
- being served: the one that serves it gives signs of life, and other deliveries are answered with 503;
- its process is dead: without a sign for a while, the next delivery takes the claim over;
- served: nothing is left to do;
- failed: the claim is released, and the next delivery serves it.

503, and not 409: as far as is known, queues of platforms repeat a delivery that ended in 5xx or in no answer, and count
any other answer as delivered. The drain beside it may die later, and this delivery may then be the only one left. A
repeated delivery beside a living drain costs one statement.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any

from sqlalchemy import Column, Delete, MetaData, String, Table, Update, and_, delete, select, update
from sqlmodel.sql.sqltypes import UTCDateTime

from fastopp.clock import SYSTEM_CLOCK, Clock
from fastopp.database.session import Database
from fastopp.database.upsert import insert
from fastopp.errors import Unauthorized, Unavailable
from fastopp.settings import Settings
from fastopp.tasks.clock import from_now
from fastopp.tasks.limits import TaskLimits

SCHEME = "Wake"
"""Of the Authorization header: `Wake <token>`."""

# A request may last 15 minutes, and when it fails it is delivered again: four of them fit. No platform says how
# long a request may wait in its queue.
LIFETIME = timedelta(hours=1)
CLOCK_SKEW = timedelta(minutes=1)  # that instances' clocks may differ

_PURPOSE = "fastopp.tasks.wake"

PRUNED_AT_ONCE = 500  # rows that one transaction removes

# No model: a backup of the database leaves it out, and nothing else needs to know it.
wakes = Table(
    "task_wakes",
    MetaData(),
    Column("nonce", String(64), primary_key=True),
    Column("claim", String(64), nullable=False),
    Column("claimed_at", UTCDateTime, nullable=False),  # or the last sign of life
    Column("finished_at", UTCDateTime),
    Column("expires_at", UTCDateTime, nullable=False),
)


class WakeRefused(Unauthorized):
    """The token is not genuine, or it has expired."""

    hint = "The application creates these tokens itself, and sends a new one when a task is queued."


class WakeRunning(Unavailable):
    """This request is being processed."""

    headers = MappingProxyType({"Retry-After": "60"})

    def __init__(self, sign: tuple[str, datetime]) -> None:
        super().__init__()
        self.sign = sign
        """The claim and its last sign of life: another value each time that it gives one."""


@dataclass(frozen=True, slots=True)
class Wake:
    """A genuine token's content."""

    nonce: str
    expires_at: datetime


def issue_token(settings: Settings, *, clock: Clock = SYSTEM_CLOCK) -> str:
    """A fresh token, signed with a key that is made from SECRET_KEY for this alone."""
    token: str = _serializer(settings).dumps([secrets.token_urlsafe(16), int(clock.time())])
    return token


def read_token(token: str, settings: Settings, *, clock: Clock = SYSTEM_CLOCK) -> Wake:
    """Return the claims of a token. Raises WakeRefused."""
    from itsdangerous import BadData  # noqa: PLC0415 - only who wakes or is woken needs it

    try:
        nonce, issued = _serializer(settings).loads(token)
    except BadData:
        raise WakeRefused from None
    issued_at = datetime.fromtimestamp(issued, UTC)
    if not issued_at - CLOCK_SKEW <= clock.now() < issued_at + LIFETIME:
        raise WakeRefused
    return Wake(nonce, issued_at + LIFETIME)


class WakeClaims:
    """The requests that are served and by which instance, in the database for all of them, and by its clock."""

    def __init__(self, database: Database, clock: Clock = SYSTEM_CLOCK, limits: TaskLimits | None = None) -> None:
        self._database = database
        self._clock = clock
        self._limits = limits or TaskLimits()

    @property
    def dead_after(self) -> float:
        """Seconds without a sign of life after which a claim counts as dead.

        The drain that takes it over must find the jobs of the dead one stalled, or it would end and leave them. The
        last heartbeat of that one's worker may be an interval younger than the last sign of its claim.
        """
        return self._limits.stalled_after + 1.5 * self._limits.heartbeat_interval

    async def take(self, wake: Wake) -> str | None:
        """Claim it; the claim, or None when it has been served. Raises WakeRunning, DatabaseUnavailable."""
        claim = secrets.token_urlsafe(16)
        async with self._database.transaction() as session:
            dead = and_(wakes.c.finished_at.is_(None), wakes.c.claimed_at < from_now(-self.dead_after))
            statement = (
                insert(session, wakes)
                .values(nonce=wake.nonce, claim=claim, claimed_at=from_now(), expires_at=wake.expires_at)
                .on_conflict_do_update(
                    index_elements=["nonce"], set_={"claim": claim, "claimed_at": from_now()}, where=dead
                )
            )
            connection = await session.connection()
            await connection.execute(statement)
            known = select(wakes.c.claim, wakes.c.claimed_at, wakes.c.finished_at).where(wakes.c.nonce == wake.nonce)
            row = (await connection.execute(known)).one()
        if row.claim == claim:
            return claim
        if row.finished_at is None:
            raise WakeRunning((row.claim, row.claimed_at))
        return None

    async def give_sign(self, claim: str) -> bool:
        """Note that the claim's holder is alive. Return whether the claim is still its own. One round trip."""
        statement = update(wakes).where(wakes.c.claim == claim).values(claimed_at=from_now())
        async with self._database.autocommit() as connection:
            return (await connection.execute(statement)).rowcount > 0

    async def finish(self, claim: str) -> None:
        """It has been served; every repetition is ignored from now on."""
        await self._write(update(wakes).where(wakes.c.claim == claim).values(finished_at=self._clock.now()))

    async def release(self, claim: str) -> None:
        """It could not be served; the next delivery tries again."""
        await self._write(delete(wakes).where(wakes.c.claim == claim))

    async def forget_expired(self) -> int:
        """Remove what no genuine token names any more; how many rows. Each of its transactions is short."""
        old = select(wakes.c.nonce).where(wakes.c.expires_at < self._clock.now() - CLOCK_SKEW).limit(PRUNED_AT_ONCE)
        statement, removed = delete(wakes).where(wakes.c.nonce.in_(old)), 0
        while batch := await self._write(statement):
            removed += batch
        return removed

    async def _write(self, statement: Update | Delete) -> int:
        async with self._database.transaction() as session:
            return (await (await session.connection()).execute(statement)).rowcount


def _serializer(settings: Settings) -> Any:  # noqa: ANN401 - the library is imported late
    from itsdangerous import URLSafeSerializer  # noqa: PLC0415 - as above

    return URLSafeSerializer(
        settings.signing_keys,
        salt=_PURPOSE,
        signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha256},
    )
