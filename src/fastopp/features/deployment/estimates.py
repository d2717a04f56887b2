"""`oppman.py cost`: the command of leapcell-emulator, which any project has as `leapcell cost`."""

from __future__ import annotations

import functools
from typing import Any

from fastopp.console.output import plain_command
from fastopp.features.deployment.emulator_package import emulator_missing

try:
    from leapcell_emulator.cost import command as costs
except ModuleNotFoundError as error:
    raise emulator_missing(error) from None


@functools.wraps(costs.cost)  # Typer takes the options from its signature
@plain_command
def cost(**options: Any) -> None:  # noqa: ANN401 - each has its own type
    """Estimate what the traffic costs."""
    costs.cost(**options)
