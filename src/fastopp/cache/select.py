"""Choose the store by the settings."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

from fastopp.cache.cache import Cache
from fastopp.cache.errors import RedisMissing
from fastopp.cache.store import Store
from fastopp.clock import Clock
from fastopp.database.session import Database
from fastopp.settings import Settings


def open_cache(settings: Settings, database: Database, code_version: Callable[[], str], *, clock: Clock) -> Cache:
    """Return the cache of a process. Connects to nothing."""
    return Cache(_store(settings, database, clock), code_version=code_version, clock=clock)


def _store(settings: Settings, database: Database, clock: Clock) -> Store | None:
    url = settings.cache_url.get_secret_value()
    if url == "off":
        return None
    if url:
        if find_spec("redis") is None:
            raise RedisMissing
        from fastopp.cache.redis_store import RedisStore  # noqa: PLC0415 - one of the two

        return RedisStore(url, clock=clock)
    from fastopp.cache.sql_store import SQLStore  # noqa: PLC0415 - as above

    return SQLStore(database, max_bytes=settings.cache_max_mb * 1_000_000, clock=clock)
