"""Which files the rows of the database name, so that those which none names can be removed.

A column that holds addresses of uploaded files says so, and under which prefix they lie:

    photo_url: str | None = Field(default=None, sa_column_kwargs=uploads_under("photos/"))
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from sqlalchemy import Column
from sqlmodel import SQLModel, select
from sqlmodel.ext.asyncio.session import AsyncSession

from fastopp.clock import SYSTEM_CLOCK, Clock
from fastopp.storage.addresses import key_at
from fastopp.storage.base import Storage

_PREFIX = "fastopp_uploads_under"


def uploads_under(prefix: str) -> dict[str, Any]:
    """The `sa_column_kwargs` of a column with addresses of files whose keys begin with `prefix`, like `photos/`."""
    return {"info": {_PREFIX: prefix}}


async def remove_leftovers(session: AsyncSession, storage: Storage, *, clock: Clock = SYSTEM_CLOCK) -> int:
    """Remove what interrupted uploads left: half-written files, direct uploads that were never completed, and files
    that no row names. Returns how many.

    Of the last, only prefixes that some column claims are looked at: without the app that owns them, files stay.
    What is younger than an hour may belong to an upload that goes on, and stays as well.
    """
    from fastopp.storage.announced import remove_abandoned  # noqa: PLC0415 - tables import this module for their columns
    from fastopp.storage.photos import remove_orphans  # noqa: PLC0415 - as above

    sweep = getattr(storage, "sweep", None)
    removed: int = await sweep() if sweep else 0
    removed += await remove_abandoned(storage, clock=clock)
    for prefix, columns in _claimed().items():
        keys: set[str] = set()
        for column in columns:
            addresses = await session.exec(select(column).where(column.is_not(None)))
            keys.update(key for address in addresses if (key := key_at(storage, address)))
        await session.commit()  # no connection is held while the storage is waited for
        removed += len(await remove_orphans(storage, keys, prefix=prefix, clock=clock))
    return removed


def _claimed() -> dict[str, list[Column[Any]]]:
    claimed = defaultdict(list)
    for table in SQLModel.metadata.tables.values():
        for column in table.columns:
            if prefix := column.info.get(_PREFIX):
                claimed[prefix].append(column)
    return claimed
