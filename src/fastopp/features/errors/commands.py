"""Errors that were recorded: list, show, resolve and ignore them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from fastopp.console.options import JsonOption
from fastopp.console.output import command, emit_json, fail, print_table, say
from fastopp.console.project import load_project
from fastopp.core.release_id import release_id
from fastopp.core.runtime import open_runtime
from fastopp.features.errors import groups
from fastopp.features.errors.models import STATES, ErrorEvent, ErrorGroup, State

MESSAGE_SHOWN = 60  # characters in the table; `show` and --json have all of it

app = typer.Typer(help="Errors that were recorded: list, show, resolve and ignore them.", no_args_is_help=True)

ErrorArgument = Annotated[int, typer.Argument(metavar="ID", help="The error's number, as `errors list` shows it.")]


@app.command("list")
@command
async def list_errors(
    *,
    state: Annotated[str, typer.Option(help=f"List errors in this state: {', '.join(STATES)}, all.")] = "open",
    search: Annotated[str, typer.Option(help="A request's id, or a part of the type, message or place.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=500, help="How many.")] = 25,
    as_json: JsonOption = False,
) -> None:
    """List errors, the last seen first."""
    wanted: State | None = next((each for each in STATES if each == state), None)
    if wanted is None and state != "all":
        fail(f"There is no state {state}. Use one of {', '.join(STATES)}, all.")
    project = load_project()
    async with open_runtime(project.settings, project.apps) as runtime, runtime.database.read() as session:
        found = await groups.list_groups(session, state=wanted, search=search.strip(), limit=limit)
    if as_json:
        emit_json([group.model_dump(mode="json") for group in found])
        return
    rows = [
        [str(each.id), each.state, f"{each.count:,}", f"{each.last_seen:%Y-%m-%d %H:%M}", each.type, _short(each)]
        for each in found
    ]
    print_table(["Error", "State", "Times", "Last (UTC)", "Type", "Message"], rows)


@app.command()
@command
async def show(
    error_id: ErrorArgument,
    *,
    request_id: Annotated[str, typer.Option(help="Show the occurrence of this request.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Show one error and its newest occurrence, with the traceback."""
    project = load_project()
    async with open_runtime(project.settings, project.apps) as runtime, runtime.database.read() as session:
        group = await groups.get_group(session, error_id)
        event = await groups.get_event(session, error_id, request_id=request_id.strip())
    if as_json:
        shown = event.model_dump(mode="json", exclude={"slot", "id"}) if event else None
        emit_json(group.model_dump(mode="json") | {"event": shown})
        return
    for line in _lines(group, event):
        say(line)


@app.command()
@command
async def resolve(
    error_id: ErrorArgument,
    *,
    by_next: Annotated[bool, typer.Option("--by-next", help="The release that comes next resolves it.")] = False,
) -> None:
    """Mark an error as resolved. It is open again when it occurs again."""
    await _change(error_id, "resolved", by_next=by_next)


@app.command()
@command
async def ignore(error_id: ErrorArgument) -> None:
    """Go on counting an error, but do not list it as open."""
    await _change(error_id, "ignored")


@app.command()
@command
async def reopen(error_id: ErrorArgument) -> None:
    """Open a resolved or ignored error again."""
    await _change(error_id, "open")


async def _change(error_id: int, state: State, *, by_next: bool = False) -> None:
    project = load_project()
    release = release_id(project.settings, Path.cwd())
    async with open_runtime(project.settings, project.apps) as runtime, runtime.database.transaction() as session:
        now = runtime.clock.now()
        await groups.change_state(session, error_id, state, now=now, release=release, by_next=by_next)
    say(f"Error {error_id} is {state}.")


def _short(group: ErrorGroup) -> str:
    text = group.message
    return text if len(text) <= MESSAGE_SHOWN else f"{text[: MESSAGE_SHOWN - 1]}…"


def _lines(group: ErrorGroup, event: ErrorEvent | None) -> Iterable[str]:
    yield f"Error {group.id}, {group.type}: {group.state}, {group.count:,} times"
    yield f"place          {group.place}"
    yield f"first seen     {group.first_seen:%Y-%m-%d %H:%M:%S} UTC"
    yield f"last seen      {group.last_seen:%Y-%m-%d %H:%M:%S} UTC"
    if event is None:
        return
    facts = {
        "occurrence": event.number,
        "kind": event.kind,
        "request": f"{event.method} {event.route}".strip(),
        "request id": event.request_id,
        "user": event.user_id,
        "task": event.task,
        "job": event.job_id,
        "attempt": event.attempt,
        "release": event.release,
        "instance": event.instance,
    }
    for label, value in (facts | event.context).items():
        if value not in (None, ""):
            yield f"{label:14} {value}"
    yield event.traceback
