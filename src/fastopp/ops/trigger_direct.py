"""What can be run without the queue, since it makes the tables that the queue needs."""

from __future__ import annotations

from typing import Any

from fastopp.runtime import Runtime

DIRECT = frozenset({"init-demo", "migrate"})


async def run_directly(runtime: Runtime, name: str) -> dict[str, Any]:
    """Run it here and now; what its task would return. Raises what its task would."""
    if name == "migrate":
        from fastopp.ops.tasks.database import migrate_now  # noqa: PLC0415 - only who runs it needs it

        return await migrate_now(runtime)
    return await _init_demo(runtime)


async def _init_demo(runtime: Runtime) -> dict[str, Any]:
    from fastopp.ops.tasks.demo import InitFailed, init_details, tell_password  # noqa: PLC0415 - as above
    from fastopp.seeding import run_full_init  # noqa: PLC0415 - as above

    report = await run_full_init(runtime, progress=tell_password)
    details = init_details(runtime.settings, report)
    if not report.success:
        raise InitFailed(report.message, details)
    return details
