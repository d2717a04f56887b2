"""The tables of the cache, for migrations. They are written by statements, and have no model."""

from __future__ import annotations

from fastopp.cache.tables import entries, tags

__all__ = ["entries", "tags"]
