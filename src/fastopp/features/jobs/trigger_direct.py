"""Tasks that can run without the queue, since they create the tables that the queue needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastopp.core.runtime import Runtime
from fastopp.tasks.arguments import unpack

DIRECT = frozenset({"init-demo", "migrate"})


async def run_directly(runtime: Runtime, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Run it here and now; what its task would return. Raises what its task would, and TaskArguments."""
    from fastopp.features.migrations.tasks import migrate, migrate_now  # noqa: PLC0415 - only who runs it needs it
    from fastopp.features.setup.tasks import init_demo  # noqa: PLC0415 - as above

    if name == "migrate":
        return await migrate_now(runtime, **unpack(migrate, arguments))
    unpack(init_demo, arguments)  # there are none
    return await _init_demo(runtime)


async def _init_demo(runtime: Runtime) -> dict[str, Any]:
    from fastopp.features.setup.seeding import run_full_init  # noqa: PLC0415 - as above
    from fastopp.features.setup.tasks import InitFailed, init_details, tell_password  # noqa: PLC0415 - as above

    report = await run_full_init(runtime, progress=tell_password)
    details = init_details(runtime.settings, report)
    if not report.success:
        raise InitFailed(report.message, details)
    return details
