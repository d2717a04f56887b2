"""Remove old mails, nightly."""

from __future__ import annotations

from fastopp.features.mail import outgoing
from fastopp.tasks.context import TaskContext


async def clean_up(context: TaskContext) -> dict[str, int]:
    """Delete bodies that are older than a day, and mails that are older than 30."""
    return {"mails": await outgoing.clean_up(context.runtime.database, context.runtime.clock)}
