"""Run the benchmarks by name, or all of them: `script/bench [name …]`."""

from __future__ import annotations

import asyncio
import sys
from importlib import import_module

NAMES = (
    "startup", "round_trips", "growth", "soak", "products", "uploads", "files", "emulator", "tasks", "enumeration",
    "observe", "cache", "scale",
)  # fmt: skip


def main() -> int:
    """Run what the command line names, and print a table for each."""
    wanted = sys.argv[1:] or NAMES
    unknown = set(wanted) - set(NAMES)
    if unknown:
        print(f"There is no benchmark {', '.join(sorted(unknown))}. There are: {', '.join(NAMES)}.", file=sys.stderr)
        return 2
    for name in wanted:
        print(f"\n== {name}", flush=True)
        asyncio.run(import_module(f"benchmarks.{name}").run())
    return 0


if __name__ == "__main__":
    sys.exit(main())
