"""Errors of the cache."""

from __future__ import annotations

from fastopp.errors import FastOppError


class RedisMissing(FastOppError):
    """CACHE_URL names a Redis, but redis-py is not installed."""

    hint = 'Run `uv add "fastopp[redis]"`.'


class NotCacheable(FastOppError):
    """A cached function has an argument or a value that the cache cannot keep."""


class StoreUnavailable(Exception):
    """The database or the Redis of the cache does not answer. Never leaves the cache."""
