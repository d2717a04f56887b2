"""Python's garbage collector, kept away from where there is no garbage."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def lasting_objects() -> Iterator[None]:
    """A block whose objects live as long as the process: modules, routes, models.

    Looking through them again and again took an eighth of a cold start, and later some of every full collection.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        if was_enabled:
            gc.enable()


def no_last_search() -> None:
    """Before a program ends: its memory goes back with the process. Searching it took a fifth of a short command."""
    gc.freeze()
