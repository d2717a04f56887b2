"""The initialisation as a task: an interrupted one goes on with the step after the last one done."""

from __future__ import annotations

from contextlib import aclosing
from contextvars import ContextVar
from typing import Any, cast

from fastopp.core.runtime import Runtime
from fastopp.errors import Conflict, FastOppError
from fastopp.features.accounts.service import superuser_exists
from fastopp.features.setup.seeding import (
    InitReport,
    StepOutcome,
    full_init,
    init_report,
    init_steps,
    known_passwords_allowed,
)
from fastopp.settings import Settings
from fastopp.tasks.context import TaskContext
from fastopp.tasks.errors import Unfinished
from fastopp.tasks.host import Host
from fastopp.tasks.task import task

# Values that a waiting request may return, and that must not be stored. A dictionary that the request has put here is
# filled by the task that runs in it; a worker has put none.
told_once: ContextVar[dict[str, str] | None] = ContextVar("fastopp_told_once", default=None)


class NobodyToTell(Conflict):
    """There is no superuser yet, and a queued task cannot return the generated password."""

    hint = "Set SUPERUSER_PASSWORD, or POST /async/init-demo without `enqueue`, which answers with it."


class InitFailed(FastOppError):
    """Initialisation is incomplete."""

    def __init__(self, message: str, result: dict[str, Any]) -> None:
        super().__init__(message)
        self.result = result


@task(name="init-demo", lock="init-demo", queueing_lock="init-demo")
async def init_demo(context: TaskContext) -> dict[str, Any]:
    """Make the tables, the first superuser, and the sample data of every app."""
    runtime = cast("Runtime", context.runtime)  # the process that tasks run in, with its apps
    await _refuse_unheard_password(runtime)
    outcomes = [StepOutcome(**known) for known in context.place.get("outcomes", ())]
    total = sum(not step.destructive for step in init_steps(runtime))
    async with aclosing(full_init(runtime, done={outcome.name for outcome in outcomes})) as steps:
        async for outcome in steps:
            if outcome.status == "running":
                if context.should_stop():
                    raise Unfinished
                await context.progress(len(outcomes), total, outcome.step)
                continue
            outcomes.append(outcome)
            tell_password(outcome)
            done = [_as_place(each) for each in outcomes if each.status != "error"]
            await context.save_place({"outcomes": done})
    report = init_report(outcomes)
    await context.progress(total, total, report.message)
    if not report.success:
        raise InitFailed(report.message, init_details(runtime.settings, report))
    return init_details(runtime.settings, report)


def init_details(settings: Settings, report: InitReport) -> dict[str, Any]:
    """Return the result of an initialisation, in the keys that clients know; without a generated password."""
    outcomes = {outcome.name: outcome.status for outcome in report.results}
    return {
        "message": report.message,
        "database_initialized": outcomes.get("db") == "success",
        "superuser_created": outcomes.get("superuser") == "success",
        "superuser_email": settings.superuser_email,
        "results": [outcome.as_json() for outcome in report.results],
    }


def tell_password(outcome: StepOutcome) -> None:
    """Hand a generated password to the request that waits, if one does."""
    listener = told_once.get()
    if outcome.generated_password and listener is not None:
        listener["superuser_password"] = outcome.generated_password


async def _refuse_unheard_password(runtime: Host) -> None:
    """Raises NobodyToTell, before anything is done."""
    settings = runtime.settings
    given = settings.superuser_password.get_secret_value() or known_passwords_allowed(settings)
    if given or told_once.get() is not None:
        return
    async with runtime.database.read() as session:
        if not await superuser_exists(session):
            raise NobodyToTell


def _as_place(outcome: StepOutcome) -> dict[str, str]:
    return outcome.as_json() | {"name": outcome.name}
