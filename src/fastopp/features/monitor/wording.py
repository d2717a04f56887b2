"""Figures as people read them."""

from __future__ import annotations

from datetime import UTC, datetime

_MINUTE = 60
_HOUR = 3600
_DAY = 86400


def duration(seconds: float | None) -> str:
    """Return a time like `340 ms`, `1.2 s`, `3 min` or `2.5 h`."""
    if seconds is None:
        return "-"
    if seconds < 0.9995:
        return f"{seconds * 1000:.1f} ms" if 0 < seconds < 0.00995 else f"{seconds * 1000:.0f} ms"
    if seconds < 2 * _MINUTE:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    if seconds < 2 * _HOUR:
        return f"{seconds / _MINUTE:.0f} min"
    return f"{seconds / _HOUR:.1f} h" if seconds < 2 * _DAY else f"{seconds / _DAY:.1f} days"


def size(number: float | None) -> str:
    """Return bytes like `340 kB` or `1.2 MB`."""
    if number is None:
        return "-"
    for unit in ("B", "kB", "MB", "GB"):
        if number < 999.5:
            return f"{number:.0f} {unit}" if unit == "B" or number >= 10 else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:,.1f} TB"


def share(part: float) -> str:
    """Return a share like `0 %`, `0.04 %` or `12 %`; what is more than nothing is never 0 %."""
    percent = 100 * part
    if percent == 0 or percent >= 10:
        return f"{percent:.0f} %"
    return f"{percent:.1f} %" if percent >= 0.1 else f"{max(percent, 0.01):.2f} %"


def moment(since: float, *, with_day: bool = False) -> str:
    """Return a moment in UTC, from seconds since 1970."""
    return f"{datetime.fromtimestamp(since, UTC):{'%b %d, %H:%M' if with_day else '%H:%M'}}"
