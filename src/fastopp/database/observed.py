"""Have the queries of an engine recorded, as the settings say."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncEngine

from fastopp.database.recorded import add_to_work
from fastopp.database.statements import record_statements
from fastopp.settings import Settings


def observe(engine: AsyncEngine, settings: Settings) -> None:
    """Record the queries of an engine: for the monitor, and in development for the error page."""
    if settings.development:
        record_statements(engine)
    if settings.monitor:
        repeated = settings.repeated_queries if settings.development else 0
        add_to_work(engine, slow=settings.slow_query_ms / 1000, repeated=repeated)
