"""`oppman.py worker`: runs tasks in a separate process, on any machine that reaches the database."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from types import FrameType
from typing import Annotated

import typer

from fastopp import logs
from fastopp.console.output import command, say
from fastopp.console.project import load_project
from fastopp.core.runtime import open_runtime

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@command
async def worker(
    concurrency: Annotated[
        int | None, typer.Option(min=1, max=100, help="How many tasks at the same time. Default: TASK_CONCURRENCY.")
    ] = None,
    queue: Annotated[list[str] | None, typer.Option(help="Only this queue; may be given several times.")] = None,
) -> None:
    """Run queued tasks until SIGTERM or Ctrl+C. Running tasks get time to finish, then return to the queue."""
    from fastopp.tasks.worker.worker import run_worker  # noqa: PLC0415 - imported where tasks are worked

    project = load_project()
    logs.configure(project.settings)
    async with open_runtime(project.settings, project.apps, title=project.title) as runtime:
        say(f"Working {', '.join(queue) if queue else 'all queues'}. Ctrl+C stops, a second one at once.")
        await run_worker(runtime, concurrency=concurrency, queues=queue, stop=_stop_event())


def _stop_event() -> asyncio.Event:
    """Set by the first signal. After it Ctrl+C has its usual effect: a second one ends the process at once.

    The handlers are Python's and not the loop's, which would run only once no task blocks the loop.
    """
    loop, stop = asyncio.get_running_loop(), asyncio.Event()

    def ask(_number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        with contextlib.suppress(RuntimeError):  # the loop is closed: the process is about to end
            loop.call_soon_threadsafe(stop.set)

    for number in STOP_SIGNALS:
        signal.signal(number, ask)
    return stop
