"""`oppman.py user invite`."""

from __future__ import annotations

from typing import Annotated

import typer

from fastopp.console.output import command, fail, say
from fastopp.console.project import load_project
from fastopp.core.runtime import open_runtime
from fastopp.features.accounts.management import Role
from fastopp.features.accounts.settings import AccountSettings
from fastopp.features.mail.service import open_mail
from fastopp.features.sign_up import invitations


@command
async def invite(
    email: Annotated[str, typer.Argument(metavar="EMAIL", help="Who is invited.")],
    *,
    role: Annotated[Role, typer.Option(help="What the account may do.")] = "user",
    group: Annotated[str | None, typer.Option(help="Its group.")] = None,
    days: Annotated[
        int, typer.Option(min=1, max=invitations.LONGEST, help="Days until it expires.")
    ] = invitations.DAYS,
) -> None:
    """Invite a person to create an account: by mail, or by a link that is printed where there is no mail."""
    project = load_project()
    if project.settings.of(AccountSettings).sign_up == "closed":
        fail("An invitation cannot be accepted while SIGN_UP is closed. Set it to `invite` or `open`.")
    wanted = invitations.Invitation(email, role, group)
    async with (
        open_runtime(project.settings, project.apps, title=project.title) as runtime,
        runtime.database.transaction() as session,
    ):
        sent = await invitations.invite(session, open_mail(runtime, session), wanted, days, runtime.clock)
    if sent.mailed:
        say(f"The invitation to {sent.email} is on its way.")
    else:
        say(f"Give {sent.email} this link, shown this once: {project.settings.site}{sent.path}")
