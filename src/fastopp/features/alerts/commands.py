"""Alerts: list incidents and rules, and send a test message."""

from __future__ import annotations

import uuid

import typer

from fastopp.console.options import JsonOption
from fastopp.console.output import EXIT_FAILED, command, emit_json, fail, print_table, say
from fastopp.console.project import load_project
from fastopp.core.runtime import open_runtime
from fastopp.features.alerts.overview import look

app = typer.Typer(help="Alerts: list incidents and rules, and send a test message.", no_args_is_help=True)


@app.command("list")
@command
async def list_alerts(*, as_json: JsonOption = False) -> None:
    """List open incidents, and the rules with their newest values."""
    project = load_project()
    async with open_runtime(project.settings, project.apps) as runtime, runtime.database.read() as session:
        overview = await look(session, runtime)
    if as_json:
        emit_json(overview.as_json())
        return
    rows = [[f"{each.opened_at:%Y-%m-%d %H:%M}", each.rule, each.title, each.text] for each in overview.open]
    print_table(["Since (UTC)", "Rule", "Incident", "Value"], rows, title=f"{len(rows)} open incidents")
    rules = [
        [view.rule.id, view.value, view.threshold, f"{view.muted_until:%Y-%m-%d %H:%M}" if view.muted_until else ""]
        for view in overview.rules
    ]
    print_table(["Rule", "Value", "Incident from", "Muted until"], rules)
    say(f"Messages go to: {', '.join(overview.destinations) or 'nowhere. Set ALERT_WEBHOOKS or ALERT_MAIL.'}")


@app.command()
@command
async def test() -> None:
    """Send a test message to each destination at once, without a task. Status 1 if one fails."""
    from fastopp.errors import FastOppError  # noqa: PLC0415 - with the rest
    from fastopp.features.alerts.delivery import deliver  # noqa: PLC0415 - what sends
    from fastopp.features.alerts.destinations import destinations_of  # noqa: PLC0415 - as above
    from fastopp.features.alerts.messages import message_of  # noqa: PLC0415 - as above
    from fastopp.features.mail import delivery as mail_delivery  # noqa: PLC0415 - 60 ms
    from fastopp.features.mail.service import open_mail  # noqa: PLC0415 - imports FastAPI
    from fastopp.tasks.failure import mask  # noqa: PLC0415 - as above

    project = load_project()
    settings, failed = project.settings, False
    destinations = list(destinations_of(settings))
    if not destinations:
        fail("There is no destination. Set ALERT_WEBHOOKS, or ALERT_MAIL and MAIL_URL.")
    async with open_runtime(settings, project.apps, title=project.title) as runtime:
        message = message_of("test", None, settings, runtime.title, f"test.{uuid.uuid4().hex}")
        for destination in destinations:
            try:
                if destination.webhook is not None:
                    await deliver(message, destination.webhook, settings, runtime.clock.time())
                else:
                    mail = open_mail(runtime)
                    for each in mail.write("alerts/mail/alert", settings.alert_addresses, message=message):
                        await mail_delivery.deliver(each, settings)
            except FastOppError as error:
                failed = True
                say(mask(str(error), settings), style="red")
            else:
                say(f"Delivered: {destination.label}.", style="green")
    if failed:
        raise typer.Exit(EXIT_FAILED)
