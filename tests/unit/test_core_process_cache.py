"""What a process keeps: for its lifetime, and not too much of it."""

from __future__ import annotations

from fastopp.core.process_cache import ProcessCache
from fastopp.testing import ManualClock


def test_a_value_has_a_lifetime() -> None:
    clock = ManualClock()
    cache = ProcessCache(clock)
    cache.keep("keys", "a", value=1, lifetime=60)
    clock.advance(59)
    assert cache.get("keys", "a") == 1
    assert cache.get("keys", "b") is None
    clock.advance(1)
    assert cache.get("keys", "a") is None


def test_the_oldest_makes_room() -> None:
    cache = ProcessCache(ManualClock(), size=2)
    for name in ("a", "b", "a", "c"):
        cache.keep(name, value=name, lifetime=60)
    assert [cache.get(name) for name in ("a", "b", "c")] == ["a", None, "c"]
