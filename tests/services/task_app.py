"""An app with tasks for the tests: one that works, one that fails, one that takes its time."""

from __future__ import annotations

import textwrap
from pathlib import Path

TASKS = '''
    import asyncio
    import time
    from pathlib import Path
    from sqlalchemy import text
    from fastopp.tasks.context import TaskContext
    from fastopp.tasks.task import task

    @task(name="add")
    async def add(a: int = 1, b: int = 2) -> int:
        """Add two numbers."""
        return a + b

    @task(name="break", queue="weak")
    async def broken(context: TaskContext) -> None:
        """Never works."""
        await context.progress(1, 3, "so far")
        raise ValueError("the <b>reason</b>")

    @task(name="stubborn")
    async def stubborn(begun: str, blocks: bool) -> None:
        """Takes a minute without a checkpoint; may block the loop, which no task should."""
        Path(begun).touch()
        time.sleep(60) if blocks else await asyncio.sleep(60)

    @task(name="endless")
    async def endless(context: TaskContext) -> None:
        """Works until it is stopped."""
        await asyncio.Event().wait()

    @task(name="needs")
    async def needs(what: str) -> str:
        """Cannot be started without knowing what."""
        return what

    @task(name="patient")
    async def patient(context: TaskContext) -> None:
        """Works until a task called add is queued."""
        added = text("SELECT 1 FROM procrastinate_jobs WHERE task_name = 'add'")
        while True:
            async with context.transaction() as session:
                if (await (await session.connection()).execute(added)).first():
                    return
            await asyncio.sleep(0.25)

    @task(name="single", queueing_lock="single")
    async def single() -> None:
        """Waits once at most."""

    @task(name="slow")
    async def slow(context: TaskContext, steps: int = 20, pause: float = 0.25) -> dict[str, int]:
        """Takes a while and says how far it is."""
        for step in range(steps):
            await context.progress(step, steps, f"step {step}")
            await asyncio.sleep(pause)
        await context.progress(steps, steps, "all steps")
        return {"steps": steps}
'''


def write_app(folder: Path, name: str = "chores", tasks: str = TASKS) -> str:
    """Make the app below `folder`, which is to be on the import path; its import path."""
    package = folder / name
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "tasks.py").write_text(textwrap.dedent(tasks))
    return name
