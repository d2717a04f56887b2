"""The tables of the cache. A backup of the database leaves them out."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, Float, Index, Integer, LargeBinary, MetaData, String, Table
from sqlmodel import SQLModel

from fastopp.database.framework_tables import CACHE_ENTRIES, CACHE_TAGS

MAX_TAG: Final = 200  # characters

_metadata = MetaData()

entries = Table(
    CACHE_ENTRIES,
    _metadata,
    Column("key", String(64), primary_key=True),
    Column("value", LargeBinary),  # none while the first one is computed
    Column("versions", String, nullable=False),
    Column("size", Integer, nullable=False),
    Column("fresh_until", Float(53), nullable=False),
    Column("kept_until", Float(53), nullable=False),
    Column("stamp", String(32), nullable=False),
    Column("lease", String(32), nullable=False),
    Column("leased_until", Float(53), nullable=False),
    # Bounds and clean-up read these without the values.
    Index("ix_cache_entries_kept_until_size", "kept_until", "key", "size"),
)

tags = Table(
    CACHE_TAGS,
    _metadata,
    Column("tag", String(MAX_TAG), primary_key=True),
    Column("version", String(32), nullable=False),
    Column("changed_at", Float(53), nullable=False),
)

# Copies beside the models, for migrations and `create_all`. A module that is imported again finds them there.
for _table in (entries, tags):
    if _table.name not in SQLModel.metadata.tables:
        _table.to_metadata(SQLModel.metadata)
