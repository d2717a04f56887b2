"""A check that queued tasks are run."""

from __future__ import annotations

from collections.abc import Iterator

from fastopp.checks.check import Problem, Scope, Subject, check
from fastopp.checks.context import CheckContext
from fastopp.platforms.settings import WAKE_VARIABLE


@check(
    "fastopp.W008",
    "Nothing starts queued tasks",
    fix=f"Set {WAKE_VARIABLE}, or have a scheduler call /async/drain (docs/tasks.md).",
    subject=Subject.SETTINGS,
    scope=Scope.DEPLOYMENT,
)
def no_wake(context: CheckContext) -> Iterator[Problem]:
    """Nothing runs between requests there. A task waits until a user opens its page or a scheduler calls."""
    if not context.platform.background_cpu and not context.settings.wake_url:
        yield Problem(f"{WAKE_VARIABLE} is not set.")
