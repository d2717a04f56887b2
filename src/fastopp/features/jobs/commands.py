"""`oppman.py tasks`: what waits, runs and failed, and steering it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Annotated

import typer

from fastopp.console.options import JsonOption
from fastopp.console.output import EXIT_FAILED, EXIT_MISUSED, command, emit_json, fail, print_table, say
from fastopp.console.project import load_project
from fastopp.core.runtime import open_runtime
from fastopp.tasks.queue.status import Status, TaskStatus
from fastopp.tasks.service import TaskService

MESSAGE_SHOWN = 60  # characters in the table; `show` and --json have all of it

app = typer.Typer(help="Manage tasks: list, run, cancel and retry them.", no_args_is_help=True)

TaskArgument = Annotated[int, typer.Argument(metavar="ID", help="The task's number, as `tasks list` shows it.")]


@asynccontextmanager
async def _service() -> AsyncIterator[TaskService]:
    project = load_project()
    async with open_runtime(project.settings, project.apps, title=project.title) as runtime:
        yield runtime.tasks


@app.command()
@command
async def queue(
    name: Annotated[str, typer.Argument(help="The task's name, like `clean-up` or `shop.import_prices`.")],
    *,
    args: Annotated[str, typer.Option(help="Its arguments, as JSON.")] = "{}",
    as_json: JsonOption = False,
) -> None:
    """Queue a task for a worker or a drain."""
    try:
        given = json.loads(args)
    except ValueError:
        given = None
    if not isinstance(given, dict):
        fail("--args is not a JSON object.", status=EXIT_MISUSED)
    async with _service() as service:
        task = await service.queue(name, **given)
    if as_json:
        emit_json(task.as_json())
    else:
        say(f"Task {task.id}, {task.name}, is queued.")


@app.command("list")
@command
async def list_tasks(
    *,
    status: Annotated[Status | None, typer.Option(help="List only tasks in this state.")] = None,
    name: Annotated[str | None, typer.Option(help="List only tasks with this name.")] = None,
    queue: Annotated[str | None, typer.Option(help="List only tasks in this queue.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = 50,
    before: Annotated[int | None, typer.Option(help="List only tasks older than this number.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List tasks, newest first."""
    async with _service() as service:
        found = await service.list(status=status, name=name, queue=queue, limit=limit, before=before)
    if as_json:
        emit_json([task.as_json() for task in found])
        return
    rows = [[str(task.id), _state(task), task.name, str(task.attempts), _said(task)] for task in found]
    print_table(["Id", "State", "Task", "Attempts", "Message"], rows)


@app.command()
@command
async def show(task_id: TaskArgument, *, as_json: JsonOption = False) -> None:
    """Show one task: arguments, progress, result, error."""
    async with _service() as service:
        task = await service.get(task_id)
    if as_json:
        emit_json(task.as_json())
    else:
        for line in _lines(task):
            say(line)


@app.command()
@command
async def cancel(task_id: TaskArgument) -> None:
    """Take a waiting task out of the queue; ask a running one to stop."""
    async with _service() as service:
        task = await service.cancel(task_id)
    say(f"Task {task_id} was asked to stop." if task.status == "running" else f"Task {task_id} is {task.status}.")


@app.command()
@command
async def retry(task_id: TaskArgument) -> None:
    """Return a failed, cancelled or stalled task to the queue; one that waits for a retry starts now."""
    async with _service() as service:
        await service.retry(task_id)
    say(f"Task {task_id} is waiting again.")


@app.command()
@command
async def drain(
    *,
    seconds: Annotated[float, typer.Option(min=1, help="Stop taking tasks after this time.")] = 3600,
    limit: Annotated[int | None, typer.Option(min=1, help="Stop after this many tasks.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Run queued tasks until the queue is empty. Status 1 if a task failed."""
    async with _service() as service:
        report = await service.drain(timedelta(seconds=seconds), limit=limit)
    if as_json:
        emit_json(
            {
                "done": report.done,
                "failed": report.failed,
                "requeued": report.requeued,
                "left": report.left,
                "seconds": round(report.seconds, 3),
            }
        )
    else:
        told = f"{report.done} done, {report.failed} failed, {report.requeued} back in the queue, {report.left} left."
        say(told, style="red" if report.failed else "green")
    if report.failed:
        raise typer.Exit(EXIT_FAILED)


def _state(task: TaskStatus) -> str:
    return "stalled" if task.stalled else task.status


def _said(task: TaskStatus) -> str:
    """Return a task's status in one short line: its error, or its progress."""
    text = task.error.strip().splitlines()[0] if task.error.strip() else " ".join(_progress(task))
    return text if len(text) <= MESSAGE_SHOWN else text[: MESSAGE_SHOWN - 1] + "…"


def _progress(task: TaskStatus) -> Iterable[str]:
    if task.total is not None:
        yield f"{task.done}/{task.total}"
    elif task.done:
        yield str(task.done)
    if task.message:
        yield " ".join(task.message.split())


def _lines(task: TaskStatus) -> Iterable[str]:
    yield f"Task {task.id}, {task.name}, in the queue {task.queue}: {_state(task)}, {task.attempts} attempts"
    times = {
        "queued": task.queued_at,
        "scheduled for": task.scheduled_at,
        "started": task.started_at,
        "finished": task.finished_at,
    }
    for label, moment in times.items():
        if moment is not None:
            yield f"{label:14} {moment:%Y-%m-%d %H:%M:%S} UTC"
    for name, value in task.args.items():
        yield f"{'argument':14} {name} = {value!r}"
    if progress := " ".join(_progress(task)):
        yield f"{'progress':14} {progress}"
    if task.result is not None:
        yield f"{'result':14} {task.result}"
    if task.error:
        yield f"error\n{task.error.rstrip()}"
