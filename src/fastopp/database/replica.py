"""A replica of the database, for reading near to the instance, and positions in its log.

A position is one of PostgreSQL's write-ahead log (an LSN), as a number. After a write the browser keeps the primary's
position. A replica that has not replayed that much shows the time before, so the primary is read instead.
"""

from __future__ import annotations

import logging
import re
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlmodel.ext.asyncio.session import AsyncSession

from fastopp.clock import SYSTEM_CLOCK, Clock
from fastopp.database.engine import create_engine, in_autocommit
from fastopp.database.errors import DatabaseUnavailable
from fastopp.database.observed import observe
from fastopp.settings import Settings

log = logging.getLogger(__name__)

PATIENCE: Final = 2.0  # seconds to connect: the primary is there, and the user is waiting
AVOIDED: Final = 10.0  # seconds that a replica that does not answer is not asked again
NEVER_REACHED: Final = (1 << 64) - 1  # a position that no replica has
_HEXADECIMAL: Final = re.compile(r"[0-9a-f]{1,16}")
_ON_REPLICA: Final = "fastopp_replica"

_REPLAYED = text("SELECT CASE WHEN pg_is_in_recovery() THEN CAST(pg_last_wal_replay_lsn() AS text) END")
# Where the next record goes: of a commit that the server has not yet written to its disk, too.
WRITTEN = text("SELECT CAST(pg_current_wal_insert_lsn() AS text)")


@dataclass(slots=True)
class Writes:
    """The writes of one request."""

    happened: bool = False


current_writes: ContextVar[Writes | None] = ContextVar("fastopp_writes", default=None)


def note_write() -> None:
    """Note that the request that runs now has committed something."""
    if (writes := current_writes.get()) is not None:
        writes.happened = True


def parse_position(value: str) -> int:
    """Return a position that a client has sent, as a number; 0, which every replica has reached, for anything else."""
    return int(value, 16) if _HEXADECIMAL.fullmatch(value) else 0


def format_position(position: int) -> str:
    """Return a position as clients get it: PostgreSQL's `16/B374D848` has a slash, which a cookie must quote."""
    return f"{position:016x}"


def position_of_lsn(lsn: str) -> int:
    """Return a position that PostgreSQL writes as `16/B374D848`, as a number."""
    high, _, low = lsn.partition("/")
    return (int(high, 16) << 32) | int(low, 16)


def is_on_replica(session: AsyncSession) -> bool:
    """Return whether a session reads a replica."""
    return bool(session.info.get(_ON_REPLICA))


class Replica:
    """One replica, with a separate pool."""

    def __init__(self, engine: AsyncEngine, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self.engine = engine
        self._reading = in_autocommit(engine)
        self._clock = clock
        self._replayed = -1  # the highest position that is known to be replayed; -1 while nothing is known
        self._avoided_until = float("-inf")

    @classmethod
    def from_settings(cls, settings: Settings, *, clock: Clock = SYSTEM_CLOCK) -> Replica | None:
        """Return the replica that the settings name; None without one. Raises DatabaseURLError."""
        url = settings.read_database
        if url is None:
            return None
        engine = create_engine(
            url,
            pool_size=settings.db_pool_size,
            max_overflow=settings.db_max_overflow,
            timeout=min(PATIENCE, settings.db_timeout),
            statement_timeout=settings.db_timeout,
            replica=True,
            clock=clock,
        )
        observe(engine, settings)
        return cls(engine, clock=clock)

    async def open(self, position: int) -> AsyncSession | None:
        """Return a session that reads the replica in autocommit, for the caller to close.

        None if it has not replayed as much as `position`, does not answer, or is no replica.
        """
        if self._clock.monotonic() < self._avoided_until:
            return None
        session = AsyncSession(self._reading, expire_on_commit=False, autoflush=False, info={_ON_REPLICA: True})
        try:
            await session.connection()
            if self._replayed < position or self._replayed < 0:
                replayed = (await (await session.connection()).execute(_REPLAYED)).scalar()
                if replayed is None:
                    self._avoid("It is no replica: it does not replay a write-ahead log.")
                    await session.close()
                    return None
                self._replayed = max(self._replayed, position_of_lsn(str(replayed)))
            if self._replayed >= position:
                return session
        except DatabaseUnavailable as error:
            self._avoid(str(error))
        except BaseException:
            await session.close()
            raise
        await session.close()
        return None

    async def dispose(self) -> None:
        """Close all connections."""
        await self.engine.dispose()

    def _avoid(self, reason: str) -> None:
        log.warning("The primary is read in place of the replica: %s", reason, extra={"action": "replica_avoided"})
        self._avoided_until = self._clock.monotonic() + AVOIDED
        self._replayed = -1  # what comes back may be another server
