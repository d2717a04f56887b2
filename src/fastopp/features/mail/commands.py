"""Mail: send a test, and list what was sent."""

from __future__ import annotations

from typing import Annotated

import typer

from fastopp.console.options import JsonOption
from fastopp.console.output import command, emit_json, fail, print_table, say
from fastopp.console.project import load_project
from fastopp.core.runtime import open_runtime
from fastopp.features.mail import outgoing
from fastopp.features.mail.models import STATES, State
from fastopp.tasks.failure import mask

app = typer.Typer(help="Mail: send a test, and list what was sent.", no_args_is_help=True)


@app.command()
@command
async def test(address: Annotated[str, typer.Argument(help="Who gets it.")]) -> None:
    """Send a test mail at once, without a task, and report what the mail server says."""
    from fastopp.features.mail.delivery import deliver  # noqa: PLC0415 - 60 ms
    from fastopp.features.mail.errors import MailError  # noqa: PLC0415 - with it
    from fastopp.features.mail.service import open_mail  # noqa: PLC0415 - imports FastAPI

    project = load_project()
    async with open_runtime(project.settings, project.apps, title=project.title) as runtime:
        [mail] = open_mail(runtime).write("mail/test", address)
        try:
            await deliver(mail, project.settings)
        except MailError as error:
            fail(mask(str(error), project.settings))
    say(f"The mail to {mail.recipient} was handed over.")


@app.command("list")
@command
async def list_mails(
    *,
    state: Annotated[str, typer.Option(help=f"List only mails in this state: {', '.join(STATES)}.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = 25,
    as_json: JsonOption = False,
) -> None:
    """List mails, the newest first, without what they say."""
    wanted: State | None = next((each for each in STATES if each == state), None)
    if state and wanted is None:
        fail(f"There is no state {state}. Use one of {', '.join(STATES)}.")
    project = load_project()
    async with open_runtime(project.settings, project.apps) as runtime, runtime.database.read() as session:
        found = await outgoing.list_mails(session, state=wanted, limit=limit)
    if as_json:
        emit_json([mail.model_dump(mode="json", exclude={"text", "html", "subject"}) for mail in found])
        return
    rows = [
        [str(mail.id), mail.state, mail.recipient, mail.template, f"{mail.created_at:%Y-%m-%d %H:%M}", mail.error[:60]]
        for mail in found
    ]
    print_table(["Mail", "State", "Recipient", "Template", "Queued (UTC)", "Error"], rows, title=f"{len(rows)} mails")
