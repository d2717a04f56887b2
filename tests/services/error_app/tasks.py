"""Tasks that fail."""

from __future__ import annotations

from fastopp import Retry, TaskContext, Unfinished, report, task


@task(name="errors.fails")
async def fails(*, password: str = "") -> None:
    raise RuntimeError(f"task failed with password={password}")


@task(name="errors.again", retry=Retry(attempts=2, first=0.0))
async def again(context: TaskContext) -> None:
    raise RuntimeError(f"attempt {context.attempt}")


@task(name="errors.reports")
def reports() -> None:
    report(ValueError("odd"), row=3)


@task(name="errors.unfinished")
async def unfinished(context: TaskContext) -> None:
    if context.place:
        return
    context.place["half"] = True
    raise Unfinished
