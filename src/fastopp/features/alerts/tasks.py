"""Deliver a message about an incident to one destination."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fastopp.features.alerts.delivery import WebhookDelayed, deliver
from fastopp.features.alerts.names import SEND, Event
from fastopp.tasks.context import TaskContext
from fastopp.tasks.retry import Retry
from fastopp.tasks.task import task

if TYPE_CHECKING:
    from fastopp.core.runtime import Runtime
    from fastopp.features.alerts.messages import Message

# Ten seconds, half a minute ... half an hour: for some four hours altogether.
AGAIN: Final = Retry(attempts=12, first=10.0, factor=3.0, longest=1800.0, on=(WebhookDelayed,))


@task(name=SEND, retry=AGAIN)
async def send(context: TaskContext, *, to: str, event: Event, incident: int | None = None) -> None:
    """Deliver a message, unless its destination is no longer in the settings.

    An attempt that is made again after a lost answer has the same id.
    """
    from fastopp.features.alerts.destinations import destinations_of  # noqa: PLC0415 - where one is sent
    from fastopp.features.alerts.messages import message_of  # noqa: PLC0415 - as above
    from fastopp.features.alerts.models import AlertIncident  # noqa: PLC0415 - as above

    runtime: Runtime = context.runtime  # type: ignore[assignment] # of an application
    settings = runtime.settings
    destination = next((each for each in destinations_of(settings) if each.id == to), None)
    if destination is None:
        return
    found: AlertIncident | None = None
    if incident is not None:
        async with runtime.database.read() as session:
            found = await session.get(AlertIncident, incident)
        if found is None or (event == "opened" and found.resolved_at is not None):
            return  # the message about its end says what it was
    message = message_of(event, found, settings, runtime.title, f"test.{context.job_id}")
    if destination.webhook is None:
        await _mail(context, runtime, message)
    else:
        await deliver(message, destination.webhook, settings, runtime.clock.time())


async def _mail(context: TaskContext, runtime: Runtime, message: Message) -> None:
    """Queue the mails, in the transaction of the task's success."""
    from fastopp.features.mail.service import open_mail  # noqa: PLC0415 - as above

    mail = open_mail(runtime)
    async with context.transaction(finish=True) as session:
        await mail.within(session).send("alerts/mail/alert", runtime.settings.alert_addresses, message=message)
