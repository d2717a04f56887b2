"""Back up the database, which the queue itself is in."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from fastopp.errors import Unavailable
from fastopp.features.database_backups.dump.errors import DumpTimeout
from fastopp.features.jobs.running import run_until_stopped
from fastopp.storage.base import FileMissing
from fastopp.tasks.context import TaskContext
from fastopp.tasks.errors import Unfinished
from fastopp.tasks.retry import Retry
from fastopp.tasks.task import task

AGAIN = Retry(attempts=3, first=30, on=(Unavailable, OSError))  # what is away for a minute or two


@task(name="backup-database", lock="backup-database", queueing_lock="backup-database", retry=AGAIN)
async def backup_database(context: TaskContext, *, keep: Annotated[int, Field(ge=1)] | None = None) -> dict[str, Any]:
    """Put an encrypted dump of the database into the Object Storage; of all there, only the newest `keep` stay."""
    from fastopp.features.database_backups.routes import object_storage, upload_backup  # noqa: PLC0415 - only who runs it
    from fastopp.features.database_backups.stored import new_key, prune_backups  # noqa: PLC0415 - as above

    runtime = context.runtime
    # The key is the place: a dump is there as a whole or not at all, so one that is there need not be made again.
    key: str = context.place.get("key") or new_key()
    await context.save_place({"key": key})
    rows: dict[str, int] | None = None
    try:
        stored = await object_storage(runtime).head(key)
    except FileMissing:
        try:
            stored, dump = await run_until_stopped(context, upload_backup(runtime, key), _nothing_to_tell)
        except Unfinished:
            # Half a dump is none, so with as much time again it would not be done either.
            if context.budget_left() == 0:
                raise DumpTimeout from None
            raise
        rows = dump.rows
    # Only now that the new one is there; done again after an interruption, it finds those that are left.
    deleted = await prune_backups(object_storage(runtime), keep) if keep else []
    return {
        "message": f"The database is backed up as {key}.",
        "key": key,
        "bytes": stored.size,
        "rows": rows,
        "deleted": deleted,
    }


async def _nothing_to_tell() -> None:
    """The number of rows left is unknown."""
