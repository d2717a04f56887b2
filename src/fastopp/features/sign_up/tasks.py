"""Mail another link to an address: in a task, so that a page takes the same time for every address."""

from __future__ import annotations

from fastopp.tasks.context import TaskContext
from fastopp.tasks.task import task


@task(name="sign-up.send-again", retry=3)
async def send_again(context: TaskContext, *, email: str) -> None:
    """Mail another link to an address that has signed up; nothing to others."""
    from fastopp.features.mail.service import open_mail  # noqa: PLC0415 - imports FastAPI
    from fastopp.features.sign_up import service  # noqa: PLC0415 - as above

    async with context.transaction() as session:
        await service.send_again(session, open_mail(context.runtime, session), email, context.runtime.clock)
