"""`oppman.py cost` and `capacity`: the commands of leapcell-emulator, which any project has as `leapcell cost`."""

from __future__ import annotations

import functools
from typing import Any, Final

from fastopp.console.output import plain_command
from fastopp.features.leapcell.emulator_package import emulator_missing

try:
    from leapcell_emulator.capacity import command as capacities
    from leapcell_emulator.cost import command as costs
except ModuleNotFoundError as error:
    raise emulator_missing(error) from None

POOL_SETTING: Final = "DB_POOL_SIZE"


@functools.wraps(costs.cost)  # Typer takes the options from its signature
@plain_command
def cost(**options: Any) -> None:  # noqa: ANN401 - each has its own type
    """Estimate what the traffic costs."""
    costs.cost(**options)


@functools.wraps(capacities.capacity)
@plain_command
def capacity(**options: Any) -> None:  # noqa: ANN401 - each has its own type
    """Simulate the site under load; the pool's size is a setting of FastOpp's."""
    capacities.capacity(**{**options, "pool_setting": options["pool_setting"] or POOL_SETTING})
