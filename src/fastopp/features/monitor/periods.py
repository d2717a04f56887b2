"""The periods of the table of figures, in seconds."""

from __future__ import annotations

from typing import Final

TOTAL: Final = 0
"""Since the first flush."""
MINUTE: Final = 60
HOUR: Final = 3600
FOUR_HOURS: Final = 4 * HOUR
DAY: Final = 86400

WRITTEN: Final = (TOTAL, MINUTE, HOUR, FOUR_HOURS)
"""The periods that a flush adds to: one for each length of time that is shown, so that it is read by few rows."""
KEPT_IN_DAYS: Final = (FOUR_HOURS, DAY)
"""The periods that have each piece of work once, as the total does: four hours move to their day."""
