"""Mail the link to set a new password: in a task, so that the page takes the same time for every address."""

from __future__ import annotations

from fastopp.tasks.context import TaskContext
from fastopp.tasks.task import task


@task(name="password-reset.send", retry=3)
async def send(context: TaskContext, *, email: str, address: str, user_agent: str | None = None) -> None:
    """Mail a link to the owner of an account; nothing to others."""
    from fastopp.features.accounts.client import Client  # noqa: PLC0415 - where a mail is sent, like what follows
    from fastopp.features.mail.service import open_mail  # noqa: PLC0415 - imports FastAPI
    from fastopp.features.password_reset import service  # noqa: PLC0415 - as above

    async with context.transaction() as session:
        mail = open_mail(context.runtime, session)
        await service.send_link(session, mail, email, Client(address, user_agent), context.runtime.clock)
