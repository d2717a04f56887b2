"""Remove expired sessions and links, and old entries of the audit log, nightly."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from sqlmodel.ext.asyncio.session import AsyncSession

from fastopp.features.accounts import audit, links, user_sessions
from fastopp.tasks.context import TaskContext
from fastopp.tasks.errors import Unfinished


async def clean_up(context: TaskContext) -> dict[str, int]:
    """Remove expired sessions and links, and entries of the audit log older than AUDIT_KEEP_DAYS. Raises Unfinished."""
    runtime = context.runtime
    keep_days = runtime.settings.audit_keep_days
    kinds: dict[str, Callable[[AsyncSession], Awaitable[int]]] = {
        "sessions": partial(user_sessions.remove_expired, clock=runtime.clock),
        "links": partial(links.remove_expired, clock=runtime.clock),
    }
    if keep_days:
        kinds["audit_entries"] = partial(audit.remove_old, keep_days=keep_days, clock=runtime.clock)
        kinds["deleted_accounts"] = audit.remove_deleted_accounts
    removed = dict.fromkeys(kinds, 0)
    for kind, remove in kinds.items():  # one after the other, so that none is asked again for each batch of another
        batch = 1
        while batch:
            async with runtime.database.transaction() as session:
                batch = await remove(session)
            removed[kind] += batch
            if batch and context.should_stop():
                raise Unfinished
    return removed
