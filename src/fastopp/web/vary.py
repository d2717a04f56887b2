"""The header `Vary`: which headers of a request have chosen the answer."""

from __future__ import annotations

from collections.abc import Iterable

from starlette.datastructures import MutableHeaders


def add_vary(headers: MutableHeaders, names: Iterable[str]) -> None:
    """Add names that are not there yet."""
    present = [name.strip() for name in headers.get("vary", "").split(",") if name.strip()]
    known = {name.lower() for name in present}
    present += [name for name in names if name.lower() not in known]
    if present:
        headers["Vary"] = ", ".join(dict.fromkeys(present))
