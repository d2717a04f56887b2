"""Tasks of every kind. `effects` is made by tests/services/tasks.py."""

from __future__ import annotations

import asyncio
import contextlib
import time
from datetime import date

import anyio
from sqlalchemy import event, text

from fastopp.database.errors import DatabaseUnavailable
from fastopp.tasks.context import TaskContext
from fastopp.tasks.errors import Unfinished
from fastopp.tasks.retry import Retry
from fastopp.tasks.task import periodic, task

QUICK = Retry(attempts=3, first=0.01, factor=1, jitter=0)


async def note(context: TaskContext, name: str, *, finish: bool = False) -> None:
    async with context.transaction(finish=finish) as session:
        connection = await session.connection()
        values = {"job": context.job_id, "attempt": context.attempt, "name": name}
        await connection.execute(
            text("INSERT INTO effects (job, attempt, name) VALUES (:job, :attempt, :name)"), values
        )


@task
async def trivial() -> None:
    """Do nothing."""


@task
async def add(a: int, b: int = 1) -> int:
    return a + b


@task
async def on_day(day: date) -> str:
    assert isinstance(day, date)
    return day.isoformat()


@task
def in_thread(context: TaskContext, text: str) -> dict[str, object]:
    anyio.from_thread.run(context.progress, 1, 2, "half")
    time.sleep(0.01)
    return {"text": text, "job": context.job_id}


@task
async def effect(context: TaskContext, name: str = "effect") -> None:
    await note(context, name)


@task(retry=Retry(attempts=20, first=0.2, factor=1))
async def once(context: TaskContext, name: str = "once") -> str:
    await note(context, name, finish=True)
    return "done"


@task(retry=QUICK)
async def flaky(context: TaskContext, until: int = 3) -> str:
    if context.attempt < until:
        raise ValueError(f"attempt {context.attempt}")
    return f"attempt {context.attempt}"


@task
async def secretive(what: str) -> None:
    raise RuntimeError(f"it was {what}")


@task
async def leaves(how: str) -> None:
    raise {"exit": SystemExit, "interrupt": KeyboardInterrupt, "base": BaseException}[how]("gone")


@task
async def returns(what: str) -> object:
    return {"set": {1}, "nan": float("nan"), "nul": "\0", "text": "ü", "list": (1, 2)}[what]


@task
async def steps(context: TaskContext, total: int, pause: float = 0.0, each: int = 1000) -> int:
    """Count to `total`, at most `each` steps a try, and save the place."""
    begun = context.place.get("step", 0)
    for step in range(begun, total):
        if context.should_stop() or step - begun >= each:
            context.place["step"] = step
            await context.save_place()
            raise Unfinished
        await note(context, f"step {step}")
        await context.progress(step + 1, total, f"step {step}")
        await asyncio.sleep(pause)
    return total


@task
async def endless(context: TaskContext) -> None:
    await note(context, "began")
    await asyncio.Event().wait()


@task
async def stubborn(context: TaskContext) -> None:
    await note(context, "began")
    for _ in range(2):  # the second time comes with the end of the test
        with contextlib.suppress(asyncio.CancelledError):
            await context.runtime.clock.sleep(3600)


@task
async def nap(context: TaskContext, seconds: float) -> None:
    await note(context, "began")
    await asyncio.sleep(seconds)
    await note(context, "ended")


@task(lock="lock-{key}")
async def locked(context: TaskContext, key: str, seconds: float = 0.0) -> None:
    await note(context, f"{key} began")
    await asyncio.sleep(seconds)
    await note(context, f"{key} ended")


@task(lock="lock-{key}", queueing_lock="keyed-{key}")
async def keyed(key: str) -> None:
    """Wait once for each key."""


@task(lock="single", queueing_lock="single")
async def single(context: TaskContext, seconds: float = 0.0) -> None:
    await note(context, "single")
    await asyncio.sleep(seconds)


@task(lock="until", queueing_lock="until")
async def until_told(context: TaskContext) -> None:
    await note(context, "began")
    told = False
    while not told:
        await asyncio.sleep(0.02)
        async with context.runtime.database.read() as session:
            connection = await session.connection()
            told = (await connection.execute(text("SELECT 1 FROM effects WHERE name = 'told'"))).first() is not None


@task
async def chain(context: TaskContext, length: int) -> None:
    await note(context, f"link {length}")
    if length > 1:
        await context.runtime.tasks.queue("errands.chain", length=length - 1)


@periodic(cron="* * * * *")
@task
async def minutely(context: TaskContext, timestamp: int) -> None:
    await note(context, f"minute {timestamp}")


@task(retry=Retry(attempts=20, first=0.2, factor=1))
async def walk(context: TaskContext, name: str, total: int = 3) -> None:
    """Note each step in a transaction that keeps the place, and tell of it all the while."""
    context.place.setdefault("step", 0)
    while (step := context.place["step"]) < total:
        if context.should_stop():
            raise Unfinished
        async with context.transaction() as session:
            context.place["step"] = step + 1
            await context.progress(step + 1, total, name)
            connection = await session.connection()
            values = {"job": context.job_id, "attempt": context.attempt, "name": f"{name} {step}"}
            await connection.execute(
                text("INSERT INTO effects (job, attempt, name) VALUES (:job, :attempt, :name)"), values
            )


@task(retry=QUICK)
async def stumble(context: TaskContext) -> int:
    """Move the place on in a transaction that is rolled back, the first time."""
    steps = context.place.get("steps", 0)
    async with context.transaction():
        context.place["steps"] = steps + 1
        await context.progress(1, 2, "under way")
        await asyncio.sleep(0)
        if context.attempt == 1:
            raise ValueError("stumbled")
    return steps + 1


@task
async def lingers(context: TaskContext) -> int:
    """Move the place on in a transaction that outlasts its cancellation and comes to nothing, the first time."""
    steps = context.place.get("steps", 0)
    async with context.transaction():
        context.place["steps"] = steps + 1
        if context.attempt == 1:
            try:
                await context.runtime.clock.sleep(3600)
            finally:
                await context.runtime.clock.sleep(7200)
    return steps + 1


@task
async def tells_within(context: TaskContext) -> int:
    """Tell and save within a transaction that has written already, and go on there at the next try."""
    step = int(context.place.get("step", 0)) + 1
    async with context.transaction() as session:
        connection = await session.connection()
        await connection.execute(text("UPDATE effects SET name = name"))
        await context.save_place({"step": step})
        await context.progress(step, 3, f"step {step}")
    if step < 3:
        raise Unfinished
    return step


@task
async def tells(context: TaskContext, what: str) -> None:
    """Tell what a database does not take."""
    match what:
        case "float":
            await context.progress(1.5, 2.5)  # type: ignore[arg-type] # that is the point
        case "huge":
            await context.progress(2**70, 2**80)
        case "nul":
            await context.progress(1, 2, "a\0b \ud800")
        case "place":
            context.place["set"] = {1}
            raise Unfinished
        case "nul place":
            context.place["nul"] = "\0"
            raise ValueError("failed")


class Unpicklable(Exception):
    """Cannot be pickled, copied, compared or shown."""

    def __reduce__(self):
        raise TypeError("not to be pickled")

    def __str__(self):
        raise RuntimeError("not to be shown")

    @property
    def result(self):
        return {"a set": {1}}


@task
async def unpicklable() -> None:
    error = Unpicklable(lambda: None)
    raise error from RuntimeError("\0\ud800")


@task
async def gone_database(context: TaskContext) -> str:
    """The application's database is away at the first try."""
    if context.attempt == 1:
        raise DatabaseUnavailable
    return "back"


@task(retry=Retry(attempts=20, first=0.2, factor=1))
async def told(context: TaskContext, name: str) -> None:
    """An effect that nothing fences: it happens at least once."""
    async with context.runtime.database.transaction() as session:
        connection = await session.connection()
        values = {"job": context.job_id, "attempt": context.attempt, "name": name}
        await connection.execute(
            text("INSERT INTO effects (job, attempt, name) VALUES (:job, :attempt, :name)"), values
        )


@task(lock="guarded", retry=Retry(attempts=20, first=0.2, factor=1))
async def guarded(context: TaskContext, name: str) -> None:
    """One at a time, exactly once."""
    await note(context, name, finish=True)


@task(retry=QUICK)
async def unsure(context: TaskContext) -> None:
    """Two steps; the first one's commit arrives, but nobody hears of it."""
    context.place.setdefault("step", 0)
    while (step := context.place["step"]) < 2:
        async with context.transaction() as session:
            context.place["step"] = step + 1
            connection = await session.connection()
            values = {"job": context.job_id, "attempt": context.attempt, "name": f"unsure {step}"}
            await connection.execute(
                text("INSERT INTO effects (job, attempt, name) VALUES (:job, :attempt, :name)"), values
            )
            if context.attempt == 1:
                event.listen(session.sync_session, "after_commit", lose_the_answer)


def lose_the_answer(_session: object) -> None:
    """What a network does that is cut during a commit."""
    raise RuntimeError("no answer")
