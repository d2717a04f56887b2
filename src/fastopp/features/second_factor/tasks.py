"""Encrypt the secrets of second factors under a new SECRET_KEY."""

from __future__ import annotations

from typing import Any

from fastopp.tasks.context import TaskContext
from fastopp.tasks.errors import Unfinished
from fastopp.tasks.task import task


@task(name="renew-secrets", lock="renew-secrets", queueing_lock="renew-secrets")
async def renew_secrets(context: TaskContext) -> dict[str, Any]:
    """Encrypt the secrets of second factors with SECRET_KEY that are encrypted with SECRET_KEY_PREVIOUS."""
    from fastopp.features.second_factor.renewal import Renewal, renew_some  # noqa: PLC0415 - only who runs it

    renewal = Renewal()
    while renewal.after is not None:
        await renew_some(context.runtime.database, context.runtime.settings, renewal)
        if renewal.after is not None and context.should_stop():
            raise Unfinished  # it begins again, and what is done needs no more than a look
    return {"message": renewal.message, "renewed": renewal.renewed, "unreadable": renewal.unreadable}
