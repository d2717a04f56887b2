"""Send one mail, and delete what is too old."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Final

from sqlmodel.ext.asyncio.session import AsyncSession

from fastopp.features.mail.errors import MailDelayed, MailInvalid, MailNotConfigured, MailRefused
from fastopp.tasks.context import TaskContext
from fastopp.tasks.errors import AlreadyQueued
from fastopp.tasks.failure import mask
from fastopp.tasks.retry import Retry
from fastopp.tasks.task import task

if TYPE_CHECKING:
    from fastopp.features.mail.models import MailMessage

# Ten seconds, half a minute ... an hour: for some 18 hours altogether, within the day that a body is kept.
AGAIN: Final = Retry(attempts=24, first=10.0, factor=3.0, longest=3600.0, on=(MailDelayed, MailNotConfigured))


@task(name="mail.send", retry=AGAIN)
async def send(context: TaskContext, *, mail: int) -> None:
    """Hand a mail to the mail server.

    No transaction is open meanwhile. That it was sent is committed together with the task's success, so nothing but a
    process that dies between the server's answer and this commit makes a mail arrive twice.
    """
    from fastopp.features.mail import outgoing  # noqa: PLC0415 - the table and the rest, where a mail is sent
    from fastopp.features.mail.delivery import deliver  # noqa: PLC0415 - as above
    from fastopp.features.mail.models import MailMessage  # noqa: PLC0415 - as above

    runtime = context.runtime
    async with runtime.database.read() as session:
        found = await session.get(MailMessage, mail)
    if found is None or found.state == "sent":
        return
    if found.text is None or found.created_at <= runtime.clock.now() - outgoing.BODIES_KEPT:
        async with context.transaction() as session:
            await outgoing.give_up(session, mail)
        raise MailInvalid(outgoing.TOO_LATE)
    try:
        await deliver(found, runtime.settings)
    except (MailDelayed, MailNotConfigured) as error:
        await _failed(context, mail, error, final=context.attempt >= AGAIN.attempts)
        raise
    except (MailRefused, MailInvalid) as error:
        await _failed(context, mail, error, final=True)
        raise
    async with context.transaction(finish=True) as session:
        sent = await _row(session, mail)
        if sent is not None:
            sent.state, sent.error, sent.sent_at = "sent", "", runtime.clock.now()
            sent.attempts += 1
            if not runtime.settings.development:  # where they are not shown
                sent.text = sent.html = None


async def _failed(context: TaskContext, mail: int, error: Exception, *, final: bool) -> None:
    from fastopp.features.mail.outgoing import BODIES_KEPT  # noqa: PLC0415 - as above

    async with context.transaction() as session:
        row = await _row(session, mail)
        if row is None:
            return
        row.attempts += 1
        row.error = mask(str(error), context.runtime.settings)
        row.state = "failed" if final else "queued"
    if final:
        await _forget_at(context, context.runtime.clock.now() + BODIES_KEPT)


async def _row(session: AsyncSession, mail: int) -> MailMessage | None:
    from fastopp.features.mail.models import MailMessage  # noqa: PLC0415 - as above

    return await session.get(MailMessage, mail, with_for_update=True)


async def _forget_at(context: TaskContext, moment: datetime) -> None:
    """Have the bodies of failed mails deleted in time, and not only by the daily clean-up."""
    with suppress(AlreadyQueued):  # for an older mail: it queues the next one itself
        await context.runtime.tasks.later(moment).queue("mail.clean-up")


@task(name="mail.clean-up", queueing_lock="mail.clean-up", retry=3)
async def clean_up(context: TaskContext) -> None:
    """Delete bodies that are older than a day, and mails that are older than 30."""
    from fastopp.features.mail import outgoing  # noqa: PLC0415 - as above

    runtime = context.runtime
    await outgoing.clean_up(runtime.database, runtime.clock)
    async with runtime.database.read() as session:
        oldest = await outgoing.oldest_failed(session)
    if oldest is not None:
        await _forget_at(context, oldest + outgoing.BODIES_KEPT)
