"""Send spans and figures with the flushes of a process."""

from __future__ import annotations

from fastopp.core.runtime import Runtime


async def flush(runtime: Runtime) -> None:
    """Send what has come since the last flush."""
    if runtime.tracing is not None:
        await runtime.tracing.push()
