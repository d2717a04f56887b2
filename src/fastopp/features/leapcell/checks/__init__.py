"""Checks of a deployment on LeapCell."""

from fastopp.features.leapcell.checks.manifest import byte_code, loopback_only, other_port, unknown_keys, unusable
from fastopp.features.leapcell.checks.requirements import missing, no_wheel, out_of_step, second_file
from fastopp.features.leapcell.checks.speed import (
    failing_page,
    little_memory,
    measured,
    slow_page,
    slow_start,
    too_little_memory,
)

__all__ = [
    "byte_code", "failing_page", "little_memory", "loopback_only", "measured", "missing", "no_wheel", "other_port",
    "out_of_step", "second_file", "slow_page", "slow_start", "too_little_memory", "unknown_keys", "unusable",
]  # fmt: skip
