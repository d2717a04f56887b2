"""A share of a processor, as a small serverless instance has: a control group's quota where we may set one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PERIOD = 100_000  # microseconds, the kernel's default

# Where version 2 (cpu.max) and version 1 (cpu.cfs_*) of control groups keep the processor's controller.
_VERSION_2 = Path("/sys/fs/cgroup")
_VERSION_1 = Path("/sys/fs/cgroup/cpu")


@contextmanager
def limited_to(share: float) -> Iterator[list[str] | None]:
    """A command that runs another with `share` of one core, to put before it; None where we may not do so.

    Everything started by it must have ended when the block does: the group is removed then.
    """
    quota = int(share * PERIOD)
    if (_VERSION_1 / "cpu.cfs_quota_us").exists():
        parent, limits = _VERSION_1, {"cpu.cfs_period_us": str(PERIOD), "cpu.cfs_quota_us": str(quota)}
    else:
        parent, limits = _VERSION_2, {"cpu.max": f"{quota} {PERIOD}"}
    group = parent / f"fastopp-benchmark-{os.getpid()}"
    try:
        group.mkdir()
    except OSError:
        yield None
        return
    try:
        for name, value in limits.items():
            (group / name).write_text(value)
    except OSError:  # a group without the processor's controller
        group.rmdir()
        yield None
        return
    try:
        yield ["/bin/sh", "-c", f'echo $$ > {group}/cgroup.procs && exec "$@"', "sh"]
    finally:
        group.rmdir()
